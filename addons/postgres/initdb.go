package postgres

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"niwa/addons/engine"
)

// initdb makes a cluster, whole or not at all.
func (p *Provider) initdb(ctx context.Context, in installation, password string) error {
	work := p.workDir()
	if err := p.clean(ctx); err != nil {
		return err
	}
	if err := p.User.MkdirAll(work); err != nil {
		return err
	}
	defer os.RemoveAll(work)
	secret, data := filepath.Join(work, "password"), filepath.Join(work, "cluster")
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o600); err != nil {
		return err
	}
	if err := p.User.Own(secret); err != nil {
		return err
	}
	// C.UTF-8 sorts and folds the same on every machine that has it; old
	// systems have only C.
	var err error
	for _, locale := range []string{"C.UTF-8", "C"} {
		_, err = engine.Run(ctx, in.launcher, engine.Task{
			ID: "postgres-initdb", Dir: work, Log: filepath.Join(work, "log"),
			Args: []string{in.program("initdb"), "--pgdata", data, "--username", superuser, "--pwfile", secret,
				"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", locale, "--no-instructions"},
		})
		if err == nil || !strings.Contains(err.Error(), "invalid locale name") {
			break
		}
	}
	if err != nil {
		return err
	}
	return os.Rename(data, p.dataDir())
}

package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// initdb makes a cluster, whole or not at all.
func (p *Provider) initdb(ctx context.Context, in installation, password string) error {
	work := filepath.Join(p.Dir, "initdb")
	if _, err := p.Procs.Sweep("postgres-"); err != nil { // one that a killed niwa left
		return err
	}
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	if err := p.user.MkdirAll(work); err != nil {
		return err
	}
	defer os.RemoveAll(work)
	secret, data := filepath.Join(work, "password"), filepath.Join(work, "cluster")
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o600); err != nil {
		return err
	}
	if err := p.user.Own(secret); err != nil {
		return err
	}
	// C.UTF-8 sorts and folds the same on every machine that has it; old
	// systems have only C.
	var out []byte
	var err error
	for _, locale := range []string{"C.UTF-8", "C"} {
		out, err = p.run(ctx, work, in.Program("initdb"), "--pgdata", data, "--username", superuser, "--pwfile", secret,
			"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", locale, "--no-instructions")
		if err == nil || !strings.Contains(string(out), "invalid locale name") {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return os.Rename(data, p.dataDir())
}

// run runs a program as the server's user, to its end. When ctx ends nothing
// of it is left.
func (p *Provider) run(ctx context.Context, dir, program string, args ...string) ([]byte, error) {
	var out bytes.Buffer
	cmd := p.user.Command(dir, program, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	child, err := p.Procs.Start("postgres-"+filepath.Base(program), cmd)
	if err != nil {
		return nil, err
	}
	select {
	case <-child.Done():
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), child.Stop(context.WithoutCancel(ctx), 0))
	}
	if code, _ := child.ExitCode(); code != 0 {
		return out.Bytes(), fmt.Errorf("exit status %d", code)
	}
	return out.Bytes(), nil
}

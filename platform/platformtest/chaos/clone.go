//go:build linux

package chaos

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// clones are the tenants' own git repositories, one for each app.
type clones struct {
	dir string
	app string // the program that every commit has
}

// commit makes a commit that differs from every other by its content, and
// returns its hash. phase is what the program is told to do as release phase.
func (c *clones) commit(repo, content, phase string) (string, error) {
	dir := filepath.Join(c.dir, repo)
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		if err := c.create(dir); err != nil {
			return "", err
		}
	}
	procfile := "web: ./app web\nworker: ./app wait\n"
	if phase != "" {
		procfile += "release: ./app " + phase + "\n"
	}
	for name, text := range map[string]string{"content": content, "Procfile": procfile} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	if _, err := git(context.Background(), dir, nil, "commit", "-q", "-a", "-m", content); err != nil {
		return "", err
	}
	return git(context.Background(), dir, nil, "rev-parse", "HEAD")
}

func (c *clones) create(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	program, err := os.ReadFile(c.app)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "app"), program, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"content", "Procfile"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			return err
		}
	}
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "."}, {"commit", "-q", "-m", "first"}} {
		if _, err := git(context.Background(), dir, nil, args...); err != nil {
			return err
		}
	}
	return nil
}

// push pushes what was committed last.
func (c *clones) push(ctx context.Context, a *api, repo, app string) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	helper := `!f() { echo username=tenant; echo "password=$NIWA_CHAOS_TOKEN"; }; f`
	_, err := git(ctx, filepath.Join(c.dir, repo), []string{"NIWA_CHAOS_TOKEN=" + a.token},
		"-c", "credential.helper="+helper, "push", "-q", a.base+"/"+app+".git", "main")
	return err
}

// git runs the machine's git, without anybody's configuration.
func git(ctx context.Context, dir string, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append(env, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=tenant", "GIT_AUTHOR_EMAIL=tenant@localhost", "GIT_COMMITTER_NAME=tenant", "GIT_COMMITTER_EMAIL=tenant@localhost")...)
	cmd.WaitDelay = time.Second // its helper for HTTP does not go with it
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, said.String())
	}
	return strings.TrimSpace(string(out)), err
}

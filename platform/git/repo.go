package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"niwa/platform"
)

// Repositories are named by the app's uuid, so that a renamed app keeps its
// own and a new app of an old name never finds another's.
func (s *Server) repo(appID string) string { return filepath.Join(s.Dir, appID+".git") }

func (s *Server) hooks() string { return filepath.Join(s.Dir, "hooks") }

// settings are given to every git in its environment, which outranks what a
// repository's own config says. No config of the machine or of a user is
// read.
func (s *Server) settings() [][2]string {
	return [][2]string{
		{"safe.directory", "*"}, // the data directory may be owned by another user
		{"core.hooksPath", s.hooks()},
		{"core.fsync", "committed"}, // what was acknowledged survives a power cut
		{"transfer.fsckObjects", "true"},
		// Harmless slips of old tools, in the history of many a project.
		{"receive.fsck.badTimezone", "ignore"},
		{"receive.fsck.missingSpaceBeforeDate", "ignore"},
		{"receive.fsck.zeroPaddedFilemode", "ignore"},
		{"receive.maxInputSize", strconv.FormatInt(s.maxPush, 10)},
		{"receive.denyNonFastForwards", "false"},
		{"receive.denyDeletes", "false"}, // of main and master by the hook
		{"receive.denyDeleteCurrent", "ignore"},
		{"receive.advertisePushOptions", "false"},
		{"receive.shallowUpdate", "false"},
		{"receive.autogc", "true"},
		{"gc.autoDetach", "false"}, // nothing runs on after a push
		{"maintenance.autoDetach", "false"},
		{"uploadpack.allowFilter", "true"},
	}
}

// environment is all that a git run by niwa sees.
func (s *Server) environment() []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=/nonexistent",
		"LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_TERMINAL_PROMPT=0",
	}
	settings := s.settings()
	env = append(env, fmt.Sprintf("GIT_CONFIG_COUNT=%d", len(settings)))
	for i, kv := range settings {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, kv[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, kv[1]))
	}
	return env
}

// run runs a git to its end and returns what it printed, without the last
// newline. extra goes to the end of its environment.
func (s *Server) run(ctx context.Context, extra []string, args ...string) (string, error) {
	var out strings.Builder
	err := s.pipe(ctx, extra, &out, args...)
	return strings.TrimSuffix(out.String(), "\n"), err
}

// pipe runs a git to its end and writes what it prints to w.
func (s *Server) pipe(ctx context.Context, extra []string, w io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = append(s.environment(), extra...)
	cmd.Stdout = w
	var said tail
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("git %s: %w: %s", args[0], err, said.String())
	}
	return nil
}

// open returns the repository of an app, made at its first use.
func (s *Server) open(ctx context.Context, app platform.App) (string, error) {
	if _, err := uuid.Parse(app.ID); err != nil {
		return "", fmt.Errorf("id of app %q: %w", app.ID, err)
	}
	if err := s.writeHook(); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	dir := s.repo(app.ID)
	_, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = s.create(ctx, dir)
	}
	return dir, err
}

// create makes an empty repository, whole or not at all.
func (s *Server) create(ctx context.Context, dir string) error {
	temp, err := os.MkdirTemp(s.Dir, unborn)
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	if _, err := s.run(ctx, nil, "init", "--quiet", "--bare", "--template=", "--initial-branch=main", temp); err != nil {
		return err
	}
	return os.Rename(temp, dir)
}

// unborn begins the names of repositories that are being made.
const unborn = "new-"

// Sweep ends the gits of a niwa that was killed, and removes what they left:
// repositories half made, half a push, and locks that would refuse every later
// one. It comes before the first request.
func (s *Server) Sweep() error {
	if _, err := s.Procs.Sweep(procs); err != nil {
		return err
	}
	entries, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		name := filepath.Join(s.Dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), unborn):
			err = errors.Join(err, os.RemoveAll(name))
		case filepath.Ext(name) == ".git":
			err = errors.Join(err, sweep(name))
		}
	}
	return err
}

// sweep removes from one repository what its gits name as half made.
func sweep(dir string) error {
	for _, pattern := range []string{"*.lock", "gc.pid", "objects/tmp_objdir-*", "objects/??/tmp_obj_*", "objects/pack/tmp_*", "objects/pack/.tmp-*"} {
		left, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, name := range left {
			if err := os.RemoveAll(name); err != nil {
				return err
			}
		}
	}
	return filepath.WalkDir(filepath.Join(dir, "refs"), func(name string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // the repository was being removed
			return nil
		case err == nil && e.Type().IsRegular() && filepath.Ext(name) == ".lock":
			return os.Remove(name)
		}
		return err
	})
}

// writeHook puts the hook in its place. It must be executable there: git
// skips a hook that is not, and the push would be taken unbuilt.
func (s *Server) writeHook() error {
	name := filepath.Join(s.hooks(), "pre-receive")
	if have, err := os.ReadFile(name); err != nil || string(have) != hookScript {
		if err := os.MkdirAll(s.Dir, 0o700); err != nil {
			return err
		}
		if err := os.MkdirAll(s.hooks(), 0o700); err != nil {
			return err
		}
		if err := renameio.WriteFile(name, []byte(hookScript), 0o700); err != nil {
			return err
		}
	}
	if err := unix.Access(name, unix.X_OK); err != nil {
		return fmt.Errorf("%s cannot be executed (%w): keep the data directory on a file system without noexec", name, err)
	}
	return nil
}

// Remove deletes the repository of an app; a push under way is cut off.
func (s *Server) Remove(appID string) error {
	if _, err := uuid.Parse(appID); err != nil {
		return fmt.Errorf("id of app %q: %w", appID, err)
	}
	s.kill(func(id string) bool { return id == appID })
	s.mu.Lock()
	defer s.mu.Unlock()
	return os.RemoveAll(s.repo(appID))
}

// Size is how many bytes the repository of an app takes; 0 before its first
// use.
func (s *Server) Size(appID string) int64 {
	var size int64
	// A file that goes away meanwhile counts nothing.
	filepath.WalkDir(s.repo(appID), func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
		return nil
	})
	return size
}

// tail keeps the first bytes of what a program said on stderr.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	const enough = 4 << 10
	t.b = append(t.b, p[:min(len(p), enough-len(t.b))]...)
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(string(t.b)) }

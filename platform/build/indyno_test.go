package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"niwa/platform/dyno"
)

// inDyno runs a command in a Standard-1X dyno of the slug that a request made,
// and returns what it printed.
func (b *bench) inDyno(req Request, command string) string {
	b.t.Helper()
	out := &watched{}
	id := uuid.NewString()
	_, err := b.cfg.Runner.Start(b.t.Context(), dyno.Spec{
		ID: id, App: b.app, UID: b.uid, Slug: req.SlugPath, Command: command,
		Env: map[string]string{"PATH": os.Getenv("PATH"), "PORT": "5000", "DYNO": "web.1"}, Output: out,
		Limits: dyno.Limits{Memory: 512 << 20},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	exit, err := b.cfg.Runner.Wait(b.t.Context(), id)
	if err != nil || exit.Code != 0 {
		b.t.Errorf("%s ended with %d (%v):\n%s", command, exit.Code, err, out)
	}
	return out.String()
}

// toolAt is the PATH of builds with a folder that holds one program alone.
func toolAt(t testing.TB, program string) map[string]string {
	t.Helper()
	bin := reachable(t)
	if err := os.Symlink(program, filepath.Join(bin, filepath.Base(program))); err != nil {
		t.Fatal(err)
	}
	env := machineEnv()
	env["PATH"] = bin + ":" + env["PATH"]
	return env
}

// files makes entries of names and texts. Hooks are executable.
func files(texts map[string]string) (all []entry) {
	for name, text := range texts {
		e := entry{name: name, text: text}
		if strings.HasPrefix(name, "bin/") {
			e.mode = 0o755
		}
		all = append(all, e)
	}
	return all
}

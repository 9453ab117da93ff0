package platformtest_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"niwa/platform/platformtest"
)

// niwa runs a command on a data directory, and fails the test unless it ends
// as wanted.
func niwa(t *testing.T, binary, data string, want int, args ...string) string {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "NIWA_DATA="+data)
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != want {
		t.Fatalf("niwa %s: exit status %d, %v\n%s", strings.Join(args, " "), code, err, out)
	}
	return string(out)
}

// tree is what is below a directory: every path with its size.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil {
			all[path] = fmt.Sprint(info.Mode(), info.Size(), info.ModTime())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// planted is a platform with an app that has a config var.
func planted(t *testing.T, binary, data, stone string) *platformtest.Program {
	t.Helper()
	p := platformtest.Up(t, binary, data, "--runtime", "process")
	ok(t, p.Call(t, "POST", "/apps", map[string]any{"name": "garden"}, nil), 201)
	ok(t, p.Call(t, "PATCH", "/apps/garden/config-vars", map[string]any{"STONE": stone}, nil), 200)
	return p
}

func stone(t *testing.T, p *platformtest.Program) string {
	t.Helper()
	var config map[string]string
	ok(t, p.Call(t, "GET", "/apps/garden/config-vars", nil, &config), 200)
	return config["STONE"]
}

func TestABackupIsTakenOfAPlatformThatRunsStoppedOrWasKilled(t *testing.T) {
	binary, data, files := platformtest.Build(t), platformtest.Dir(t), t.TempDir()
	p := planted(t, binary, data, "granite")
	for _, c := range []struct {
		name    string
		prepare func()
	}{
		{"runs", func() {}},
		{"was stopped", func() { p.Stop(t) }},
		{"was killed", func() { p = platformtest.Up(t, binary, data, "--runtime", "process"); p.Kill(t) }},
	} {
		name := c.name
		c.prepare()
		file := filepath.Join(files, name)
		niwa(t, binary, data, 0, "backup", file)
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		elsewhere := filepath.Join(platformtest.Dir(t), "new")
		niwa(t, binary, elsewhere, 0, "restore", file)
		again := platformtest.Up(t, binary, elsewhere, "--runtime", "process")
		if got := stone(t, again); got != "granite" || again.Token != p.Token {
			t.Errorf("%s: the config var is %q, the token the same: %v", name, got, again.Token == p.Token)
		}
		again.Stop(t)
	}
}

func TestABadArchiveIsRefusedAndNothingIsTouched(t *testing.T) {
	binary, data, files := platformtest.Build(t), platformtest.Dir(t), t.TempDir()
	p := planted(t, binary, data, "granite")
	good := filepath.Join(files, "good")
	niwa(t, binary, data, 0, "backup", good)
	p.Stop(t)
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	edited := bytes.Clone(whole)
	copy(edited[len(edited)/2:], "changed")
	before := tree(t, data)
	for name, content := range map[string][]byte{
		"cut off": whole[:len(whole)-100], "changed": edited, "another's": []byte("Dear diary"), "empty": nil,
	} {
		file := filepath.Join(files, name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		out := niwa(t, binary, data, 1, "restore", "--force", file)
		if !strings.Contains(out, "archive") {
			t.Errorf("%s: %s", name, out)
		}
		elsewhere := filepath.Join(files, "elsewhere")
		niwa(t, binary, elsewhere, 1, "restore", file)
		if _, err := os.Stat(elsewhere); err == nil {
			t.Errorf("%s: a directory was made", name)
		}
	}
	out := niwa(t, binary, data, 1, "restore", good)
	if !strings.Contains(out, "--force") {
		t.Errorf("over a platform: %s", out)
	}
	if diff := cmp.Diff(before, tree(t, data)); diff != "" {
		t.Errorf("the data directory has changed:\n%s", diff)
	}
}

func TestARestoreReplacesWholePlatformsAndKeepsThemAside(t *testing.T) {
	binary, data, file := platformtest.Build(t), filepath.Join(platformtest.Dir(t), "data"), filepath.Join(t.TempDir(), "backup")
	p := planted(t, binary, data, "granite")
	mark := "mark-" + filepath.Base(filepath.Dir(data))
	deploy(t, p, "garden", worker(mark))
	ok(t, p.Call(t, "PATCH", "/apps/garden/formation", map[string]any{"updates": []any{map[string]any{"type": "worker", "quantity": 1}}}, nil), 200)
	p.App("garden").Settled(t, 1)
	niwa(t, binary, data, 0, "backup", file)
	ok(t, p.Call(t, "PATCH", "/apps/garden/config-vars", map[string]any{"STONE": "basalt"}, nil), 200)
	p.App("garden").Settled(t, 1)

	out := niwa(t, binary, data, 1, "restore", "--force", file)
	if want := fmt.Sprintf("pid %d", p.PID); !strings.Contains(out, want) {
		t.Errorf("over a niwa that runs: no %q in %s", want, out)
	}
	if got := stone(t, p); got != "basalt" {
		t.Errorf("after a restore that was refused the config var is %q", got)
	}
	p.Kill(t)

	if running(t, mark) == 0 {
		t.Error("no dyno outlived the niwa that was killed, so that less is shown")
	}
	out = niwa(t, binary, data, 0, "restore", "--force", file)
	if n := running(t, mark); n > 0 {
		t.Errorf("%d dynos of the platform that was replaced run on", n)
	}
	asides, err := filepath.Glob(data + ".before-restore-*")
	if err != nil || len(asides) != 1 || !strings.Contains(out, asides[0]) {
		t.Fatalf("aside are %v, and it says\n%s", asides, out)
	}
	for dir, want := range map[string]string{data: "granite", asides[0]: "basalt"} {
		p := platformtest.Up(t, binary, dir, "--runtime", "process")
		if got := stone(t, p); got != want {
			t.Errorf("in %s the config var is %q, want %q", dir, got, want)
		}
		p.Stop(t)
	}
}

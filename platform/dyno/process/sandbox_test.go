package process_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"niwa/platform/dyno"
	"niwa/platform/dyno/dynotest"
	"niwa/platform/dyno/process"
	"niwa/platform/platformtest/need"
	"niwa/platform/proc"
)

// openDir is a directory that every user may read, and that is in nothing that
// each dyno has its own of, if one can be had.
func openDir(t *testing.T) string {
	t.Helper()
	base := ""
	if os.Geteuid() == 0 {
		base = "/var/lib"
	}
	dir, err := os.MkdirTemp(base, "niwa-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// run runs a dyno to its end.
func run(t *testing.T, r *process.Runner, spec dyno.Spec) string {
	t.Helper()
	var out strings.Builder
	spec.ID, spec.UID, spec.Output = uuid.NewString(), uid(1), &out
	if spec.Dir == "" {
		spec.Slug = dynotest.Slug(t)
	}
	if _, err := r.Start(within(t), spec); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Wait(within(t), spec.ID); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// contained is a runner whose dynos have namespaces.
func contained(t *testing.T, cfg process.Config) *process.Runner {
	t.Helper()
	place := dynotest.Dir(t)
	table, err := proc.Open(filepath.Join(place, "procs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := table.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	cfg.Dir, cfg.Procs, cfg.Platform = filepath.Join(place, "dynos"), table, platformAt(place)
	if cfg.Path == "" {
		cfg.Path = path
	}
	r := process.New(cfg)
	if options(t, r).Exposed {
		need.Reason(t, "needs namespaces")
	}
	return r
}

func TestWhatIsHiddenIsOutOfReach(t *testing.T) {
	people, link := openDir(t), filepath.Join(openDir(t), "link")
	put(t, filepath.Join(people, ".ssh/key"), "s3cret")
	put(t, filepath.Join(people, "tools/bin/tool"), "#!/bin/sh\ncat $(dirname $0)/../lib/words\n")
	put(t, filepath.Join(people, "tools/lib/words"), "the tool works\n")
	put(t, filepath.Join(people, "tools/niwa/token"), "s3cret")
	put(t, filepath.Join(people, "certs/ca.pem"), "a certificate\n")
	put(t, filepath.Join(people, "file"), "s3cret")
	if err := os.Symlink(people, link); err != nil {
		t.Fatal(err)
	}
	shut := filepath.Join(people, "shut")
	put(t, filepath.Join(shut, "tools/bin/secret-tool"), "#!/bin/sh\necho s3cret\n")
	if err := os.Chmod(shut, 0o700); err != nil {
		t.Fatal(err)
	}
	r := contained(t, process.Config{
		Path: link + "/tools/bin:" + shut + "/tools/bin:" + path,
		Hide: []string{link, filepath.Join(people, "tools/niwa"), filepath.Join(people, "file"), "/no/such/folder"},
		Show: []string{filepath.Join(people, "certs/ca.pem")},
	})
	command := "cd / && tool; cat " + people + "/certs/ca.pem; cat $THERE/.ssh/key $THERE/file $THERE/tools/niwa/token; ls -A $THERE/tools/niwa; touch $THERE/new"
	for _, there := range []string{people, link} {
		if os.Geteuid() == 0 { // otherwise the dyno's user is the one who shut it
			command += "; secret-tool"
		}
		out := run(t, r, dyno.Spec{Command: "(" + command + ") 2>/dev/null", Env: map[string]string{"THERE": there}})
		if out != "the tool works\na certificate\n" {
			t.Errorf("at %s a dyno sees %q", there, out)
		}
	}
	if _, err := os.Stat(filepath.Join(people, "new")); err == nil {
		t.Error("a dyno has made a file in what is hidden")
	}
}

// TestACoverCannotBeLifted has a dyno make namespaces of its own, where it may
// mount and unmount.
func TestACoverCannotBeLifted(t *testing.T) {
	need.Tool(t, "unshare")
	hidden := openDir(t)
	put(t, filepath.Join(hidden, "token"), "s3cret")
	r := contained(t, process.Config{Hide: []string{hidden}})
	out := run(t, r, dyno.Spec{Env: map[string]string{"HIDDEN": hidden}, Command: `unshare --user --map-root-user --mount sh -c '
		umount $HIDDEN; umount -l $HIDDEN; mount -o remount,rw,bind /; umount -l /proc; umount -l /
		cat $HIDDEN/token /proc/*/root$HIDDEN/token; mkdir /mark && echo made; mount --bind / /tmp && cat /tmp$HIDDEN/token' 2>/dev/null; echo over`})
	if out != "over\n" {
		t.Errorf("it got this far: %q", out)
	}
}

func TestTheSocketsOfThisMachineAreOutOfReach(t *testing.T) {
	need.Root(t)
	path := filepath.Join("/run", "niwa-test-"+uuid.NewString())
	service, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	r := contained(t, process.Config{})
	if out := run(t, r, dyno.Spec{Command: "ls -d " + path + " /var" + path + " 2>/dev/null; getent hosts localhost >/dev/null && echo names are found"}); out != "names are found\n" {
		t.Errorf("a dyno sees %q", out)
	}
}

func TestADynoSeesNoOtherDynosFolder(t *testing.T) {
	r := contained(t, process.Config{})
	other := dynotest.Slug(t, dynotest.Entry{Name: "config", Text: "s3cret"})
	w, _ := output(t)
	id := uuid.NewString()
	if _, err := r.Start(within(t), dyno.Spec{ID: id, UID: uid(1), Slug: other, Output: w, Command: "sleep 600"}); err != nil {
		t.Fatal(err)
	}
	defer r.Stop(within(t), id, 0)
	// Of the same app, so that its user may read the other's files.
	if out := run(t, r, dyno.Spec{Command: "find / -xdev -name config -path '*app*' 2>/dev/null; find / -name '" + id + "*' 2>/dev/null; echo over"}); !strings.HasSuffix(out, "over\n") || strings.Contains(out, "dynos") {
		t.Errorf("it finds %q", out)
	}
}

func TestABuildHasItsDirectoryAndTheToolsOfItsOwnPath(t *testing.T) {
	tools, dir := openDir(t), dynotest.Dir(t)
	put(t, filepath.Join(tools, "bin/tool"), "#!/bin/sh\necho the tool works\n")
	r := contained(t, process.Config{Hide: []string{filepath.Dir(tools)}})
	out := run(t, r, dyno.Spec{Dir: dir, Env: map[string]string{"PATH": filepath.Join(tools, "bin") + ":" + path, "DIR": dir},
		Command: `tool; [ "$HOME" = "$DIR" ] && [ "$PWD" = "$DIR" ] && echo made > made && mkdir -p /app/.heroku && echo as asked`})
	if out != "the tool works\nas asked\n" {
		t.Errorf("a build says %q", out)
	}
	if made, err := os.ReadFile(filepath.Join(dir, "made")); err != nil || string(made) != "made\n" {
		t.Errorf("what it made is %q, %v", made, err)
	}
}

func TestProgramsFindADynosOwnMemoryInItsControlGroup(t *testing.T) {
	need.Root(t)
	const file = "/sys/fs/cgroup/memory/memory.limit_in_bytes"
	if _, err := os.Stat(file); err != nil {
		need.Reason(t, "needs control groups of version 1")
	}
	r := contained(t, process.Config{})
	out := run(t, r, dyno.Spec{Limits: dyno.Limits{Memory: 100 << 20},
		Command: `cat ` + file + `; cat /sys/fs/cgroup/memory$(awk -F: '$2 == "memory" { print $3 }' /proc/self/cgroup)/memory.limit_in_bytes`})
	if out != "104857600\n104857600\n" {
		t.Errorf("they find %q", out)
	}
}

func TestWhatIsNotIsolatedIsSaid(t *testing.T) {
	for name, want := range map[string][]string{
		"with all that there is here": {"network", "disk"},
		"without control groups":      {"network", "each second", "number of a dyno's processes", "disk"},
		"without namespaces":          {"network", "/app is not /app", "each second", "number of a dyno's processes", "disk"},
	} {
		r, _ := newRunner(t)
		variants()[name](r)
		gaps, err := r.Gaps()
		if err != nil {
			t.Fatal(err)
		}
		all := strings.Join(gaps, "\n")
		for _, about := range want {
			if about == "number of a dyno's processes" && os.Geteuid() != 0 && strings.Contains(name, "groups") {
				continue // a user namespace limits it
			}
			if !strings.Contains(all, about) {
				t.Errorf("%s nothing is said of %q:\n%s", name, about, all)
			}
		}
		if os.Geteuid() == 0 && len(gaps) != len(want) {
			t.Errorf("%s too much is said:\n%s", name, all)
		}
	}
}

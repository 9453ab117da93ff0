package cgroup

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"niwa/platform/platformtest/need"
)

const (
	hybrid = `23 1 254:0 / / rw,relatime - ext4 /dev/vda rw
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 master:3 - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`
	hybridOwn = "9:name=systemd:/user.slice\n8:pids:/user.slice/a\n4:memory:/user.slice/b\n1:cpu,cpuacct:/\n0::/user.slice/d\n"
)

func TestTheHierarchiesOfVersion1AreFound(t *testing.T) {
	for root, want := range map[bool][]string{
		true:  {"/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/pids"},
		false: {"/sys/fs/cgroup/memory/user.slice/b", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/pids/user.slice/a"},
	} {
		tree, err := place([]byte(hybrid), []byte(hybridOwn), root)
		if err != nil || tree.version != 1 {
			t.Fatalf("%+v, %v", tree, err)
		}
		if diff := cmp.Diff(want, tree.dirs); diff != "" {
			t.Errorf("as root: %v (-want +got):\n%s", root, diff)
		}
	}
	_, err := place([]byte(strings.ReplaceAll(hybrid, "pids", "rdma")), []byte(hybridOwn), true)
	if err == nil || !strings.Contains(err.Error(), "pids") {
		t.Errorf("without one of them: %v", err)
	}
}

// unified is a folder laid out as version 2 is, as far as niwa looks at it.
func unified(t *testing.T, own string) (*Tree, string) {
	t.Helper()
	top := filepath.Join(t.TempDir(), "a b")
	for _, dir := range []string{top, filepath.Join(top, own)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, "cgroup.controllers"), "cpuset cpu io memory pids\n")
	}
	mounts := "30 23 0:26 / " + strings.ReplaceAll(top, " ", `\040`) + " rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	tree, err := place([]byte(mounts), []byte("0::/"+own+"\n"), own == "")
	if err != nil {
		t.Fatal(err)
	}
	return tree, top
}

func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestVersion2IsFound(t *testing.T) {
	for own, want := range map[string]string{"": "a b", "user.slice/user-7.slice": "a b/user.slice/user-7.slice"} {
		tree, top := unified(t, own)
		if got := []string{filepath.Join(filepath.Dir(top), want)}; tree.version != 2 || !cmp.Equal(tree.dirs, got) {
			t.Errorf("from %q: %+v, want %v", own, tree, got)
		}
	}
}

func TestAGroupOfVersion2HasItsLimits(t *testing.T) {
	tree, top := unified(t, "")
	tree.dirs[0] = filepath.Join(top, "niwa-x")
	g, err := tree.Make("dyno", Limits{Memory: 1 << 30, CPU: 2048, Processes: 272})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Add(4242); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	files, err := filepath.Glob(filepath.Join(top, "niwa-x", "dyno", "*"))
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, filepath.Join(top, "cgroup.subtree_control"), filepath.Join(top, "niwa-x", "cgroup.subtree_control"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel(top, file)
		if err != nil {
			t.Fatal(err)
		}
		got[name] = string(text)
	}
	want := map[string]string{
		"cgroup.subtree_control":        "+memory +cpu +pids",
		"niwa-x/cgroup.subtree_control": "+memory +cpu +pids",
		"niwa-x/dyno/cgroup.procs":      "4242",
		"niwa-x/dyno/memory.max":        "1073741824",
		"niwa-x/dyno/memory.swap.max":   "0",
		"niwa-x/dyno/memory.oom.group":  "1",
		"niwa-x/dyno/cpu.weight":        "200",
		"niwa-x/dyno/pids.max":          "272",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if files := g.LimitFiles(); !cmp.Equal(files, []string{filepath.Join(top, "niwa-x/dyno/memory.max")}) {
		t.Errorf("it is read in %v", files)
	}
}

func TestAGroupOfVersion2IsMeasured(t *testing.T) {
	tree, top := unified(t, "")
	tree.dirs[0] = filepath.Join(top, "niwa-x")
	g, err := tree.Make("dyno", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(top, "niwa-x", "dyno")
	put(t, filepath.Join(dir, "memory.current"), "1000000\n")
	put(t, filepath.Join(dir, "memory.stat"), "anon 600000\nfile 400000\ninactive_file 300000\nactive_file 100000\n")
	put(t, filepath.Join(dir, "memory.events"), "low 0\nhigh 0\nmax 12\noom 0\noom_kill 0\noom_group_kill 0\n")
	if used, err := g.Memory(); err != nil || used != 700000 {
		t.Errorf("it uses %d, %v", used, err)
	}
	if g.Exhausted() {
		t.Error("it is exhausted")
	}
	put(t, filepath.Join(dir, "memory.events"), "max 99\noom 1\noom_kill 1\noom_group_kill 1\n")
	if !g.Exhausted() {
		t.Error("it is not exhausted")
	}
	if tree.Find("dyno") == nil || tree.Find("nobody") != nil {
		t.Error("one that is there was not found, or one that is not")
	}
}

// TestWhatNobodyKeepsIsSwept is about groups of the kernel here.
func TestWhatNobodyKeepsIsSwept(t *testing.T) {
	tree, err := Open(uuid.NewString())
	if err != nil {
		need.Reason(t, "needs control groups: "+err.Error())
	}
	for _, dir := range tree.dirs {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s is there before there is a group in it", dir)
		}
	}
	groups := map[string]*Group{}
	for _, id := range []string{"kept", "left"} {
		if groups[id], err = tree.Make(id, Limits{Memory: 64 << 20, CPU: 512, Processes: 20}); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("sh", "-c", "sleep 600 & wait")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := groups["left"].Add(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	again, err := Open(strings.TrimPrefix(filepath.Base(tree.dirs[0]), "niwa-"))
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Sweep(func(id string) bool { return id == "kept" }); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || cmd.ProcessState.String() != "signal: killed" {
		t.Errorf("what was in it ended with %v", err)
	}
	kept := again.Find("kept")
	if kept == nil || again.Find("left") != nil {
		t.Fatal("the one that was to be kept is not there, or the other is")
	}
	if used, err := kept.Memory(); err != nil || used > 1<<20 {
		t.Errorf("an empty group uses %s, %v", strconv.FormatInt(used, 10), err)
	}
	if err := kept.Remove(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range tree.dirs {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s is there after its last group", dir)
		}
	}
}

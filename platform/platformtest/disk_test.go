package platformtest_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"niwa/platform/platformtest"
	"niwa/platform/platformtest/need"
)

// disk is a small one, with a data directory on it.
type disk struct{ dir string }

func newDisk(t *testing.T, megabytes int) *disk {
	t.Helper()
	need.Root(t)
	d := &disk{platformtest.Dir(t)}
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm,mode=711", megabytes), "tmpfs", d.dir).CombinedOutput()
	if err != nil {
		need.Reason(t, "needs the right to mount a tmpfs: "+strings.TrimSpace(string(out)))
	}
	t.Cleanup(func() { // after the platform has stopped
		if out, err := exec.Command("umount", d.dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	return d
}

func (d *disk) filler() string { return filepath.Join(d.dir, "filler") }

// fill leaves so many megabytes free.
func (d *disk) fill(t *testing.T, leave int64) {
	t.Helper()
	file, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	block := make([]byte, 1<<16)
	for err == nil {
		_, err = file.Write(block)
	}
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Truncate(max(0, info.Size()-leave<<20)); err != nil {
		t.Fatal(err)
	}
}

func (d *disk) free(t *testing.T) {
	t.Helper()
	if err := os.Remove(d.filler()); err != nil {
		t.Fatal(err)
	}
}

// plot is an app that serves, and says something ten times a second, on a
// small disk.
type plot struct {
	*platformtest.App
	*disk
	env []string // of git, made while there is room
}

func newPlot(t *testing.T) *plot {
	t.Helper()
	need.Tool(t, "git")
	d := newDisk(t, 100)
	p := &plot{App: platformtest.Up(t, platformtest.Build(t), d.dir, "--runtime", "process").Create(t, "garden"), disk: d}
	p.env = p.Environment(t)
	static(t, "echo", p.Dir)
	ok(t, p.Call(t, "POST", "/apps", map[string]any{"name": "pond"}, nil), 201) // which runs nothing
	if said, err := p.push(t, 1); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	ok(t, p.Call(t, "PATCH", "/apps/garden/formation", map[string]any{"updates": []any{
		map[string]any{"type": "web", "quantity": 1}, map[string]any{"type": "worker", "quantity": 1},
	}}, nil), 200)
	p.Settled(t, 2)
	p.serves(t, 1)
	return p
}

func (p *plot) push(t *testing.T, version int) (said string, err error) {
	t.Helper()
	procfile := fmt.Sprintf("web: ./echo --version %d\nworker: i=0; while :; do i=$((i+1)); echo version %[1]d says $i; sleep 0.1; done\n", version)
	p.Write(t, "Procfile", procfile)
	p.Commit(t)
	cmd := exec.Command("git", "push", p.Repository(), "main")
	cmd.Dir, cmd.Env = p.Dir, p.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// serves waits until a version answers.
func (p *plot) serves(t *testing.T, version int) {
	t.Helper()
	platformtest.Await(t, fmt.Sprint("version ", version), func() (string, bool) {
		resp, _, err := p.Get("garden", "/")
		if err != nil {
			return err.Error(), false
		}
		return resp.Status, resp.Header.Get("Version") == fmt.Sprint(version)
	})
}

// speaks waits until the worker's newest line is in the log.
func (p *plot) speaks(t *testing.T) string {
	t.Helper()
	before := strings.Count(p.Log(t, ""), "\n")
	var last string
	platformtest.Await(t, "a new line", func() (string, bool) {
		text := strings.TrimSpace(p.Log(t, ""))
		last = text[strings.LastIndex(text, "\n")+1:]
		return last, strings.Count(text, "\n")+1 > before && strings.Contains(last, "app[worker.1]: version")
	})
	return last
}

func (p *plot) set(t *testing.T, value string) int {
	t.Helper()
	return p.Call(t, "PATCH", "/apps/pond/config-vars", map[string]any{"STONE": value}, nil)
}

func TestAFullDiskIsSaidAndNothingIsLost(t *testing.T) {
	t.Parallel() // most of it is waiting
	p := newPlot(t)
	ok(t, p.set(t, "granite"), 200)
	p.fill(t, 0)

	// What runs goes on; what would have to be written down is refused.
	kept, refused := "granite", 0
	for i := 0; refused == 0 && i < 200; i++ { // until the pages that SQLite has at hand are used up
		next := strings.Repeat("x", 20_000) + fmt.Sprint(i)
		if status := p.set(t, next); status == 200 {
			kept = next
		} else {
			refused = status
		}
	}
	if refused != http.StatusServiceUnavailable {
		t.Errorf("a change is answered %d, want 503", refused)
	}
	ok(t, p.Call(t, "GET", "/apps/garden", nil, nil), 200)
	p.serves(t, 1)
	said := p.speaks(t)
	platformtest.Await(t, "word of it", func() (string, bool) { return p.Output(), strings.Contains(p.Output(), "nearly full") })
	if out, err := p.push(t, 2); err == nil || !strings.Contains(out, "No space left on device") && !strings.Contains(out, "is full") {
		t.Errorf("a push: %v\n%s", err, out)
	}
	var source struct {
		SourceBlob struct {
			PutURL string `json:"put_url"`
		} `json:"source_blob"`
	}
	ok(t, p.Call(t, "POST", "/sources", nil, &source), 201)
	put, err := http.NewRequest("PUT", source.SourceBlob.PutURL, bytes.NewReader(make([]byte, 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	// The answer may come, and the connection end, before all has been sent.
	if resp, err := http.DefaultClient.Do(put); err == nil {
		resp.Body.Close()
		ok(t, resp.StatusCode, http.StatusServiceUnavailable)
	}
	for _, command := range []string{"status", "doctor"} {
		if out, _ := p.Niwa(t, p.Data, command); !strings.Contains(out, "changes and pushes may be refused") {
			t.Errorf("niwa %s says nothing of it:\n%s", command, out)
		}
	}

	// It can be backed up to another disk even so. A restart is a change like
	// others, and what is refused stops nothing.
	file := filepath.Join(t.TempDir(), "backup")
	niwa(t, p.Binary, p.Data, 0, "backup", file)
	if out := niwa(t, p.Binary, p.Data, 1, "restore", "--force", file); !strings.Contains(out, "mount point") {
		t.Errorf("restoring over the disk itself: %s", out)
	}
	ok(t, p.Call(t, "DELETE", "/apps/garden/dynos", nil, nil), 503)
	p.serves(t, 1)
	p.free(t)
	ok(t, p.Call(t, "DELETE", "/apps/garden/dynos", nil, nil), 202)
	p.serves(t, 1)
	p.speaks(t)
	if out, err := p.push(t, 3); err != nil {
		t.Errorf("a push when there is room again: %v\n%s", err, out)
	}
	p.serves(t, 3)
	if got := config(t, p.Program, "pond")["STONE"]; got != kept {
		t.Errorf("the last config var that was taken is %.20q… of %d bytes, want %.20q… of %d", got, len(got), kept, len(kept))
	}
	p.Kill(t)
	again := platformtest.Up(t, p.Binary, p.Data, "--runtime", "process")
	if text := again.App("garden").Log(t, ""); !strings.Contains(text, said) {
		t.Errorf("a line that was read while the disk was full is gone: %s", said)
	}
	if got := config(t, again, "pond")["STONE"]; got != kept {
		t.Error("after a kill the config var is another")
	}
}

func TestAPushForWhichThereIsTooLittleRoomLeavesNothingHalf(t *testing.T) {
	t.Parallel() // most of it is waiting
	p := newPlot(t)
	released := 1
	for version, megabytes := range []int64{1, 5, 8, 11, 14, 17} {
		p.fill(t, megabytes)
		out, err := p.push(t, version+2)
		switch {
		case err == nil:
			released = version + 2
		case !strings.Contains(out, "is full") && !strings.Contains(out, "No space left on device"):
			t.Errorf("with %d MB: %v\n%s", megabytes, err, out)
		}
		p.free(t)
		p.serves(t, released)
		slugs, globErr := filepath.Glob(filepath.Join(p.Data, "slugs", "*"))
		hidden, hiddenErr := filepath.Glob(filepath.Join(p.Data, "slugs", ".*"))
		if globErr != nil || hiddenErr != nil || len(hidden) > 0 {
			t.Errorf("with %d MB there is %v beside %v", megabytes, hidden, slugs)
		}
	}
	if released == 1 {
		t.Error("no push went through, so that too little is shown")
	}
	p.Stop(t)
	again := platformtest.Up(t, p.Binary, p.Data, "--runtime", "process")
	p.Program = again
	p.serves(t, released)
}

func config(t *testing.T, p *platformtest.Program, app string) (vars map[string]string) {
	t.Helper()
	ok(t, p.Call(t, "GET", "/apps/"+app+"/config-vars", nil, &vars), 200)
	return vars
}

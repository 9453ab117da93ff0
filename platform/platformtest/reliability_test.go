package platformtest_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"niwa/platform/platformtest"
)

// deploy builds and releases a folder of files as an app, through the API.
func deploy(t *testing.T, p *platformtest.Program, app string, files map[string]string) {
	t.Helper()
	dir := platformtest.Dir(t)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tarball, err := exec.Command("tar", "cz", "-C", dir, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	var source struct {
		SourceBlob struct {
			PutURL string `json:"put_url"`
			GetURL string `json:"get_url"`
		} `json:"source_blob"`
	}
	ok(t, p.Call(t, "POST", "/sources", nil, &source), 201)
	put, err := http.NewRequest("PUT", source.SourceBlob.PutURL, strings.NewReader(string(tarball)))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(put)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	ok(t, resp.StatusCode, 200)
	var build struct{ ID, Status string }
	ok(t, p.Call(t, "POST", "/apps/"+app+"/builds", map[string]any{"source_blob": map[string]any{"url": source.SourceBlob.GetURL}}, &build), 201)
	platformtest.Await(t, "the build", func() (string, bool) {
		p.Call(t, "GET", "/apps/"+app+"/builds/"+build.ID, nil, &build)
		return build.Status, build.Status != "pending"
	})
	if build.Status != "succeeded" {
		t.Fatalf("the build %s", build.Status)
	}
}

func ok(t *testing.T, status, want int) {
	t.Helper()
	if status != want {
		t.Fatalf("status %d, want %d", status, want)
	}
}

// worker is an app that needs nothing but a shell. Its command line bears a
// mark that ps finds.
func worker(mark string) map[string]string {
	return map[string]string{"Procfile": "worker: sh -c 'echo planted; while sleep 1; do :; done' " + mark + "\n"}
}

// running counts the processes whose command line bears a mark.
func running(t *testing.T, mark string) int {
	t.Helper()
	out, err := exec.Command("ps", "-eo", "args").Output()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "sh -c") && strings.Contains(line, mark) {
			n++
		}
	}
	return n
}

func TestKillMinusNineLosesNothingAndLeavesNothing(t *testing.T) {
	binary, data := platformtest.Build(t), platformtest.Dir(t)
	mark := "mark-" + filepath.Base(data)
	p := platformtest.Up(t, binary, data)
	ok(t, p.Call(t, "POST", "/apps", map[string]any{"name": "garden"}, nil), 201)
	deploy(t, p, "garden", worker(mark))
	ok(t, p.Call(t, "PATCH", "/apps/garden/formation", map[string]any{"updates": []any{map[string]any{"type": "worker", "quantity": 3}}}, nil), 200)
	p.App("garden").Settled(t, 3)
	ok(t, p.Call(t, "PATCH", "/apps/garden/config-vars", map[string]any{"STONE": "granite"}, nil), 200)
	platformtest.Await(t, "three processes", func() (string, bool) { n := running(t, mark); return fmt.Sprint(n), n == 3 })
	p.Kill(t)

	p = platformtest.Up(t, binary, data)
	p.App("garden").Settled(t, 3)
	if n := running(t, mark); n != 3 {
		t.Errorf("%d processes of the app run, want 3: those of the dead niwa must be gone", n)
	}
	var config map[string]string
	ok(t, p.Call(t, "GET", "/apps/garden/config-vars", nil, &config), 200)
	if config["STONE"] != "granite" {
		t.Errorf("the config vars are %v", config)
	}
	var releases []struct{ Version int }
	ok(t, p.Call(t, "GET", "/apps/garden/releases", nil, &releases), 200)
	if len(releases) != 3 {
		t.Errorf("the releases are %v, want v1 to v3", releases)
	}
	logs, code := p.Niwa(t, data, "status")
	if code != 0 || !strings.Contains(logs, "garden") && !strings.Contains(logs, "run") {
		t.Errorf("niwa status: exit status %d\n%s", code, logs)
	}
	p.Stop(t)
	if n := running(t, mark); n != 0 {
		t.Errorf("%d processes of the app run after niwa has stopped", n)
	}
}

func TestASecondNiwaOnTheSameDirectoryIsRefusedByName(t *testing.T) {
	p := platformtest.Up(t, platformtest.Build(t), platformtest.Dir(t))
	out, code := p.Niwa(t, p.Data, "up", "--data", p.Data, "--api", "localhost:0", "--router", "127.0.0.1:0", "--router-tls", "127.0.0.1:0")
	if want := fmt.Sprintf("pid %d", p.PID); code != 1 || !strings.Contains(out, want) || !strings.Contains(out, p.Data) {
		t.Errorf("exit status %d; the message names neither %q nor the directory:\n%s", code, want, out)
	}
	ok(t, p.Call(t, "GET", "/apps", nil, nil), 200)
}

func TestAPortInUseIsNamedWithTheFlagThatChangesIt(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cmd := exec.Command(platformtest.Build(t), "up", "--data", platformtest.Dir(t), "--api", "localhost:0", "--router", ln.Addr().String(), "--router-tls", "127.0.0.1:0")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), ln.Addr().String()) || !strings.Contains(string(out), "--router") {
		t.Errorf("%v:\n%s", err, out)
	}
}

func TestACorruptTableFileIsSetAsideAndMadeAnew(t *testing.T) {
	binary, data := platformtest.Build(t), platformtest.Dir(t)
	p := platformtest.Up(t, binary, data)
	ok(t, p.Call(t, "POST", "/apps", map[string]any{"name": "garden"}, nil), 201)
	p.Stop(t)
	table := filepath.Join(data, "routes.log")
	if err := os.WriteFile(table, []byte("not a table"), 0o600); err != nil {
		t.Fatal(err)
	}
	p = platformtest.Up(t, binary, data)
	if !strings.Contains(p.Output(), "corrupt") {
		t.Errorf("nothing is said of the corrupt table:\n%s", p.Output())
	}
	resp, _, err := p.Get("garden", "/")
	if err != nil || resp.StatusCode == http.StatusNotFound {
		t.Errorf("the router does not know the app any more: %v, %v", resp, err)
	}
	if kept, err := os.ReadFile(table + ".corrupt"); err != nil || string(kept) != "not a table" {
		t.Errorf("the corrupt file was not kept: %q, %v", kept, err)
	}
}

func TestStoppingWithSIGTERMKeepsEverything(t *testing.T) {
	binary, data := platformtest.Build(t), platformtest.Dir(t)
	p := platformtest.Up(t, binary, data)
	ok(t, p.Call(t, "POST", "/apps", map[string]any{"name": "garden"}, nil), 201)
	deploy(t, p, "garden", worker("mark-"+filepath.Base(data)))
	ok(t, p.Call(t, "PATCH", "/apps/garden/formation", map[string]any{"updates": []any{map[string]any{"type": "worker", "quantity": 1}}}, nil), 200)
	p.App("garden").Settled(t, 1)
	platformtest.Await(t, "the worker's line", func() (string, bool) {
		s := p.App("garden").Log(t, "")
		return s, strings.Contains(s, "app[worker.1]: planted")
	})
	before := p.App("garden").Log(t, "")
	begin := time.Now()
	p.Stop(t)
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("stopping took %v, though the dyno ends on SIGTERM", took)
	}
	p = platformtest.Up(t, binary, data)
	p.App("garden").Settled(t, 1)
	if after := p.App("garden").Log(t, ""); !strings.HasPrefix(after, before) {
		t.Errorf("log lines that were read are gone. Before:\n%s\nAfter:\n%s", before, after)
	}
}

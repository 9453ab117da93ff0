package cli

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"niwa/platform/docker"
	"niwa/platform/lesson"
	"niwa/platform/platformtest"
	"niwa/platform/platformtest/need"
)

func TestAPlatformComesUpIsSeenAndGoesDown(t *testing.T) {
	p := platformtest.Up(t, platformtest.Build(t), platformtest.Dir(t))
	pid := fmt.Sprintf("pid %d", p.PID)
	platformtest.Await(t, "a ready line for each listener", func() (string, bool) {
		said := p.Output()
		return said, strings.Count(said, "ready  ") >= 3
	})

	out, status := p.Niwa(t, "", "up", "--api", "127.0.0.1:0", "--router", "127.0.0.1:0", "--router-tls", "127.0.0.1:0")
	if status != 1 || !strings.Contains(out, p.Data) || !strings.Contains(out, pid) || strings.Count(out, "\n") != 1 {
		t.Errorf("a second one: status %d, %q; want one line that names the directory and the process", status, out)
	}
	if out, status := p.Niwa(t, "", "status"); status != 0 || !strings.Contains(out, pid) || !strings.Contains(out, p.Router) {
		t.Errorf("status: %d, %q", status, out)
	}
	address := strings.TrimPrefix(p.Router, "http://")
	out, status = p.Niwa(t, "", "up", "--data", platformtest.Dir(t), "--api", "127.0.0.1:0", "--router", address, "--router-tls", "127.0.0.1:0")
	if status != 1 || !strings.Contains(out, address) || !strings.Contains(out, "--router") {
		t.Errorf("one on a port in use: status %d, %q; want the address and the flag that changes it", status, out)
	}
	if out, status := p.Niwa(t, "", "down"); status != 0 || !strings.Contains(out, "("+pid+") has stopped") {
		t.Errorf("down: %d, %q", status, out)
	}
	<-p.Ended()
	if out, status := p.Niwa(t, "", "down"); status != 1 || !strings.Contains(out, "niwa is not running on "+p.Data) {
		t.Errorf("down again: %d, %q", status, out)
	}
}

// The lesson on a real platform, in one language or another: the second read of
// a user comes from the cache, and a second start deploys nothing.
func TestTheLesson(t *testing.T) {
	t.Run("process", func(t *testing.T) { lessonOn(t, "process", "go", "go") })
	t.Run("docker", func(t *testing.T) {
		engine, err := docker.Connect(t.Context(), "")
		if err != nil {
			need.Reason(t, "needs a running Docker engine: "+err.Error())
		}
		engine.Close()
		lessonOn(t, "docker", "nodejs", "node", "npm")
	})
}

func lessonOn(t *testing.T, runtime, lang string, tools ...string) {
	for _, tool := range append(tools, "redis-server") {
		need.Tool(t, tool)
	}
	need.Tool(t, "initdb", "/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/17/bin")
	binary, data := platformtest.Build(t), platformtest.Dir(t)
	p := platformtest.Start(t, binary, data, "demo", "--lang", lang, "--runtime", runtime)
	taught := func(p *platformtest.Program) {
		platformtest.AwaitBuild(t, "the lesson's last word", func() (string, bool) {
			said := p.Output()
			return said, strings.Contains(said, "Ctrl-C stops everything")
		})
	}
	taught(p)
	req, err := http.NewRequest(http.MethodPost, p.Router+"/users", strings.NewReader(`{"name":"Ada","email":"ada@example.com"}`))
	if err != nil {
		t.Fatal(err)
	}
	app := lesson.Name(lang)
	req.Host = app + "." + p.Domain
	req.Header.Set("Content-Type", "application/json")
	created, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	created.Body.Close()
	if created.StatusCode != http.StatusCreated {
		t.Fatalf("creating a user: %s", created.Status)
	}
	// On a busy machine the first reads may find the cache too slow: bypass.
	platformtest.Await(t, "a read from the cache", func() (string, bool) {
		resp, body, err := p.Get(app, created.Header.Get("Location"))
		if err != nil || !strings.Contains(body, "ada@example.com") {
			t.Fatalf("reading the user: %q, %v", body, err)
		}
		return resp.Header.Get("X-Cache"), resp.Header.Get("X-Cache") == "hit"
	})
	contract := exec.Command("go", "test", "-count=1", "-run", "AppAtURL", "./sample-app/apptest", "-cached", "-url",
		strings.Replace(p.Router, "127.0.0.1", app+"."+p.Domain, 1))
	contract.Dir = platformtest.Root()
	if out, err := contract.CombinedOutput(); err != nil {
		t.Errorf("the deployed app does not keep the contract: %v\n%s", err, out)
	}
	p.Stop(t)

	again := platformtest.Start(t, binary, data, "demo", "--lang", lang, "--runtime", runtime)
	taught(again)
	for line := range strings.Lines(again.Output()) {
		if strings.HasPrefix(line, "-----> ") && !strings.HasPrefix(line, "-----> waiting for web.1, which is starting") {
			t.Errorf("the second start made something: %s", line)
		}
	}
	if _, body, err := again.Get(app, created.Header.Get("Location")); err != nil || !strings.Contains(body, "ada@example.com") {
		t.Errorf("the user after a restart: %q, %v", body, err)
	}
}

func TestTheFirstSignalEndsOneContextAndTheSecondAnother(t *testing.T) {
	first, second, release := interrupts(context.Background())
	defer release()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for i, ctx := range []context.Context{first, second} {
		if ctx.Err() != nil {
			t.Fatalf("context %d ended before its signal", i+1)
		}
		if err := self.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Second):
			t.Fatalf("context %d did not end with its signal", i+1)
		}
	}
}

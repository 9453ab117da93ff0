package platformtest_test

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"niwa/platform/platformtest"
)

// startFar starts a router that follows a platform by URL, and returns where it
// answers.
func startFar(t testing.TB, p *platformtest.Program, data string) (a *alone, addr string) {
	t.Helper()
	a, addr = &alone{ended: make(chan struct{})}, freeAddress(t)
	a.cmd = exec.Command(p.Binary, "router", "--data", data, "--follow", p.API, "--listen", addr, "--router-tls", "127.0.0.1:0")
	a.cmd.Env = append(os.Environ(), "HEROKU_API_KEY="+p.Token)
	a.cmd.Stdout, a.cmd.Stderr = &a.output, &a.output
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { a.cmd.Wait(); close(a.ended) }()
	t.Cleanup(func() { a.end(t, syscall.SIGTERM) })
	return a, addr
}

// knows waits until a router leads somewhere for an app.
func knows(t testing.TB, p *platformtest.Program, addr, app string) {
	t.Helper()
	platformtest.Await(t, "a router that knows "+app, func() (string, bool) {
		req, err := http.NewRequest(http.MethodGet, "http://"+addr+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = app + "." + p.Domain
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err.Error(), false
		}
		resp.Body.Close()
		return resp.Status, resp.StatusCode != http.StatusNotFound
	})
}

func TestRoutersFollowByURLAndServeOnWithoutThePlatformAlsoAfterARestart(t *testing.T) {
	binary, data := platformtest.Build(t), platformtest.Dir(t)
	p := platformtest.Up(t, binary, data)
	ok(t, p.Call(t, "POST", "/apps", map[string]any{"name": "garden"}, nil), 201)
	mine, other := platformtest.Dir(t), platformtest.Dir(t)
	first, firstAddr := startFar(t, p, mine)
	_, secondAddr := startFar(t, p, other)
	knows(t, p, firstAddr, "garden")
	ok(t, p.Call(t, "POST", "/apps", map[string]any{"name": "pond"}, nil), 201)
	for _, addr := range []string{firstAddr, secondAddr} {
		knows(t, p, addr, "pond")
	}
	if again, _ := startFar(t, p, mine); true {
		select {
		case <-again.ended:
			if !strings.Contains(again.output.String(), "--data") {
				t.Errorf("a second router on the same directory said:\n%s", &again.output)
			}
		case <-time.After(time.Minute):
			t.Error("a second router runs on the same directory")
		}
	}
	p.Kill(t)
	knows(t, p, secondAddr, "pond")
	first.end(t, syscall.SIGKILL)
	_, firstAddr = startFar(t, p, mine)
	knows(t, p, firstAddr, "pond")
	if shown, err := exec.Command("ps", "axww", "-o", "args").Output(); err == nil && bytes.Contains(shown, []byte(p.Token)) {
		t.Error("the token is in the list of processes")
	}
}

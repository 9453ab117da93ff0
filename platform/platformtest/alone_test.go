package platformtest_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"niwa/platform/platformtest"
	"niwa/platform/platformtest/need"
)

// alone is a router that runs alone on a site.
type alone struct {
	cmd    *exec.Cmd
	output bytes.Buffer // to be read once it has ended
	ended  chan struct{}
}

// startAlone starts a router and waits until it answers.
func startAlone(t testing.TB, p *platformtest.Program) *alone {
	t.Helper()
	a := &alone{ended: make(chan struct{})}
	a.cmd = exec.Command(p.Binary, "router", "--data", p.Data, "--router", strings.TrimPrefix(p.Router, "http://"), "--router-tls", strings.TrimPrefix(p.RouterTLS, "https://"))
	a.cmd.Stdout, a.cmd.Stderr = &a.output, &a.output
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { a.cmd.Wait(); close(a.ended) }()
	t.Cleanup(func() { a.end(t, syscall.SIGTERM) })
	platformtest.Await(t, "the router", func() (string, bool) {
		c, err := net.Dial("tcp", strings.TrimPrefix(p.Router, "http://"))
		if err == nil {
			c.Close()
		}
		return fmt.Sprint(err), err == nil
	})
	return a
}

// end ends the router with a signal; it may be called twice.
func (a *alone) end(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if a.cmd.Process.Signal(signal) != nil {
		return
	}
	select {
	case <-a.ended:
	case <-time.After(time.Minute):
		a.cmd.Process.Kill()
		t.Error("the router did not end in a minute")
		<-a.ended
	}
	if t.Failed() {
		t.Logf("the router said:\n%s", &a.output)
	}
}

// newSiteAlone is newSite behind a router that runs alone. up brings the
// platform up again.
func newSiteAlone(t testing.TB, runtime string) (s *site, a *alone, up func()) {
	t.Helper()
	need.Tool(t, "git")
	binary, data := platformtest.Build(t), platformtest.Dir(t)
	flags := []string{"--runtime", runtime, "--no-router", "--router", freeAddress(t), "--router-tls", freeAddress(t)}
	p := platformtest.Up(t, binary, data, flags...)
	a = startAlone(t, p)
	s = plant(t, p)
	return s, a, func() {
		t.Helper()
		s.Program = platformtest.Up(t, binary, data, flags...)
	}
}

// freeAddress is an address on which nobody listened a moment ago.
func freeAddress(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func TestARouterAloneServesOnWhileThePlatformIsKilled(t *testing.T) {
	for _, runtime := range runtimes() {
		t.Run(runtime, func(t *testing.T) {
			s, _, up := newSiteAlone(t, runtime)
			l := s.load(s.answers.check)
			for range 2 {
				await(t, l, l.Ended()+1000)
				l.Phase("without a platform")
				s.Kill(t)
				await(t, l, l.Ended()+3000)
				up()
				l.Phase("deploying")
				s.push(t)
				s.Settled(t, 2)
				l.Phase("at rest")
			}
			await(t, l, l.Ended()+1000)
			l.Stop()
			r := l.Wait()
			t.Logf("on the %s runtime\n%v", runtime, r)
			if r.Failures > 0 {
				t.Errorf("%d of %d requests failed", r.Failures, r.Requests)
			}
		})
	}
}

// asks asks the site something, to which it must have an answer.
func (s *site) asks(t testing.TB, what string) {
	t.Helper()
	resp, body, err := s.Get(siteName, "/?"+what)
	if err != nil || resp.StatusCode != http.StatusOK || body != what {
		t.Fatalf("asked %q the site answers %v, %q, %v", what, resp, body, err)
	}
}

func TestARouterAloneOutlivesThePlatformAndIsSpokenOf(t *testing.T) {
	s, a, up := newSiteAlone(t, "process")
	spokenOf := fmt.Sprintf("%s and %s (pid %d, ", s.Router, s.RouterTLS, a.cmd.Process.Pid)
	for _, command := range []struct {
		status int
		args   []string
	}{{0, []string{"status"}}, {0, []string{"down"}}, {1, []string{"status"}}, {0, []string{"doctor", "--api", "localhost:0"}}} {
		if out, status := s.Niwa(t, s.Data, command.args...); status != command.status || !strings.Contains(out, spokenOf) {
			t.Errorf("niwa %s: exit status %d, and nothing of the router:\n%s", command.args, status, out)
		}
	}
	answered := make(chan string, 1)
	go func() { // while there is no dyno
		_, body, err := s.Get(siteName, "/?patience")
		answered <- fmt.Sprint(body, err)
	}()
	up()
	if got := <-answered; got != "patience<nil>" {
		t.Errorf("a request that came while the platform was down was answered %q", got)
	}
	s.Settled(t, 2)
	s.Kill(t)
	s.asks(t, "while-away")
	up()
	platformtest.Await(t, "the router's log line of the time without a platform", func() (string, bool) {
		said := s.Log(t, "")
		return said, strings.Contains(said, "heroku[router]: at=info method=GET path=\"/?while-away\"")
	})
	s.Kill(t)
	a.end(t, syscall.SIGTERM)
	if state := a.cmd.ProcessState; state.ExitCode() != 0 {
		t.Errorf("at SIGTERM the router ended with %v:\n%s", state, &a.output)
	}
	a = startAlone(t, s.Program)
	s.asks(t, "started-without-a-platform")
	a.end(t, syscall.SIGKILL)
	up()
	if out, status := s.Niwa(t, s.Data, "status"); status != 0 || strings.Contains(out, "alone") {
		t.Errorf("niwa status: exit status %d, and a router that was killed is spoken of:\n%s", status, out)
	}
}

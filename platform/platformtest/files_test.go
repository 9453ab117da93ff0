package platformtest_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"niwa/platform/platformtest"
	"niwa/platform/platformtest/need"
)

const softFiles, hardFiles = 200, 256

// fewFiles is niwa with a low limit of open files.
func fewFiles(t *testing.T) (binary string) {
	t.Helper()
	niwa := platformtest.Build(t)
	script := filepath.Join(filepath.Dir(niwa), "limited")
	text := fmt.Sprintf("#!/bin/sh\nulimit -Sn %d && ulimit -Hn %d && exec %s \"$@\"\n", softFiles, hardFiles, niwa)
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return script
}

// flood opens connections on which nothing is said, until the test calls off.
func flood(t *testing.T, addr string, n int) (off func()) {
	t.Helper()
	var conns []net.Conn
	for range n {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		cancel()
		if err != nil {
			t.Fatalf("connection %d to %s: %v", len(conns), addr, err)
		}
		conns = append(conns, conn)
	}
	return func() {
		for _, conn := range conns {
			conn.Close()
		}
	}
}

// busy is how much of the processor's time a program took.
func busy(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		need.Reason(t, "needs /proc")
	}
	var ticks [2]int64
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	fmt.Sscan(fields[11], &ticks[0])
	fmt.Sscan(fields[12], &ticks[1])
	return time.Duration(ticks[0]+ticks[1]) * 10 * time.Millisecond
}

func TestALackOfFilesIsSaidAndEnds(t *testing.T) {
	t.Parallel() // most of it is waiting
	p := platformtest.Up(t, fewFiles(t), platformtest.Dir(t), "--runtime", "process")
	repo := platformtest.Dir(t)
	static(t, "echo", repo)
	echo, err := os.ReadFile(filepath.Join(repo, "echo"))
	if err != nil {
		t.Fatal(err)
	}
	ok(t, p.Call(t, "POST", "/apps", map[string]any{"name": "garden"}, nil), 201)
	deploy(t, p, "garden", map[string]string{
		"echo": string(echo), "Procfile": "web: chmod +x echo; exec ./echo --version 1\nworker: ulimit -Sn; while sleep 1; do :; done\n",
	})
	ok(t, p.Call(t, "PATCH", "/apps/garden/formation", map[string]any{"updates": []any{
		map[string]any{"type": "web", "quantity": 2}, map[string]any{"type": "worker", "quantity": 3},
	}}, nil), 200)
	p.App("garden").Settled(t, 5)
	platformtest.Await(t, "the limit of a dyno", func() (string, bool) {
		text := p.App("garden").Log(t, "")
		return text, strings.Contains(text, fmt.Sprintf("app[worker.1]: %d\n", softFiles))
	})
	if out, _ := p.Niwa(t, p.Data, "doctor"); !strings.Contains(out, fmt.Sprintf("%d may be open", hardFiles)) || !strings.Contains(out, "that is few") {
		t.Errorf("doctor says nothing of the low limit:\n%s", out)
	}
	answers := func() (string, bool) {
		client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		req, err := http.NewRequest("GET", p.Router+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "garden." + p.Domain
		resp, err := client.Do(req)
		if err != nil {
			return err.Error(), false
		}
		resp.Body.Close()
		return resp.Status, resp.StatusCode == http.StatusOK
	}
	// controlled says that the platform can be used, dynos included.
	controlled := func(why string) {
		t.Helper()
		ok(t, p.Call(t, "PATCH", "/apps/garden/config-vars", map[string]any{"WHY": why}, nil), 200)
		p.App("garden").Settled(t, 5)
		platformtest.Await(t, "a log that says so", func() (string, bool) {
			text := p.App("garden").Log(t, "")
			return text, strings.Contains(text, "Set WHY config vars")
		})
	}

	rendezvous := regexp.MustCompile(`rendezvous://(\S+)`).FindStringSubmatch(p.Output())[1]
	for name, addr := range map[string]string{
		"the router":     strings.TrimPrefix(p.Router, "http://"),
		"the TLS router": strings.TrimPrefix(p.RouterTLS, "https://"),
		"the API":        strings.TrimPrefix(p.API, "http://"),
		"rendezvous":     rendezvous,
	} {
		off := flood(t, addr, 400)
		before := busy(t, p.PID)
		time.Sleep(time.Second) // in which a loop that spins would take a second
		if took := busy(t, p.PID) - before; took > 500*time.Millisecond {
			t.Errorf("with 400 connections to %s niwa takes %v of the processor in a second", name, took)
		}
		controlled(name)
		off()
		platformtest.Await(t, "the app to answer after a flood of "+name, answers)
	}
	if said := p.Output(); !strings.Contains(said, "as many connections as the limit of open files allows") {
		t.Errorf("niwa says nothing of it:\n%s", said)
	}
}

// A limit that is lowered underneath a niwa that runs leaves it with nothing
// at all, for a while.
func TestNoFilesAtAllIsOutlived(t *testing.T) {
	t.Parallel() // most of it is waiting
	need.Root(t)
	p := platformtest.Up(t, platformtest.Build(t), platformtest.Dir(t), "--runtime", "process")
	ok(t, p.Call(t, "POST", "/apps", map[string]any{"name": "garden"}, nil), 201)
	http.DefaultClient.CloseIdleConnections()
	was := limitFiles(t, p.PID, 1)
	client := &http.Client{Timeout: 2 * time.Second}
	for _, url := range []string{p.API + "/apps", p.Router} {
		if resp, err := client.Get(url); err == nil {
			resp.Body.Close()
			t.Errorf("%s answers %s without a file to open", url, resp.Status)
		}
	}
	limitFiles(t, p.PID, was)
	platformtest.Await(t, "the API", func() (string, bool) {
		resp, err := client.Get(p.API + "/apps")
		if err != nil {
			return err.Error(), false
		}
		resp.Body.Close()
		return resp.Status, resp.StatusCode == http.StatusUnauthorized
	})
	ok(t, p.Call(t, "POST", "/apps", map[string]any{"name": "pond"}, nil), 201)
	if said := p.Output(); !strings.Contains(said, "too many open files") {
		t.Errorf("niwa says nothing of it:\n%s", said)
	}
}

// limitFiles sets the soft limit of another process, and returns what it was.
func limitFiles(t *testing.T, pid int, n uint64) (was uint64) {
	t.Helper()
	var old syscall.Rlimit
	if err := prlimit(pid, nil, &old); err != nil {
		t.Fatal(err)
	}
	if err := prlimit(pid, &syscall.Rlimit{Cur: n, Max: old.Max}, nil); err != nil {
		t.Fatal(err)
	}
	return old.Cur
}

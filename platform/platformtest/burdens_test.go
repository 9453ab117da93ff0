//go:build escape

package platformtest_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"niwa/platform/instance"
	"niwa/platform/platformtest"
	"niwa/platform/platformtest/escape"
	"niwa/platform/platformtest/load"
)

// burden has mallory be a burden to the machine while garden serves.
func (s *siege) burden(t *testing.T) (all []escape.Attempt) {
	t.Helper()
	l := s.load(nil)
	for _, b := range []struct {
		name string
		do   func(*testing.T, *load.Load) (outcome string, succeeded bool)
	}{
		{forkBomb, s.forkBomb},
		{hogMemory, s.hogMemory},
		{hogCPU, s.hogCPU},
		{fillDisk, s.fillDisk},
		{routerConnections, s.sockets},
		{redisConnections, s.redisConnections},
		{postgresConnections, s.postgresConnections},
		{"leave a process behind: double fork, setsid, no environment", s.daemon},
		{takePorts, s.takePorts},
	} {
		await(t, l, l.Ended()+1000)
		l.Phase(b.name)
		outcome, succeeded := b.do(t, l)
		l.Phase("at rest")
		all = append(all, escape.Attempt{Name: b.name, Succeeded: succeeded, Outcome: outcome})
	}
	l.Stop()
	r := l.Wait()
	t.Logf("garden meanwhile\n%v", r)
	for i, a := range all {
		for _, p := range r.Phases {
			if p.Name == a.Name {
				all[i].Outcome += fmt.Sprintf("; of %d requests to garden %d failed, p99 %v", p.Requests, p.Failures, p.P99.Round(time.Millisecond))
				all[i].Succeeded = a.Succeeded || p.Failures > 0 || p.P99 > 3*time.Second
			}
		}
	}
	return append(all, s.flood(t))
}

// count counts the processes whose command line has something in it.
func count(t *testing.T, mark string) (n int) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		line, _ := os.ReadFile(path) // it may have ended
		if strings.Contains(strings.ReplaceAll(string(line), "\x00", " "), mark) {
			n++
		}
	}
	return n
}

func gone(t *testing.T, mark string) {
	t.Helper()
	platformtest.Await(t, "the end of processes", func() (string, bool) {
		n := count(t, mark)
		return fmt.Sprintf("%d of %s", n, mark), n == 0
	})
}

func (s *siege) forkBomb(t *testing.T, l *load.Load) (string, bool) {
	dyno := s.run(t, "./attacker fork")
	said := s.said(t, dyno, escape.Done)
	await(t, l, l.Ended()+2000)
	n := count(t, escape.Forked)
	s.end(t, dyno)
	gone(t, escape.Forked)
	return fmt.Sprintf("%d of 729 processes that it has in the end; all gone with the dyno", n), said == "" || n > 300
}

func (s *siege) hogMemory(t *testing.T, _ *load.Load) (string, bool) {
	dyno := s.run(t, "./attacker memory")
	status := s.said(t, dyno, "Process exited with status")
	log := s.log(t, "mallory", dyno)
	most := 0
	for line := range strings.Lines(log) {
		if _, text, found := strings.Cut(line, "]: "); found {
			if n, after, found := strings.Cut(text, " MB are in use"); found && after == "\n" {
				most, _ = strconv.Atoi(n)
			}
		}
	}
	r15 := strings.Contains(log, "Error R15")
	return fmt.Sprintf("killed at %d MB with R15: %t, status %s", most, r15, status), !r15 || most > 1024
}

func (s *siege) hogCPU(t *testing.T, l *load.Load) (string, bool) {
	dyno := s.run(t, "./attacker cpu")
	said := s.said(t, dyno, escape.Done)
	await(t, l, l.Ended()+2000)
	s.end(t, dyno)
	return said, said == ""
}

func (s *siege) fillDisk(t *testing.T, _ *load.Load) (string, bool) {
	dyno := s.run(t, "./attacker disk 512")
	said := s.said(t, dyno, escape.Done)
	s.end(t, dyno)
	return said, strings.HasPrefix(said, "512 MB are written")
}

func (s *siege) sockets(t *testing.T, l *load.Load) (string, bool) {
	dyno := s.run(t, "./attacker sockets "+strings.TrimPrefix(s.Router, "http://")+" 10000")
	said := s.said(t, dyno, escape.Done)
	await(t, l, l.Ended()+2000)
	s.do(t, "GET", sitePath, nil)
	visitor := load.Start(load.Config{Addr: strings.TrimPrefix(s.Router, "http://"), Host: siteName + "." + s.Domain, Clients: 1, Requests: 1}, "")
	begin := time.Now()
	time.AfterFunc(10*time.Second, func() { s.Call(t, "DELETE", attackerPath+"/dynos/"+dyno, nil, nil) })
	visitor.Wait()
	took := time.Since(begin)
	s.end(t, dyno)
	return fmt.Sprintf("%s; a new visitor of garden has an answer after %v", said, took.Round(time.Millisecond)), took > 5*time.Second
}

// redisConnections has mallory connect to garden's Redis as often as the plan
// allows, and garden then try.
func (s *siege) redisConnections(t *testing.T, _ *load.Load) (string, bool) {
	theirs, err := url.Parse(s.config(t, siteName)["REDIS_URL"])
	if err != nil {
		t.Fatal(err)
	}
	return s.connections(t, theirs, 1000, func() error {
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: 3 * time.Second}, "tcp", theirs.Host, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return err
		}
		defer c.Close()
		password, _ := theirs.User.Password()
		fmt.Fprintf(c, "AUTH %s\r\n", strings.TrimSpace(theirs.User.Username()+" "+password))
		answer, err := bufio.NewReader(c).ReadString('\n')
		if err == nil && answer != "+OK\r\n" {
			err = errors.New(strings.TrimSpace(answer))
		}
		return err
	})
}

// postgresConnections is the same of Postgres, which both have.
func (s *siege) postgresConnections(t *testing.T, _ *load.Load) (string, bool) {
	theirs, err := url.Parse(s.config(t, siteName)["DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	return s.connections(t, theirs, 2000, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		c, err := pgx.Connect(ctx, theirs.String())
		if err != nil {
			return err
		}
		return c.Close(ctx)
	})
}

func (s *siege) connections(t *testing.T, theirs *url.URL, n int, use func() error) (string, bool) {
	t.Helper()
	if err := use(); err != nil {
		t.Errorf("garden cannot use its own add-on: %v", err)
	}
	dyno := s.run(t, fmt.Sprintf("./attacker sockets %s %d", theirs.Host, n))
	said := s.said(t, dyno, escape.Done)
	err := use()
	s.end(t, dyno)
	if err != nil {
		return fmt.Sprintf("%s; garden meanwhile: %v", said, err), true
	}
	return said + "; garden connects all the same", false
}

func (s *siege) daemon(t *testing.T, _ *load.Load) (string, bool) {
	name := "escape-" + strings.ToLower(s.secret[len(s.secret)-8:])
	dyno := s.run(t, "./attacker daemon "+name)
	said := s.said(t, dyno, escape.Done)
	s.said(t, dyno, "Process exited")
	deadline := time.Now().Add(10 * time.Second)
	for n := count(t, name+" sleep"); ; n = count(t, name+" sleep") {
		if n == 0 {
			return "it ends with the dyno", said == ""
		}
		if time.Now().After(deadline) {
			return "it outlives the dyno", true
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// takePorts has a dyno of garden start while mallory listens wherever it can.
func (s *siege) takePorts(t *testing.T, l *load.Load) (string, bool) {
	dyno := s.run(t, "./attacker ports")
	said := s.said(t, dyno, escape.Done)
	s.scale(t, 3)
	started := false
	for deadline := time.Now().Add(10 * time.Second); !started && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		up := 0
		for _, d := range s.dynos(t) {
			if d.State == "up" {
				up++
			}
		}
		started = up == 3
	}
	await(t, l, l.Ended()+1000) // an impostor's answers are failures
	s.end(t, dyno)
	s.settled(t, 3)
	s.scale(t, 2)
	s.settled(t, 2)
	if !started {
		return said + "; a dyno of garden starts only after it", true
	}
	return said + "; a dyno of garden starts all the same", false
}

// flood has mallory write 100 MB of log lines. Those of garden stay, and niwa
// does not grow.
func (s *siege) flood(t *testing.T) escape.Attempt {
	a := escape.Attempt{Name: "write 100 MB of log lines"}
	s.push(t) // garden has something to say
	s.settled(t, 2)
	before := s.log(t, siteName, "web.1")
	rest, most := resident(t, s.PID), 0
	dyno := s.run(t, "./attacker flood")
	begin, answered := time.Now(), 0
	platformtest.Await(t, "the flood to end", func() (string, bool) {
		most = max(most, resident(t, s.PID))
		resp, _, err := s.Get(siteName, "/?log")
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("garden answers %v %v", resp, err)
		}
		answered++
		log := s.log(t, "mallory", dyno)
		return log, strings.Contains(log, "Process exited")
	})
	took := time.Since(begin)
	after := s.log(t, siteName, "web.1")
	kept := strings.HasPrefix(after, before) && strings.Contains(before, s.secret)
	grown := (most - rest) >> 10
	l10 := strings.Contains(s.log(t, "mallory", ""), "L10")
	a.Succeeded = !kept || grown > 200
	a.Outcome = fmt.Sprintf("in %.0f s, L10: %t; garden's log is whole: %t; niwa grows by %d MB; garden answers %d requests", took.Seconds(), l10, kept, grown, answered)
	return a
}

func TestADynoThatFillsTheDiskIsABurdenThatEndsWithIt(t *testing.T) {
	d := newDisk(t, 120)
	s := &siege{site: newSiteIn(t, d.dir, instance.Process)}
	s.do(t, "POST", "/apps", map[string]any{"name": "mallory"})
	s.arm(t)
	l := s.load(nil)
	dyno := s.run(t, "./attacker disk 1000")
	if said := s.said(t, dyno, escape.Done); !strings.Contains(said, "no space left") {
		t.Errorf("the dyno was to fill the disk: %s", said)
	}
	platformtest.Await(t, "word of it", func() (string, bool) { return s.Output(), strings.Contains(s.Output(), "nearly full") })
	await(t, l, l.Ended()+2000)
	s.end(t, dyno)
	s.do(t, "PATCH", sitePath+"/config-vars", map[string]any{"STONE": strings.Repeat("basalt", 5000)})
	s.settled(t, 2)
	s.push(t)
	s.settled(t, 2)
	l.Stop()
	if r := l.Wait(); r.Failures > 0 {
		t.Errorf("garden meanwhile\n%v", r)
	}
}

package siege

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"niwa/platform/platformtest"
	"niwa/platform/platformtest/escape"
	"niwa/platform/platformtest/load"
	"niwa/platform/platformtest/need"
)

// burden has mallory be a burden to the machine while garden serves.
func (s *siege) burden(t *testing.T, alone bool) (all []escape.Attempt) {
	t.Helper()
	l := s.visitors(2, 0)
	for _, b := range []struct {
		name string
		do   func(*testing.T, *load.Load) (outcome string, succeeded bool)
	}{
		{forkBomb, s.forkBomb},
		{hogMemory, s.hogMemory},
		{hogCPU, s.hogCPU},
		{fillDisk, s.fillDisk},
		{routerConnections, s.routerConnections},
		{redisConnections, s.redisConnections},
		{postgresConnections, s.postgresConnections},
		{"leave a process behind: double fork, setsid, no environment", s.daemon},
		{takePorts, s.takePorts},
	} {
		if b.name == takePorts && !alone {
			continue // others would miss them
		}
		l.Phase(b.name)
		begin := time.Now()
		outcome, succeeded := b.do(t, l)
		l.Phase("at rest")
		outcome = fmt.Sprintf("after %.1f s: %s", time.Since(begin).Seconds(), outcome)
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
				if a.Name == takePorts {
					all = append(all, escape.Attempt{Name: answerForOthers, Succeeded: p.Failures > 0, Outcome: fmt.Sprintf("%d of garden's visitors were answered by somebody else", p.Failures)})
				}
			}
		}
	}
	return append(all, s.flood(t))
}

// visited waits until garden has been visited so many times more.
func visited(t *testing.T, l *load.Load, times int) {
	t.Helper()
	want := l.Ended() + times
	platformtest.Await(t, "visits to garden", func() (string, bool) {
		return fmt.Sprintf("%d, want %d", l.Ended(), want), l.Ended() >= want
	})
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
	number := fmt.Sprint(10_000 + rand.IntN(90_000))
	dyno := s.run(t, "./attacker fork "+number)
	s.said(t, dyno, escape.Done)
	most := 0
	platformtest.Await(t, "a number of processes that does not grow", func() (string, bool) {
		n := count(t, escape.Forked(number))
		grown := n > most
		most = max(most, n)
		return fmt.Sprintf("%d, after:\n%s", n, s.mallory.Log(t, dyno)), n > 0 && !grown
	})
	visited(t, l, 200)
	s.end(t, dyno)
	gone(t, escape.Forked(number))
	return fmt.Sprintf("%d of %d processes come to be; all are gone with the dyno", most, escape.Forks), most > 300
}

// inUse is what fillMemory prints.
func inUse() *regexp.Regexp { return regexp.MustCompile(`: (\d+) MB are in use\n`) }

func (s *siege) hogMemory(t *testing.T, _ *load.Load) (string, bool) {
	dyno := s.run(t, "./attacker memory")
	status := s.said(t, dyno, "Process exited with status")
	log, most := s.mallory.Log(t, dyno), 0
	for _, m := range inUse().FindAllStringSubmatch(log, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, n)
	}
	if most == 0 {
		t.Errorf("mallory used no memory:\n%s", log)
	}
	r15 := strings.Contains(log, "Error R15")
	return fmt.Sprintf("it ends at %d MB with R15: %t, status %s", most, r15, status), !r15 || most > 1024
}

func (s *siege) hogCPU(t *testing.T, l *load.Load) (string, bool) {
	dyno := s.run(t, "./attacker cpu")
	said := s.said(t, dyno, escape.Done)
	visited(t, l, 200)
	s.end(t, dyno)
	return said, false // the visits tell
}

func (s *siege) fillDisk(t *testing.T, _ *load.Load) (string, bool) {
	dyno := s.run(t, "./attacker disk 512")
	said := s.said(t, dyno, escape.Done)
	s.end(t, dyno)
	return said, strings.HasPrefix(said, "512 MB are written")
}

// resident is a process's memory in kB.
func resident(t *testing.T, pid int) (kb int) {
	t.Helper()
	out, err := exec.Command("ps", "-o", "rss=", "-p", fmt.Sprint(pid)).Output()
	if err == nil {
		_, err = fmt.Sscan(string(out), &kb)
	}
	if err != nil {
		t.Fatal(err)
	}
	return kb
}

func (s *siege) daemon(t *testing.T, _ *load.Load) (string, bool) {
	name := "escape-" + strings.ToLower(s.secret[len(s.secret)-8:])
	dyno := s.run(t, "./attacker daemon "+name)
	s.said(t, dyno, escape.Done)
	s.said(t, dyno, "Process exited")
	deadline := time.Now().Add(10 * time.Second)
	for count(t, name+" sleep") > 0 {
		if time.Now().After(deadline) {
			return "it outlives the dyno", true
		}
		time.Sleep(20 * time.Millisecond)
	}
	return "it ends with the dyno", false
}

// takePorts has a dyno of garden start, which takes a second to listen, while
// mallory listens wherever it can, and answers. Such an answer is a failure to
// garden's visitors.
func (s *siege) takePorts(t *testing.T, l *load.Load) (string, bool) {
	dyno := s.run(t, "./attacker ports")
	s.said(t, dyno, escape.Done)
	s.Scale(t, "web", 3)
	begin, n := time.Now(), 0
	for ; n < 3 && time.Since(begin) < 10*time.Second; time.Sleep(50 * time.Millisecond) {
		n, _ = s.Up(t)
	}
	visited(t, l, 500)
	s.end(t, dyno)
	s.Scale(t, "web", 2)
	s.Settled(t, 2)
	return fmt.Sprintf("a dyno of garden starts all the same: %t", n == 3), n < 3
}

// flood has mallory write 100 MB of log lines. Those of garden stay, and niwa
// does not grow.
func (s *siege) flood(t *testing.T) escape.Attempt {
	a := escape.Attempt{Name: "write 100 MB of log lines"}
	s.push(t) // garden has something to say
	s.Settled(t, 2)
	before := s.Log(t, "web.1")
	rest, most := resident(t, s.PID), 0
	dyno := s.run(t, "./attacker flood")
	begin, answered := time.Now(), 0
	platformtest.Await(t, "the flood to end", func() (string, bool) {
		most = max(most, resident(t, s.PID))
		resp, _, err := s.Get(gardenName, "/?log")
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("garden answers %v %v", resp, err)
		}
		answered++
		log := s.mallory.Log(t, dyno)
		return log, strings.Contains(log, "Process exited")
	})
	took := time.Since(begin)
	after := s.Log(t, "web.1")
	kept := strings.HasPrefix(after, before) && strings.Contains(before, s.secret)
	grown := (most - rest) >> 10
	l10 := strings.Contains(s.mallory.Log(t, ""), "L10")
	a.Succeeded = !kept || grown > 200
	a.Outcome = fmt.Sprintf("in %.0f s, L10: %t; garden's log is whole: %t; niwa grows by %d MB; garden answers %d requests", took.Seconds(), l10, kept, grown, answered)
	return a
}

// TestADynoThatFillsTheDiskIsABurdenThatEndsWithIt is about a disk of the
// platform's own, so that nobody else misses what is taken of it.
func TestADynoThatFillsTheDiskIsABurdenThatEndsWithIt(t *testing.T) {
	need.Root(t)
	dir := platformtest.Dir(t)
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=120m,mode=711", "tmpfs", dir).CombinedOutput(); err != nil {
		need.Reason(t, "needs the right to mount a tmpfs: "+strings.TrimSpace(string(out)))
	}
	t.Cleanup(func() { // after the platform has stopped
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	s := &siege{garden: newGarden(t, programs(t), dir, process), secret: "none"}
	s.Write(t, "secret.txt", s.secret+"\n")
	s.push(t)
	s.Scale(t, "web", 2)
	s.Settled(t, 2)
	s.mallory = s.Create(t, "mallory")
	s.arm(t)
	l := s.visitors(2, 0)
	dyno := s.run(t, "./attacker disk 1000")
	if said := s.said(t, dyno, escape.Done); !strings.Contains(said, "no space left") {
		t.Errorf("the dyno was to fill the disk: %s", said)
	}
	platformtest.Await(t, "word of it", func() (string, bool) { return s.Output(), strings.Contains(s.Output(), "nearly full") })
	visited(t, l, 200)
	s.end(t, dyno)
	s.Do(t, "PATCH", s.Path()+"/config-vars", map[string]any{"STONE": strings.Repeat("basalt", 5000)})
	s.Settled(t, 2)
	s.push(t)
	s.Settled(t, 2)
	l.Stop()
	if r := l.Wait(); r.Failures > 0 {
		t.Errorf("garden meanwhile\n%v", r)
	}
}

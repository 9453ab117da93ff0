package platformtest_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"niwa/platform/docker"
	"niwa/platform/instance"
	"niwa/platform/platformtest"
	"niwa/platform/platformtest/need"
	"niwa/platform/stack"
)

// BenchmarkStarts measures thirty times how long a dyno takes to start and a
// push to be answered by, on each runtime, and prints it beside what the same
// machine takes for the same without niwa. Run it with make bench-starts.
func BenchmarkStarts(b *testing.B) {
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "runtime\twhat\tp50\tp95\tbeside it, in the same run\tp50\tp95\tratio")
	for _, runtime := range runtimes() {
		b.Run(runtime, func(b *testing.B) { measure(b, runtime, w) })
	}
	w.Flush()
	fmt.Printf("\n%s\n", table.String())
}

func measure(b *testing.B, runtime string, w *tabwriter.Writer) {
	s := newSite(b, runtime)
	s.Scale(b, "web", 1)
	s.Settled(b, 1)
	peer, what := s.forked, "fork and exec of the program, until it accepts"
	if runtime == instance.Docker {
		need.Tool(b, "docker")
		peer, what = s.contained(b), "docker run of the program in the same image, until it accepts"
	}
	bare := platformtest.Dir(b)
	platformtest.Git(b, bare, os.Environ(), "init", "-q", "--bare")
	var starts, peers, pushes, answers, plain []time.Duration
	for range 30 {
		peers = append(peers, peer(b))
		s.restart(b, "")
		s.Settled(b, 1)
		starts = append(starts, s.lastStart(b))

		begin := time.Now()
		s.push(b)
		accepted := time.Now()
		s.answered(b)
		answers, pushes = append(answers, time.Since(accepted)), append(pushes, time.Since(begin))
		s.Settled(b, 1)
		begin = time.Now()
		platformtest.Git(b, s.Dir, os.Environ(), "push", "-q", bare, "main")
		plain = append(plain, time.Since(begin))
	}
	row := func(what string, got []time.Duration, peer string, beside []time.Duration) {
		fmt.Fprintf(w, "%s\t%s\t%d ms\t%d ms", runtime, what, share(got, 50).Milliseconds(), share(got, 95).Milliseconds())
		if beside != nil {
			fmt.Fprintf(w, "\t%s\t%d ms\t%d ms\t%.1f", peer, share(beside, 50).Milliseconds(), share(beside, 95).Milliseconds(), float64(share(got, 50))/float64(share(beside, 50)))
		}
		fmt.Fprintln(w)
	}
	row("a dyno's start, until it accepts", starts, what, peers)
	row("a push that was accepted, to the first 200", answers, "", nil)
	row("git push, build and all, to the first 200", pushes, "git push to a bare repository", plain)
}

// share is the duration that so many in a hundred do not exceed.
func share(all []time.Duration, hundredth int) time.Duration {
	slices.Sort(all)
	return all[(len(all)-1)*hundredth/100]
}

// lastStart is how long web.1 took to start the last time, by its log.
func (s *site) lastStart(b *testing.B) time.Duration {
	b.Helper()
	var begun, took time.Time
	for line := range strings.Lines(s.Log(b, "web.1")) {
		at, text, _ := strings.Cut(line, " ")
		t, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			b.Fatal(err)
		}
		if strings.Contains(text, "Starting process with command") {
			begun = t
		}
		if strings.Contains(text, "State changed from starting to up") {
			took = t
		}
	}
	if begun.IsZero() || took.Before(begun) {
		b.Fatalf("the log says nothing of a start:\n%s", s.Log(b, "web.1"))
	}
	return took.Sub(begun)
}

// answered waits for the first answer of the version that was pushed last.
func (s *site) answered(b *testing.B) {
	b.Helper()
	for deadline := time.Now().Add(bootTime); ; time.Sleep(time.Millisecond) {
		resp, _, err := s.Get(siteName, "/")
		if err != nil {
			b.Fatal(err)
		}
		if resp.StatusCode == 200 && resp.Header.Get("Version") == fmt.Sprint(s.version) {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("version %d does not answer", s.version)
		}
	}
}

// forked starts the program as a process.
func (s *site) forked(b *testing.B) time.Duration {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	ln.Close()
	cmd := exec.Command(filepath.Join(s.Dir, "echo"))
	cmd.Env = []string{"PORT=" + port}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	accepts(b, "127.0.0.1:"+port)
	return time.Since(begin)
}

// contained starts the program in a container of the stack image.
func (s *site) contained(b *testing.B) func(*testing.B) time.Duration {
	b.Helper()
	engine, err := docker.Connect(b.Context(), "")
	if err != nil {
		b.Fatal(err)
	}
	defer engine.Close()
	images, err := stack.New(engine, "", b.Logf)
	if err != nil {
		b.Fatal(err)
	}
	return func(b *testing.B) time.Duration {
		begin := time.Now()
		id := s.docker(b, "run", "--rm", "--detach", "--env", "PORT=5000", "--volume", filepath.Join(s.Dir, "echo")+":/echo:ro", images.Images().Run, "/echo")
		defer s.docker(b, "rm", "--force", id)
		accepts(b, s.docker(b, "inspect", "--format", "{{.NetworkSettings.IPAddress}}", id)+":5000")
		return time.Since(begin)
	}
}

func (s *site) docker(b *testing.B, args ...string) string {
	b.Helper()
	out, err := exec.Command("docker", args...).Output()
	if err != nil {
		b.Fatalf("docker %s: %v", args[0], err)
	}
	return strings.TrimSpace(string(out))
}

func accepts(b *testing.B, addr string) {
	b.Helper()
	for deadline := time.Now().Add(bootTime); ; time.Sleep(time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			b.Fatal(err)
		}
	}
}

// Package platformtest runs the real niwa program in a test, on a data
// directory and ports of its own, and the official clients against it.
package platformtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"niwa/platform/instance"
)

// Program is a niwa that runs.
type Program struct {
	instance.Record
	Binary string
	Data   string
	Token  string

	cmd    *exec.Cmd
	output *buffer
	ended  chan struct{}
}

// Root is the directory of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Build builds niwa into a directory that goes with the test.
func Build(t testing.TB) string {
	t.Helper()
	binary := filepath.Join(Dir(t), "niwa")
	Compile(t, ".", binary)
	return binary
}

// Compile makes a file of a program of this repository. go run keeps what it
// has linked, and gives it to cp here; go build would link it every time.
func Compile(t testing.TB, program, file string) {
	t.Helper()
	cmd := exec.Command("go", "run", "-exec", "cp", program, file)
	cmd.Dir, cmd.Env = Root(), append(os.Environ(), "CGO_ENABLED=0") // as containers need it
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compiling %s: %v\n%s", program, err, out)
	}
}

// Dir is like t.TempDir, but every user may enter it, as the users that apps
// run as must.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "niwa-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("removing the test's files: %v", err)
		}
	})
	return dir
}

// Up starts "niwa up" on a data directory and waits until it is ready. It is
// stopped with the test, and must then leave no process behind.
func Up(t testing.TB, binary, data string, flags ...string) *Program {
	t.Helper()
	return Start(t, binary, data, append([]string{"up"}, flags...)...)
}

// Start starts a command of niwa that brings a platform up. Its dynos are
// processes, unless a flag says otherwise.
func Start(t testing.TB, binary, data string, args ...string) *Program {
	t.Helper()
	p := &Program{Binary: binary, Data: data, output: &buffer{}, ended: make(chan struct{})}
	p.cmd = exec.Command(binary, append([]string{args[0], "--data", data, "--api", "localhost:0", "--router", "127.0.0.1:0", "--router-tls", "127.0.0.1:0"}, args[1:]...)...)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.Env = append(os.Environ(), "NIWA_DATA=", "NIWA_RUNTIME=process", "HOME="+os.Getenv("HOME"))
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.cmd.Wait(); close(p.ended) }()
	t.Cleanup(func() {
		p.Stop(t)
		if t.Failed() {
			t.Logf("niwa said:\n%s", p.output)
		}
		if left := p.Left(); left != "" {
			t.Errorf("left behind after niwa ended:\n%s", left)
		}
	})
	p.await(t)
	return p
}

// await waits until the program has told where it listens.
func (p *Program) await(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for time.Now().Before(deadline) {
		select {
		case <-p.ended:
			t.Fatalf("niwa ended before it was ready:\n%s", p.output)
		default:
		}
		r, err := instance.ReadRecord(p.Data)
		if err == nil && r.PID == p.cmd.Process.Pid {
			token, err := os.ReadFile(filepath.Join(p.Data, "token"))
			if err != nil {
				t.Fatal(err)
			}
			p.Record, p.Token = r, strings.TrimSpace(string(token))
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("niwa was not ready in two minutes:\n%s", p.output)
}

// stopTime bounds a stop: requests have 30 s to end, and then dynos have, and
// then data servers.
const stopTime = 100 * time.Second

// Stop sends SIGTERM and waits for the end; it may be called twice.
func (p *Program) Stop(t testing.TB) {
	t.Helper()
	if p.cmd.Process.Signal(syscall.SIGTERM) != nil {
		return
	}
	select {
	case <-p.ended:
	case <-time.After(stopTime):
		p.cmd.Process.Kill()
		t.Errorf("niwa did not stop in %v after SIGTERM:\n%s", stopTime, p.output)
	}
}

// Kill kills the program as kill -9 does.
func (p *Program) Kill(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
}

// Ended is closed when the program has ended.
func (p *Program) Ended() <-chan struct{} { return p.ended }

// Output is what the program has printed.
func (p *Program) Output() string { return p.output.String() }

// Left lists the processes that work in or were started from the data
// directory, other than niwa itself.
func (p *Program) Left() string {
	out, err := exec.Command("ps", "-eo", "pid,user,args").Output()
	if err != nil {
		return ""
	}
	var left []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, p.Data) && !strings.Contains(line, p.Binary) {
			left = append(left, line)
		}
	}
	return strings.Join(left, "")
}

// Niwa runs another niwa command on the program's data directory and returns
// what it printed and its exit status.
func (p *Program) Niwa(t testing.TB, dir string, args ...string) (string, int) {
	t.Helper()
	cmd := p.Command(t, dir, args...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// Command is a niwa command that is yet to be started. It is killed when it
// takes longer than three minutes.
func (p *Program) Command(t testing.TB, dir string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, p.Binary, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NIWA_DATA="+p.Data)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// Environment is what "niwa env" prints, as a program's environment.
func (p *Program) Environment(t testing.TB) []string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `eval "$("$0" env --data "$1" --shell sh)"; env -0`, p.Binary, p.Data).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// Call makes a request to the API and decodes the answer into result, unless
// that is nil.
func (p *Program) Call(t testing.TB, method, path string, body, result any) int {
	t.Helper()
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		payload = bytes.NewReader(data)
	}
	req, err := http.NewRequest(method, p.API+path, payload)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/vnd.heroku+json; version=3")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+p.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if result != nil && resp.StatusCode < 300 {
		if err := json.Unmarshal(data, result); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, data)
		}
	}
	return resp.StatusCode
}

// Get asks an app for a path through the router.
func (p *Program) Get(app, path string) (*http.Response, string, error) {
	req, err := http.NewRequest(http.MethodGet, p.Router+path, nil)
	if err != nil {
		return nil, "", err
	}
	req.Host = fmt.Sprintf("%s.%s", app, p.Domain)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// Await waits until ok, or fails the test with what it last saw.
func Await(t testing.TB, what string, ok func() (seen string, ok bool)) {
	t.Helper()
	awaitFor(t, 90*time.Second, what, ok)
}

// AwaitBuild is Await for a build, which may fetch and compile all that there
// is of a language.
func AwaitBuild(t testing.TB, what string, ok func() (seen string, ok bool)) {
	t.Helper()
	awaitFor(t, 5*time.Minute, what, ok)
}

// awaitFor asks often at first, and then less: an hour has 4500 requests to the
// API.
func awaitFor(t testing.TB, limit time.Duration, what string, ok func() (seen string, ok bool)) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for pause := 10 * time.Millisecond; ; pause = min(pause*3/2, 200*time.Millisecond) {
		seen, done := ok()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s; last saw %s", limit, what, seen)
		}
		time.Sleep(pause)
	}
}

// buffer is a bytes.Buffer for several writers.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

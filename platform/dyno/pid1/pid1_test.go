package pid1_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"niwa/platform/dyno/pid1"
)

const limit = 30 * time.Second

func TestMain(m *testing.M) {
	pid1.Main()
	os.Exit(m.Run())
}

// first is a first process with a task from a file, as containers have it.
type first struct {
	*exec.Cmd
	dir string
	out *os.File // the pipe that the dyno writes to
}

func start(t *testing.T, task pid1.Task, env ...string) *first {
	t.Helper()
	f := &first{dir: t.TempDir()}
	task.Output, task.Exit = filepath.Join(f.dir, "out"), filepath.Join(f.dir, "exit")
	if task.Dir == "" {
		task.Dir = f.dir
	}
	file := filepath.Join(f.dir, "task")
	if err := syscall.Mkfifo(task.Output, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(task.Exit, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := task.Save(file, os.Geteuid()); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f.Cmd = &exec.Cmd{Path: program, Args: []string{"/somewhere/" + pid1.Name, file}, Env: append(env, "PATH=/usr/bin:/bin"), Stderr: os.Stderr}
	f.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Process.Kill(); _ = f.Wait() })
	if f.out, err = os.OpenFile(task.Output, os.O_RDWR|syscall.O_NONBLOCK, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.out.Close() })
	return f
}

func TestACommandIsNotStartedOnceTheDynoIsToStop(t *testing.T) {
	stop := filepath.Join(t.TempDir(), "stop")
	if err := os.WriteFile(stop, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := start(t, pid1.Task{Command: "echo up; sleep 600", Stop: stop})
	if status, record := f.ends(t); status != 143 || record != `{"code":143,"signal":"SIGTERM"}` {
		t.Errorf("ended with %d, and recorded %s", status, record)
	}
}

// reads waits until the output ends with text.
func (f *first) reads(t *testing.T, text string) string {
	t.Helper()
	if err := f.out.SetReadDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for buf := make([]byte, 4096); !strings.HasSuffix(string(got), text); {
		n, err := f.out.Read(buf)
		if err != nil {
			t.Fatalf("the output is %q: %v", got, err)
		}
		got = append(got, buf[:n]...)
	}
	return string(got)
}

// ends waits for the end, and returns the status and the record.
func (f *first) ends(t *testing.T) (int, string) {
	t.Helper()
	late := time.AfterFunc(limit, func() { _ = f.Process.Kill() })
	defer late.Stop()
	_ = f.Wait() // the status says it
	record, err := os.ReadFile(filepath.Join(f.dir, "exit"))
	if err != nil {
		t.Fatal(err)
	}
	return f.ProcessState.ExitCode(), string(record)
}

func TestACommandIsRunAndItsEndWrittenDown(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("no program"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		task   pid1.Task
		out    string // the end of it
		status int
		record string
	}{
		"by the shell":              {pid1.Task{Command: "echo said; exit 3"}, "said\n", 3, `{"code":3,"signal":""}`},
		"by itself":                 {pid1.Task{Args: []string{"printf", "%s %s\n", "a b", "$HOME"}}, "a b $HOME\n", 0, `{"code":0,"signal":""}`},
		"to a signal":               {pid1.Task{Command: "echo said; kill -KILL $$"}, "said\n", 137, `{"code":137,"signal":"SIGKILL"}`},
		"that is not there":         {pid1.Task{Args: []string{"no-such-program"}}, "not found in $PATH\n", 127, `{"code":127,"signal":""}`},
		"that is not there by path": {pid1.Task{Args: []string{"/no/such/program"}}, "no such file or directory\n", 127, `{"code":127,"signal":""}`},
		"that is no program":        {pid1.Task{Args: []string{script}}, "permission denied\n", 126, `{"code":126,"signal":""}`},
		"that is nothing":           {pid1.Task{}, "nothing to run: executable file not found in $PATH\n", 127, `{"code":127,"signal":""}`},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, tt.task)
			f.reads(t, tt.out)
			if status, record := f.ends(t); status != tt.status || record != tt.record {
				t.Errorf("ended with %d, and the record is %s", status, record)
			}
		})
	}
}

func TestTheEnvironmentIsTheFirstProcesssWithTheTasksBesideIt(t *testing.T) {
	f := start(t, pid1.Task{Args: []string{"env"}, Env: []string{"A=1", "A=2", "PATH=/bin:/usr/bin", "B="}}, "A=0", "C=3")
	got := f.reads(t, "B=\n")
	if want := "A=2\nC=3\nPATH=/bin:/usr/bin\nB=\n"; got != want {
		t.Errorf("it is %q, want %q", got, want)
	}
}

func TestItStaysUntilItsOutputHasBeenRead(t *testing.T) {
	f := start(t, pid1.Task{Command: "echo last words; exit 5"})
	deadline := time.Now().Add(limit)
	for record := ""; record == ""; { // the command has ended
		data, err := os.ReadFile(filepath.Join(f.dir, "exit"))
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("no record is written: %v", err)
		}
		record = string(data)
	}
	ended := make(chan int, 1)
	go func() { _ = f.Wait(); ended <- f.ProcessState.ExitCode() }()
	select {
	case <-ended:
		t.Error("it has left with what nobody has read")
	case <-time.After(300 * time.Millisecond):
	}
	f.reads(t, "last words\n")
	select {
	case status := <-ended:
		if status != 5 {
			t.Errorf("ended with %d", status)
		}
	case <-time.After(limit):
		t.Error("it does not end when all has been read")
	}
}

func TestATerminationReachesAllOnceAndIsWaitedFor(t *testing.T) {
	f := start(t, pid1.Task{Command: `sh -c 'trap "sleep 0.2; echo child told; exit" TERM; echo ready; while :; do sleep 0.01; done' &
		trap 'echo told; exit 4' TERM; while :; do sleep 0.01; done`})
	f.reads(t, "ready\n")
	if err := f.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	out := strings.ReplaceAll(f.reads(t, "child told\n"), "Terminated\n", "")
	if out != "told\nchild told\n" {
		t.Errorf("the output is %q", out)
	}
	if status, _ := f.ends(t); status != 4 {
		t.Errorf("ended with %d", status)
	}
}

func TestOtherSignalsAreForNobody(t *testing.T) {
	f := start(t, pid1.Task{Command: `echo ready; read line </dev/null; sleep 0.2; exit 6`})
	f.reads(t, "ready\n")
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGWINCH, syscall.SIGTSTP} {
		if err := f.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	if status, _ := f.ends(t); status != 6 {
		t.Errorf("ended with %d", status)
	}
}

func TestATaskCanBeReadByItsUserAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "task")
	if err := (pid1.Task{Command: "x"}).Save(path, os.Geteuid()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
}

// child starts a first process that waits for its task.
func child(t *testing.T, task pid1.Task) (*exec.Cmd, *pid1.Handover, *bytes.Buffer) {
	t.Helper()
	cmd, handover, err := pid1.Command(task)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(handover.Close)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, handover, &out
}

func TestATaskIsHandedOver(t *testing.T) {
	large := "LARGE=" + strings.Repeat("x", 100_000) // more than a pipe holds
	cmd, handover, out := child(t, pid1.Task{Command: `echo "${#LARGE}"`, Dir: "/", Env: []string{"PATH=/usr/bin:/bin", large}})
	if err := handover.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || out.String() != "100000\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestWhatKeepsAFirstProcessFromItsTaskIsSaid(t *testing.T) {
	for says, task := range map[string]pid1.Task{
		"/no/such/folder": {Command: "true", Dir: "/no/such/folder"},
		"/no/such/record": {Command: "true", Dir: "/", Exit: "/no/such/record"},
		"/no/such/pipe":   {Command: "true", Dir: "/", Output: "/no/such/pipe"},
		"namespaces":      {Command: "true", Dir: "/", Sandbox: &pid1.Sandbox{Root: t.TempDir()}}, // the machine's own would be changed
	} {
		cmd, handover, _ := child(t, task)
		if err := handover.Do(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("the error is %v, want one about %s", err, says)
		}
		_ = cmd.Wait()
	}
}

func TestAFirstProcessWhosePlatformIsKilledBeforeItBeginsEnds(t *testing.T) {
	cmd, handover, _ := child(t, pid1.Task{Command: "touch /tmp/never"})
	handover.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func TestAHandoverIsGivenUp(t *testing.T) {
	cmd, handover, _ := child(t, pid1.Task{Command: "true"})
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if err := handover.Do(ctx); err != context.Canceled {
		t.Errorf("the error is %v", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func TestAProgramForContainersIsLinkedStatically(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dynamic := exec.Command("/lib64/ld-linux-x86-64.so.2", "--verify", self).Run() == nil
	path, err := pid1.Program()
	switch {
	case dynamic && (err == nil || !strings.Contains(err.Error(), "CGO_ENABLED=0")):
		t.Errorf("a dynamic program is said to be %s, %v", path, err)
	case !dynamic && (err != nil || path != self):
		t.Errorf("a static program is said to be %q, %v", path, err)
	}
}

func TestATaskIsJSON(t *testing.T) {
	data, err := json.Marshal(pid1.Task{Args: []string{"web"}, Dir: "/app"})
	if err != nil || string(data) != `{"Args":["web"],"Dir":"/app","UID":0}` {
		t.Errorf("%s, %v", data, err)
	}
}

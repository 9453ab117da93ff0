package pid1

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"niwa/platform/proc"
)

// startup runs in the dyno's shell, which is $0, before the command, which is
// $1. As on Heroku .profile.d/*.sh and then .profile can set up what the
// command finds (https://devcenter.heroku.com/articles/dynos#startup). The
// command takes the shell's place, so that its exit is the shell's.
const startup = `niwa_command=$1
for niwa_file in "$HOME"/.profile.d/*.sh "$HOME"/.profile; do
	if [ -r "$niwa_file" ]; then . "$niwa_file"; fi
done
exec "$0" -c "$niwa_command"`

// dyno is the command with everything that came of it.
type dyno struct {
	out      *os.File // where its output goes
	exit     *os.File // nil when nobody asks how it ended
	command  int      // process number
	status   syscall.WaitStatus
	over     bool // the command has ended
	alone    bool // nothing else of the dyno runs
	stopping bool
	signals  chan os.Signal
}

// begin sets everything up and starts the command.
func begin(task Task) (*dyno, error) {
	d := &dyno{out: os.Stdout, signals: make(chan os.Signal, 64)}
	if err := d.open(task); err != nil {
		return nil, err
	}
	if task.Sandbox != nil {
		if err := task.Sandbox.enter(); err != nil {
			return nil, fmt.Errorf("sandbox: %w", err)
		}
	}
	if err := become(task.UID); err != nil {
		return nil, err
	}
	if err := renounce(); err != nil {
		return nil, err
	}
	if err := limitProcesses(task.Processes); err != nil {
		return nil, err
	}
	syscall.Umask(0o077) // keeps what apps write in shared places from one another
	if err := os.Chdir(task.Dir); err != nil {
		return nil, err
	}
	signal.Notify(d.signals)
	if _, err := os.Stat(task.Stop); err == nil {
		d.stopping = true
		d.ended(syscall.WaitStatus(syscall.SIGTERM))
	} else {
		d.start(task)
	}
	return d, nil
}

// open opens, while they can be reached, the files that niwa reads.
func (d *dyno) open(task Task) (err error) {
	if task.Exit != "" {
		if d.exit, err = os.OpenFile(task.Exit, os.O_WRONLY|syscall.O_NOFOLLOW, 0); err != nil {
			return err
		}
	}
	if task.Cols > 0 {
		size := unix.Winsize{Col: uint16(task.Cols), Row: uint16(task.Rows)}
		if err := unix.IoctlSetWinsize(0, unix.TIOCSWINSZ, &size); err != nil {
			return fmt.Errorf("size of the terminal: %w", err)
		}
	}
	if task.Output == "" {
		return nil
	}
	// For reading too: then a write neither fails nor waits for a reader.
	fd, err := unix.Open(task.Output, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: task.Output, Err: err}
	}
	d.out = os.NewFile(uintptr(fd), task.Output)
	return nil
}

// become gives up being root.
func become(uid int) error {
	if uid == 0 || os.Geteuid() != 0 {
		return nil
	}
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := syscall.Setgid(uid); err != nil {
		return fmt.Errorf("setgid: %w", err)
	}
	if err := syscall.Setuid(uid); err != nil {
		return fmt.Errorf("setuid: %w", err)
	}
	return nil
}

// start starts the command. That it cannot be run is an end of its own, which
// shells know: 127 when it is not there, 126 when it is no program.
func (d *dyno) start(task Task) {
	env := merged(os.Environ(), task.Env)
	args := task.Args
	if task.Command != "" {
		sh := shell()
		args = []string{sh, "-c", startup, sh, task.Command}
	}
	path, err := lookUp(args, env)
	if err == nil {
		out := d.out.Fd()
		d.command, err = syscall.ForkExec(path, args, &syscall.ProcAttr{
			Env:   env,
			Files: []uintptr{0, out, out},
			Sys:   &syscall.SysProcAttr{Setpgid: ownGroup, Foreground: ownGroup && task.TTY},
		})
	}
	os.Stdin.Close() // who writes to it is to see when the command does not want more
	if err == nil {
		return
	}
	fmt.Fprintf(d.out, "%s: %v\n", Name, err)
	code := 126
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		code = 127
	}
	d.ended(syscall.WaitStatus(code << 8))
}

// merged is an environment in which the last of a name counts, once.
func merged(lists ...[]string) []string {
	var env []string
	at := map[string]int{}
	for _, kv := range slices.Concat(lists...) {
		name, _, _ := strings.Cut(kv, "=")
		if i, ok := at[name]; ok {
			env[i] = kv
			continue
		}
		at[name] = len(env)
		env = append(env, kv)
	}
	return env
}

// lookUp finds a program on the command's own PATH.
func lookUp(args, env []string) (string, error) {
	if len(args) == 0 {
		return "", fmt.Errorf("there is nothing to run: %w", exec.ErrNotFound)
	}
	os.Unsetenv("PATH")
	for _, kv := range env {
		if path, ok := strings.CutPrefix(kv, "PATH="); ok {
			os.Setenv("PATH", path)
		}
	}
	return exec.LookPath(args[0])
}

// shell is bash, as on Heroku, where there is one.
func shell() string {
	for _, path := range []string{"/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return "/bin/sh"
}

// live sees the dyno to its end and returns the exit status of the command.
// What the command leaves behind is killed, unless the dyno is being stopped:
// then all have the same time to end, and whoever stops it sees to that.
func (d *dyno) live() int {
	for d.reapAll(); !d.over; d.reapAll() {
		d.hear(<-d.signals)
	}
	for !d.stopping && !d.alone {
		pass(syscall.SIGKILL)
		d.reap(0)
	}
	for d.reapAll(); !d.alone; d.reapAll() {
		d.hear(<-d.signals)
	}
	d.outlastOutput()
	if d.status.Signaled() {
		return 128 + int(d.status.Signal())
	}
	return d.status.ExitStatus()
}

// hear passes a signal on. All others that reach a first process are meant
// for nobody.
func (d *dyno) hear(sig os.Signal) {
	switch sig {
	case syscall.SIGTERM:
		d.stopping = true
		pass(syscall.SIGTERM)
	case syscall.SIGHUP: // the terminal has gone
		pass(syscall.SIGHUP)
	}
}

// pass sends a signal to everything in the dyno but this process: at one
// stroke in a namespace, else to all that can be found.
func pass(sig syscall.Signal) {
	if os.Getpid() != 1 {
		if err := proc.Tell(sig); err != nil {
			fmt.Fprintf(os.Stderr, "niwa: the processes of this dyno could not be sent %v: %v\n", sig, err)
		}
		return
	}
	_ = syscall.Kill(-1, sig)
	_ = syscall.Kill(-1, syscall.SIGCONT) // a stopped process would sleep through it
}

// reapAll collects what has ended.
func (d *dyno) reapAll() {
	for d.reap(syscall.WNOHANG) {
	}
}

// reap collects one process and says whether there may be more.
func (d *dyno) reap(options int) bool {
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(-1, &status, options, nil)
	switch {
	case err == syscall.ECHILD:
		d.alone = true
	case pid > 0 && pid == d.command:
		d.ended(status)
	}
	return err == syscall.EINTR || err == nil && pid != 0
}

// ended writes down how the command ended.
func (d *dyno) ended(status syscall.WaitStatus) {
	d.over, d.status = true, status
	if d.exit == nil {
		return
	}
	record := struct {
		Code   int    `json:"code"`
		Signal string `json:"signal"`
	}{Code: status.ExitStatus()}
	if status.Signaled() {
		record.Code, record.Signal = 128+int(status.Signal()), unix.SignalName(status.Signal())
	}
	data, _ := json.Marshal(record)               // of a number and a word
	if _, err := d.exit.Write(data); err != nil { // a full disk: niwa has the exit status if it is the parent
		fmt.Fprintf(d.out, "%s: %v\n", Name, err)
	}
	d.exit.Close()
}

// outlastOutput stays until somebody has read what the dyno wrote: a pipe that
// nobody holds open is empty. That takes no time while there is a niwa.
func (d *dyno) outlastOutput() {
	for pause := time.Millisecond / 4; unread(d.out) > 0; pause = min(2*pause, 100*time.Millisecond) {
		time.Sleep(pause)
	}
}

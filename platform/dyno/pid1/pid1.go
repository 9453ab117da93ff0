// Package pid1 is the first process of a dyno: niwa's own program, started
// again under another name. It starts the dyno's command, passes signals on,
// collects what has ended, writes down how the command ended, and ends last.
// It is niwa's in the dyno: a niwa that was killed needs nobody to wait for
// its dynos until the next one is there.
//
// Being the same program it is at hand wherever niwa is, in a container too,
// where nothing else is to be relied on, not even a shell. What it is told
// comes from a pipe or a file, never from arguments, which all can see.
package pid1

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// Name is what the first process is called: argument 0, by which Main knows
// what it has been started for.
const Name = "niwa-pid1"

// Threads is how many processes and threads the first process may count as,
// beside those that a dyno is allowed.
const Threads = 16

// Task is what the first process is to do. Paths are as they are before
// Sandbox changes what there is; Dir is as it is after.
type Task struct {
	// What to run is a command for the shell, which is bash where there is
	// one, after .profile.d/*.sh and .profile of HOME; or else a program with
	// its arguments, looked up on the PATH of Env.
	Command string   `json:",omitempty"`
	Args    []string `json:",omitempty"`
	Dir     string   // to run it in
	Env     []string `json:",omitempty"` // beside the first process's own, and before it
	UID     int      // user and group to become, when root; 0 for none

	// Processes is how many of this user there may be, threads included; 0 is
	// no limit. It is for a user namespace of the dyno's own: elsewhere it
	// would count the user's other processes too.
	Processes int `json:",omitempty"`

	Output  string   `json:",omitempty"` // named pipe that becomes stdout and stderr; empty to keep those there are
	Exit    string   `json:",omitempty"` // file to write to how the command ended, see home.Home.Ended
	Stop    string   `json:",omitempty"` // file that is there once the dyno is to stop: a SIGTERM from before this process hears signals is lost
	TTY     bool     `json:",omitempty"` // stdin is the controlling terminal; the command gets its foreground
	Cols    int      `json:",omitempty"` // width to give that terminal, where it has none yet; 0 to leave it
	Rows    int      `json:",omitempty"`
	Sandbox *Sandbox `json:",omitempty"` // nil to see what niwa sees
}

// Save writes a task to a file for uid alone, which is to be the first
// argument of a first process.
func (t Task) Save(path string, uid int) error {
	data, err := json.Marshal(t)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, data, 0o400); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Lchown(path, uid, uid)
}

// Main does not return in a process that was started as a dyno's first one,
// and returns at once in all others. It is the first line of main, and of
// TestMain where tests run dynos.
func Main() {
	if filepath.Base(os.Args[0]) != Name {
		return
	}
	runtime.LockOSThread() // what this thread gives up, its children never have
	runtime.GOMAXPROCS(1)
	os.Exit(run(os.Args[1:]))
}

// Descriptors of a first process that was given no file: see Handover.
const (
	taskFD   = 3
	answerFD = 4
)

// NotRun is the exit status of a first process that could not do its task: what
// container engines say when nothing has been run.
const NotRun = 125

// ready is the answer when the command runs; any other is what went wrong.
const ready = "ready"

func run(args []string) int {
	task, answer, err := receive(args)
	if errors.Is(err, io.EOF) {
		return 0 // niwa was killed before it had written down that this process is there
	}
	var d *dyno
	if err == nil {
		d, err = begin(task)
	}
	if err != nil {
		answer(err.Error())
		fmt.Fprintf(os.Stderr, "%s: %v\n", Name, err)
		return NotRun
	}
	answer(ready)
	return d.live()
}

// receive reads the task from the file that is the only argument, or else from
// a Handover.
func receive(args []string) (task Task, answer func(string), err error) {
	var data []byte
	if len(args) > 0 {
		answer = func(text string) { task.complain(text) }
		data, err = os.ReadFile(args[0])
	} else {
		data, answer, err = takeOver()
	}
	if err == nil {
		err = json.Unmarshal(data, &task)
	}
	return task, answer, err
}

// complain tells who reads the dyno's output, when nobody else is there to hear
// why its command does not run.
func (t Task) complain(text string) {
	if text == ready || t.Output == "" {
		return
	}
	if out, err := os.OpenFile(t.Output, os.O_RDWR|syscall.O_NOFOLLOW, 0); err == nil {
		fmt.Fprintf(out, "%s: %s\n", Name, text)
		(&dyno{out: out}).outlastOutput()
	}
}

// takeOver is this process's side of a Handover; the error is io.EOF when
// there was none.
func takeOver() (data []byte, answer func(string), err error) {
	syscall.CloseOnExec(taskFD)
	syscall.CloseOnExec(answerFD)
	in, out := os.NewFile(taskFD, "task"), os.NewFile(answerFD, "answer")
	defer in.Close()
	answer = func(text string) {
		_, _ = io.WriteString(out, text) // nobody is left to tell, at worst
		out.Close()
	}
	if data, err = io.ReadAll(in); err == nil && len(data) == 0 {
		err = io.EOF
	}
	return data, answer, err
}

// answerTime is how long a first process may take to get the command going.
const answerTime = 30 * time.Second

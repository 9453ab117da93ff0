package escape

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Done begins the line that a burden prints when it is as heavy as it gets.
const Done = "the burden is on:"

// burdens are what is a burden to others, by name. Those that can be endured
// go on until they are stopped.
func burdens() map[string]func(args []string) error {
	return map[string]func([]string) error{
		"fork":    fork,
		"memory":  fillMemory,
		"cpu":     spin,
		"flood":   flood,
		"disk":    fillDisk,
		"sockets": sockets,
		"ports":   ports,
		"daemon":  daemon,
		"uncover": func([]string) error { return uncover() },
		"sleep":   func([]string) error { return sleep() },
	}
}

func done(format string, args ...any) { fmt.Println(Done, fmt.Sprintf(format, args...)) }

// sleep is not "select {}", which Go takes for a deadlock.
func sleep() error {
	for {
		time.Sleep(time.Hour)
	}
}

// forked is how many seconds the processes of a fork bomb last, so that a
// machine that nothing else keeps from it outlives it.
const forked = "60"

// Forked is the command line of what a fork bomb leaves. The number tells it
// from another's.
func Forked(number string) string { return "sleep " + forked + "." + number }

// Forks is how many there are, with the shells that start them, when nothing
// limits the number.
const Forks = 1094

// fork becomes a shell that starts one of itself, which starts three, and so
// on: until there are no more to be had, or a thousand.
func fork(args []string) error {
	bomb := `bomb() {
		[ "$1" -lt 6 ] || exec ` + Forked(args[0]) + `
		for n in 1 2 3; do bomb $(($1 + 1)) & done
		wait
	}
	bomb 0 &
	echo "` + Done + ` it has gone off"
	exec sleep ` + forked
	return syscall.Exec("/bin/sh", []string{"sh", "-c", bomb}, os.Environ())
}

// fillMemory takes more and more of it, at less than 2 GB a second, and ends
// when it has 1,536 MB.
func fillMemory([]string) error {
	const step = 16 << 20
	var all [][]byte
	for len(all) < 96 {
		more := make([]byte, step)
		for i := 0; i < len(more); i += 4096 {
			more[i] = 1
		}
		all = append(all, more)
		if len(all)%8 == 0 {
			fmt.Printf("%d MB are in use\n", len(all)*step>>20)
		}
		time.Sleep(10 * time.Millisecond)
	}
	runtime.KeepAlive(all)
	return nil
}

func spin([]string) error {
	threads := 8 * runtime.NumCPU()
	runtime.GOMAXPROCS(threads)
	for range threads - 1 {
		go func() {
			for n := 0; ; n++ {
				runtime.KeepAlive(n)
			}
		}()
	}
	done("%d threads spin", threads-1)
	return sleep()
}

// flood writes 100 MB of log lines, as fast as they are taken.
func flood([]string) error {
	out := bufio.NewWriterSize(os.Stdout, 64<<10)
	line := strings.Repeat("water ", 16)
	for n := range 1_000_000 {
		if _, err := fmt.Fprintf(out, "%07d%s\n", n, line[:92]); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	done("100 MB are written")
	return nil
}

// fillDisk writes so many MB, or until there is no room.
func fillDisk(args []string) error {
	limit, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	f, err := os.Create("filler")
	if err != nil {
		return err
	}
	block := make([]byte, 1<<20)
	size := 0
	for size < limit && err == nil {
		if _, err = f.Write(block); err == nil {
			size++
		}
	}
	done("%d MB are written, %v", size, err)
	return sleep()
}

// sockets opens so many connections to an address, says nothing on them, and
// keeps them.
func sockets(args []string) error {
	want, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	to := args[0]
	if host, port, _ := net.SplitHostPort(to); host == "127.0.0.1" && connect(to) != nil && gateway() != "" {
		to = net.JoinHostPort(gateway(), port) // where containers find their machine
	}
	var all []net.Conn
	for len(all) < want && err == nil {
		var c net.Conn
		if c, err = net.DialTimeout("tcp", to, reach); err == nil {
			all = append(all, c)
		}
	}
	if err != nil {
		err = unwrap(err)
	}
	done("%d connections are open, %v", len(all), err)
	return sleep()
}

// ports listens wherever the ports of dynos may be, for a moment, and again
// and again: one that has been given to a dyno in between is no longer there
// for it. It takes several processes to have so many files open.
func ports(args []string) error {
	const first, last, each = 20_000, 32_000, 3000
	if len(args) == 0 {
		for from := first; from < last; from += each {
			if err := start("ports", "ports", strconv.Itoa(from)); err != nil {
				return err
			}
		}
		done("all ports are asked for")
		return sleep()
	}
	from, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for {
		var taken []net.Listener
		for port := from; port < from+each; port++ {
			if ln, err := listen(port); err == nil {
				taken = append(taken, ln)
				go impostor(ln)
			}
		}
		time.Sleep(200 * time.Millisecond)
		for _, ln := range taken {
			ln.Close()
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
}

func impostor(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nimpostor")
		c.Close()
	}
}

// daemon leaves a process behind that has no parent of its own, no terminal,
// no environment, nothing open, and a name that whoever looks for it knows.
func daemon(args []string) error {
	name := args[0]
	if len(args) > 1 { // the one in between
		return start(name, "sleep")
	}
	if err := start("between", "daemon", name, "between"); err != nil {
		return err
	}
	time.Sleep(200 * time.Millisecond)
	done("%s has been left behind", name)
	return nil
}

func start(name string, args ...string) error {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0], cmd.Dir, cmd.Env = name, "/", []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd.Start()
}

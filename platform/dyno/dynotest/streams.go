package dynotest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"niwa/platform/dyno"
	"niwa/platform/platformtest/need"
)

func outputOrder(t *testing.T, b *bench) {
	_, out := b.result(t, dyno.Spec{Command: `i=0; while [ $i -lt 500 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done; printf end`})
	var want strings.Builder
	for i := range 500 {
		fmt.Fprintf(&want, "out %d\nerr %d\n", i, i)
	}
	want.WriteString("end")
	if out != want.String() {
		t.Errorf("output of %d bytes is not the %d expected, in their order", len(out), want.Len())
	}
}

// flood has several writers write more than 100 MB, a line at a time, as fast
// as they can.
func flood(t *testing.T, b *bench) {
	const writers, lines, width = 4, 34_000, 800
	pad := strings.Repeat("x", width)
	began := time.Now()
	_, out := b.result(t, dyno.Spec{
		Command: fmt.Sprintf(`for w in $(seq 0 %d); do
			awk -v w=$w 'BEGIN { for (n = 0; n < %d; n++) { print w, n, ENVIRON["PAD"]; fflush() } }' & done; wait`, writers-1, lines),
		Env: map[string]string{"PAD": pad},
	})
	t.Logf("%d MB at %.0f MB/s", len(out)>>20, float64(len(out))/1e6/time.Since(began).Seconds())
	var next [writers]int
	for line := range strings.Lines(out) {
		w, n := int(line[0]-'0'), 0
		if rest, ok := strings.CutSuffix(line, " "+pad+"\n"); ok && len(rest) > 2 {
			n, _ = strconv.Atoi(rest[2:])
		}
		if w < 0 || w >= writers || n != next[w] || line != fmt.Sprintf("%d %d %s\n", w, n, pad) {
			t.Fatalf("a line is broken or out of its turn: %q", line[:min(len(line), 60)])
		}
		next[w]++
	}
	for w, n := range next {
		if n != lines {
			t.Errorf("writer %d wrote %d lines, %d arrived", w, lines, n)
		}
	}
}

// gate lets nothing pass before it is opened.
type gate struct {
	open <-chan struct{}
	out  *output
}

func (g gate) Write(p []byte) (int, error) {
	<-g.open
	return g.out.Write(p)
}

func slowOutput(t *testing.T, b *bench) {
	open := make(chan struct{})
	out := newOutput()
	r := b.start(t, dyno.Spec{Command: `i=0; while [ $i -lt 3000 ]; do echo 12345678901234567890; i=$((i+1)); done`, Output: gate{open, out}})
	over := make(chan dyno.Exit, 1)
	go func() {
		exit, err := b.runner.Wait(within(t), r.id)
		if err != nil {
			t.Errorf("wait: %v", err)
		}
		over <- exit
	}()
	select {
	case <-over:
		t.Error("the dyno was said over before its output had been given")
	case <-time.After(300 * time.Millisecond):
	}
	close(open)
	select {
	case <-over:
	case <-time.After(limit):
		t.Fatal("the dyno does not end")
	}
	if got := len(out.String()); got != 3000*21 {
		t.Errorf("%d bytes arrived, want %d", got, 3000*21)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("the reader has gone") }

func failingOutput(t *testing.T, b *bench) {
	r := b.start(t, dyno.Spec{Command: `i=0; while [ $i -lt 5000 ]; do echo 12345678901234567890123456789; i=$((i+1)); done; exit 8`, Output: broken{}})
	if exit := r.wait(t); exit.Code != 8 {
		t.Errorf("ended as %+v", exit)
	}
}

func input(t *testing.T, b *bench) {
	t.Run("a lot of it, in full", func(t *testing.T) {
		sent := make([]byte, 8<<20)
		chacha := rand.NewChaCha8([32]byte{1})
		_, _ = chacha.Read(sent)
		_, out := b.result(t, dyno.Spec{Command: "cat", Stdin: bytes.NewReader(sent)})
		if out != string(sent) {
			t.Errorf("%d bytes came back of %d, or other ones", len(out), len(sent))
		}
	})
	t.Run("none", func(t *testing.T) {
		if exit, out := b.result(t, dyno.Spec{Command: "cat; echo end"}); exit.Code != 0 || out != "end\n" {
			t.Errorf("ended as %+v with %q", exit, out)
		}
	})
	t.Run("more than the dyno reads", func(t *testing.T) {
		if exit, out := b.result(t, dyno.Spec{Command: "head -c 3", Stdin: strings.NewReader(strings.Repeat("abc", 1<<20))}); exit.Code != 0 || out != "abc" {
			t.Errorf("ended as %+v with %q", exit, out)
		}
	})
	t.Run("without an end", func(t *testing.T) {
		r, w := io.Pipe()
		defer w.Close()
		if exit, _ := b.result(t, dyno.Spec{Command: "exit 3", Stdin: r}); exit.Code != 3 {
			t.Errorf("ended as %+v", exit)
		}
	})
}

func terminalSize(t *testing.T, b *bench) {
	need.Tool(t, "stty")
	exit, out := b.result(t, dyno.Spec{
		Command: `test -t 0 && test -t 1 && test -t 2 && stty size && echo said >/dev/tty && exit 12`,
		TTY:     &dyno.TTY{Window: dyno.Window{Cols: 101, Rows: 37}},
		Env:     map[string]string{"TERM": "xterm"},
	})
	if exit.Code != 12 || out != "37 101\r\nsaid\r\n" {
		t.Errorf("ended as %+v with %q", exit, out)
	}
}

func terminalResize(t *testing.T, b *bench) {
	need.Tool(t, "stty")
	resized := make(chan dyno.Window)
	r := b.start(t, dyno.Spec{
		Command: `trap 'stty size; exit 13' WINCH; stty size; while :; do sleep 0.02; done`,
		TTY:     &dyno.TTY{Window: dyno.Window{Cols: 80, Rows: 24}, Resized: resized},
		Env:     map[string]string{"TERM": "xterm"},
	})
	r.out.expect(t, "24 80\r\n")
	select {
	case resized <- dyno.Window{Cols: 132, Rows: 43}:
	case <-time.After(limit):
		t.Fatal("nobody takes the new size")
	}
	if exit := r.wait(t); exit.Code != 13 || !strings.HasSuffix(r.out.String(), "43 132\r\n") {
		t.Errorf("ended as %+v with %q", exit, r.out.String())
	}
}

func terminalTalk(t *testing.T, b *bench) {
	spec := func(command string) (dyno.Spec, *io.PipeWriter) {
		r, w := io.Pipe()
		t.Cleanup(func() { w.Close() })
		return dyno.Spec{Command: command, Stdin: r, TTY: &dyno.TTY{Window: dyno.Window{Cols: 80, Rows: 24}}, Env: map[string]string{"TERM": "dumb", "PS1": "$ "}}, w
	}
	say := func(t *testing.T, w io.Writer, text string) {
		t.Helper()
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("a shell", func(t *testing.T) {
		s, w := spec("sh -i")
		r := b.start(t, s)
		r.out.expect(t, "$ ")
		say(t, w, "echo $((20 + 3))\n")
		r.out.expect(t, "23")
		say(t, w, "exit 5\n")
		if exit := r.wait(t); exit.Code != 5 {
			t.Errorf("ended as %+v with %q", exit, r.out.String())
		}
	})
	t.Run("echo and ^D", func(t *testing.T) {
		s, w := spec("cat; echo over")
		r := b.start(t, s)
		say(t, w, "hello\n")
		r.out.expect(t, "hello\r\nhello\r\n")
		say(t, w, "\x04")
		if exit := r.wait(t); exit.Code != 0 || !strings.HasSuffix(r.out.String(), "over\r\n") {
			t.Errorf("ended as %+v with %q", exit, r.out.String())
		}
	})
	t.Run("the end of the input is a ^D", func(t *testing.T) {
		s, _ := spec("cat; echo over")
		s.Stdin = strings.NewReader("hello\n")
		if exit, out := b.result(t, s); exit.Code != 0 || !strings.HasSuffix(out, "over\r\n") {
			t.Errorf("ended as %+v with %q", exit, out)
		}
	})
	t.Run("^C", func(t *testing.T) {
		s, w := spec("echo ready; exec sleep 600")
		r := b.start(t, s)
		r.out.expect(t, "ready")
		say(t, w, "\x03")
		if exit := r.wait(t); exit != (dyno.Exit{Code: 130, Signal: "SIGINT"}) {
			t.Errorf("ended as %+v", exit)
		}
	})
	t.Run("output larger than a terminal holds", func(t *testing.T) {
		s, _ := spec(`i=0; while [ $i -lt 20000 ]; do echo 12345678; i=$((i+1)); done`)
		if _, out := b.result(t, s); len(out) != 20000*10 {
			t.Errorf("%d bytes arrived, want %d", len(out), 20000*10)
		}
	})
}

package follow

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func readAll(c net.Conn) (string, error) {
	all, err := io.ReadAll(c)
	return string(all), err
}

func TestLogLinesArriveInOrderAlsoThoseOfTheTimeWithoutAPlatform(t *testing.T) {
	t.Parallel()
	dir := data(t)
	r := startRouter(t, dir, nil)
	const each = 5000
	text := func(n int) string { return fmt.Sprintf("line %d %s", n, strings.Repeat(".", n%300)) }
	for i := range each {
		r.LogLine("1", []byte(text(i)))
	}
	p := startPlatform(t, dir, "a")
	go func() {
		for i := range each {
			r.LogLine("1", []byte(text(each+i)))
		}
	}()
	for i := range 2 * each {
		l := p.line(t)
		if l.App != "1" || l.Text != text(i) || time.Since(l.At) > time.Minute {
			t.Fatalf("line %d is %v", i, l)
		}
	}
}

func TestLinesThatFoundNoRoomAreCounted(t *testing.T) {
	t.Parallel()
	dir := data(t)
	r := startRouter(t, dir, nil)
	begin := time.Now()
	text := strings.Repeat("x", 1000)
	const sent = 3 * maxBacklog / 1000
	for i := range sent {
		r.LogLine([]string{"1", "2", "2"}[i%3], []byte(text))
	}
	r.LogLine("3", []byte("the last"))
	p := startPlatform(t, dir, "a")
	kept, dropped := map[string]int{}, map[string]int{}
	for l := p.line(t); l.App != "3"; l = p.line(t) {
		if l.Dropped == 0 {
			kept[l.App]++
			continue
		}
		if dropped[l.App] != 0 || kept[l.App] != 0 || l.At.Before(begin) || l.At.After(begin.Add(patience)) {
			t.Errorf("a gap is %v, after %v and %v", l, dropped, kept)
		}
		dropped[l.App] = l.Dropped
	}
	for app, want := range map[string]int{"1": sent / 3, "2": sent * 2 / 3} {
		if kept[app]+dropped[app] < want || kept[app] < want/5 || dropped[app] < want/5 {
			t.Errorf("of %d lines of app %s, %d are kept and %d counted as dropped", want, app, kept[app], dropped[app])
		}
	}
}

func TestABatchThatThePlatformDidNotAcknowledgeComesAgain(t *testing.T) {
	t.Parallel()
	dir := data(t)
	ln, err := Listen(Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	r := startRouter(t, dir, nil)
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	r.LogLine("1", []byte("one"))
	r.LogLine("1", []byte("two"))
	c.SetDeadline(time.Now().Add(patience))
	for got := ""; !strings.Contains(got, `"one"`); {
		buf := make([]byte, 1000)
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got += string(buf[:n])
	}
	c.Close() // without a word: it was killed
	ln.Close()
	p := startPlatform(t, dir, "a")
	for _, want := range []string{"one", "two"} {
		if l := p.line(t); l.Text != want {
			t.Errorf("got %v, want %s", l, want)
		}
	}
}

func TestARouterThatStopsDeliversItsLastLines(t *testing.T) {
	t.Parallel()
	dir := data(t)
	p := startPlatform(t, dir, "a")
	r := startRouter(t, dir, nil)
	r.uses(t, "a")
	for i := range 500 {
		r.LogLine("1", []byte(fmt.Sprint(i)))
	}
	r.stop()
	if len(p.lines) != 500 {
		t.Errorf("%d of 500 lines came", len(p.lines))
	}
}

func TestARouterStopsWithoutAPlatformToo(t *testing.T) {
	t.Parallel()
	r := startRouter(t, data(t), nil)
	r.LogLine("1", []byte("to nobody"))
	stopped := make(chan struct{})
	go func() { r.stop(); close(stopped) }()
	select {
	case <-stopped:
	case <-time.After(patience):
		t.Error("it waits for a platform")
	}
}

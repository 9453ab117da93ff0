package router

import (
	"bufio"
	"io"
	"syscall"
	"testing"
	"time"
)

// Not parallel: the whole process has no file descriptor left.
func TestARequestWaitsUntilTheRouterHasAFileDescriptorForIt(t *testing.T) {
	h := start(t, serving(httpDyno(t, ok)), Timeouts{})
	c := h.dial(t)
	in := bufio.NewReader(c)
	io.WriteString(c, get("/")) // so that the connection has been accepted
	if resp, _, err := answerOn(in); err != nil || resp.StatusCode != 200 {
		t.Fatalf("got %v, %v", resp, err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(restore)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 3, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n")
	c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := in.Peek(1); err == nil {
		t.Error("it was answered without a connection to the dyno")
	}
	restore()
	c.SetReadDeadline(time.Now().Add(patience))
	if resp, _, err := answerOn(in); err != nil || resp.StatusCode != 200 {
		t.Errorf("got %v, %v", resp, err)
	}
}

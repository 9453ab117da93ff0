package router

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"niwa/router/policy"
	"niwa/router/route"
)

func TestADrainEndsWithTheLastRequestOfTheDyno(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	old := rawDyno(t, func(c net.Conn, in *bufio.Reader) {
		readHead(in)
		close(arrived)
		<-release
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	h := start(t, serving(old), Timeouts{})
	c := h.dial(t)
	io.WriteString(c, get("/"))
	wait(t, arrived, "the request is with the dyno")
	h.swap(t, serving(httpDyno(t, ok)))

	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := h.Drain(ctx, []string{old.Addr}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a request under way Drain returns %v", err)
	}
	drained := make(chan error, 1)
	go func() { drained <- h.Drain(context.Background(), []string{"127.0.0.1:1", old.Addr}) }()
	close(release)
	if resp, _, err := answerOn(bufio.NewReader(c)); err != nil || resp.StatusCode != 200 {
		t.Errorf("the request under way got %v, %v", resp, err)
	}
	select {
	case err := <-drained:
		if err != nil {
			t.Errorf("Drain: %v", err)
		}
	case <-time.After(patience):
		t.Error("Drain goes on, though the request has ended")
	}
}

func TestARequestOfAnOlderTableIsNotGivenToADynoThatLeftIt(t *testing.T) {
	t.Parallel()
	h := start(t, serving(httpDyno(t, ok)), Timeouts{})
	app, _ := h.live.Lookup("app.test")
	h.swap(t, route.App{State: route.Starting})
	if err := h.Drain(context.Background(), []string{app.Dynos[0].Addr}); err != nil {
		t.Fatal(err)
	}
	if b, _, current := h.fleet.pick(app, nil, true); current || b != nil {
		t.Errorf("it was given %v", b)
	}
}

func TestARequestThatADepartingDynoRefusesWaitsForTheNext(t *testing.T) {
	t.Parallel()
	h := start(t, serving(refusing(t)), Timeouts{})
	var leave sync.Once
	left := make(chan struct{})
	h.fleet.mu.Lock()
	h.fleet.policy = func(string) policy.Policy {
		return func([]*policy.Dyno) int {
			leave.Do(func() { // after the choice, before the connection
				h.swap(t, route.App{State: route.Starting})
				close(left)
			})
			return 0
		}
	}
	h.fleet.mu.Unlock()
	c := h.dial(t)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello")
	wait(t, left, "the dyno has left")
	h.swap(t, serving(httpDyno(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })))
	if resp, body, err := answerOn(bufio.NewReader(c)); err != nil || resp.StatusCode != 200 || body != "hello" {
		t.Errorf("got %v, %q, %v", resp, body, err)
	}
}

func TestADrainClosesIdleConnections(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	old := rawDyno(t, func(c net.Conn, in *bufio.Reader) {
		readHead(in)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		if _, err := in.ReadByte(); err == io.EOF {
			close(closed)
		}
	})
	h := start(t, serving(old), Timeouts{})
	h.ask(t, get("/"))
	h.swap(t, route.App{State: route.Starting})
	if err := h.Drain(context.Background(), []string{old.Addr}); err != nil {
		t.Fatal(err)
	}
	wait(t, closed, "the idle connection is closed")
}

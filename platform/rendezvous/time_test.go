package rendezvous

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// pipes is a listener for clients in the same process, whose time a test can
// make pass.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.done); return nil }
func (p pipes) Addr() net.Addr { return nil }

func (p pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// inTime runs a test with a server whose time is simulated.
func inTime(t *testing.T, test func(*testing.T, *Server, pipes)) {
	synctest.Test(t, func(t *testing.T) {
		ln := pipes{make(chan net.Conn), make(chan struct{})}
		s := New(ln)
		served := make(chan error)
		go func() { served <- s.Serve() }()
		test(t, s, ln)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// pair is a session that a client has come to.
func pair(t *testing.T, s *Server, ln pipes) (*Conn, net.Conn) {
	t.Helper()
	session := s.Open(time.Minute)
	client := ln.dial()
	mustWrite(t, client, session.Secret+"\r\n")
	if _, err := io.ReadFull(client, make([]byte, len(greeting))); err != nil {
		t.Fatal(err)
	}
	conn, err := session.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return conn, client
}

func TestASessionExpires(t *testing.T) {
	inTime(t, func(t *testing.T, s *Server, ln pipes) {
		session := s.Open(time.Minute)
		began := time.Now()
		if _, err := session.Accept(t.Context()); !errors.Is(err, ErrExpired) {
			t.Errorf("Accept: %v", err)
		}
		if took := time.Since(began); took != time.Minute {
			t.Errorf("it expired after %v", took)
		}
		late := ln.dial()
		mustWrite(t, late, session.Secret+"\r\n")
		if got, _ := io.ReadAll(late); len(got) > 0 {
			t.Errorf("a late client is told %q", got)
		}
		if len(s.sessions) > 0 {
			t.Error("the session is remembered")
		}
	})
}

func TestAClientThatNobodyAcceptsIsClosed(t *testing.T) {
	inTime(t, func(t *testing.T, s *Server, ln pipes) {
		session := s.Open(time.Minute)
		client := ln.dial()
		mustWrite(t, client, session.Secret+"\r\n")
		if got, err := io.ReadAll(client); string(got) != greeting || err != nil {
			t.Errorf("it reads %q, %v", got, err)
		}
	})
}

func TestASlowFirstLineIsNotWaitedFor(t *testing.T) {
	inTime(t, func(t *testing.T, s *Server, ln pipes) {
		session := s.Open(time.Hour)
		client := ln.dial()
		began := time.Now()
		for _, b := range []byte(session.Secret) {
			if _, err := client.Write([]byte{b}); err != nil {
				break
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took > lineLimit+time.Second {
			t.Errorf("it was heard for %v", took)
		}
	})
}

func TestAnIdleConnectionEndsAfterAnHour(t *testing.T) {
	inTime(t, func(t *testing.T, s *Server, ln pipes) {
		conn, client := pair(t, s, ln)
		go func() { _, _ = io.Copy(io.Discard, conn) }()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		for range 3 { // either side keeps it alive
			time.Sleep(40 * time.Minute)
			mustWrite(t, conn, "output")
			time.Sleep(40 * time.Minute)
			mustWrite(t, client, "input")
		}
		synctest.Wait()
		began := time.Now()
		<-conn.Gone()
		if took := time.Since(began); took != time.Hour {
			t.Errorf("it ended after %v", took)
		}
	})
}

func TestTheEndOfPipedInput(t *testing.T) {
	const pause = 2 * silence
	for name, tt := range map[string]struct {
		sent  []string      // writes of the client
		pause time.Duration // between them
		leave bool
		want  string
	}{
		"a ^D by itself":                {sent: []string{"some input\n", "\x04"}, want: "some input\n"},
		"a ^D with the last input":      {sent: []string{"some input\n\x04"}, want: "some input\n"},
		"nothing but a ^D":              {sent: []string{"\x04"}, want: ""},
		"a ^D within the input":         {sent: []string{"a\x04b\n", "\x04"}, pause: pause, want: "a\x04b\n"},
		"a ^D that more follows":        {sent: []string{"a\x04", "b\x04", "c", "\x04"}, want: "a\x04b\x04c"},
		"several at the end":            {sent: []string{"a\x04\x04\x04"}, want: "a\x04\x04"},
		"several, each by itself":       {sent: []string{"\x04", "\x04", "\x04"}, want: "\x04\x04"},
		"slow input":                    {sent: []string{"a", "b", "c\x04"}, pause: pause, want: "abc"},
		"a client that leaves":          {sent: []string{"abc"}, leave: true, want: "abc"},
		"a client that leaves after ^D": {sent: []string{"abc\x04"}, leave: true, want: "abc"},
		"larger than the buffer":        {sent: []string{strings.Repeat("0123456789\x04", 10_000), "\x04"}, want: strings.Repeat("0123456789\x04", 10_000)},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, s *Server, ln pipes) {
				conn, client := pair(t, s, ln)
				go func() {
					for i, text := range tt.sent {
						if i > 0 {
							time.Sleep(tt.pause)
						}
						if _, err := io.WriteString(client, text); err != nil {
							t.Error(err)
						}
					}
					if tt.leave {
						client.Close()
					}
				}()
				if got, err := io.ReadAll(StdinEOF(conn)); string(got) != tt.want || err != nil {
					t.Errorf("read %q, %v", got, err)
				}
				// The connection is still looked after.
				if !tt.leave {
					mustWrite(t, client, "more")
					client.Close()
				}
				<-conn.Gone()
			})
		})
	}
}

func TestPipedInputInSmallReads(t *testing.T) {
	inTime(t, func(t *testing.T, s *Server, ln pipes) {
		conn, client := pair(t, s, ln)
		go func() { _, _ = io.WriteString(client, "one\x04two\x04") }()
		if line, err := bufio.NewReader(iotest.OneByteReader(StdinEOF(conn))).ReadString(0); line != "one\x04two" || err != io.EOF {
			t.Errorf("read %q, %v", line, err)
		}
	})
}

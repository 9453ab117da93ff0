package rendezvous

import (
	"bufio"
	"errors"
	"io"
	"net"
	"slices"
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

// received returns the pieces in which a client gets what is written without a
// pause.
func received(t *testing.T, writes []string) (pieces []string) {
	inTime(t, func(t *testing.T, s *Server, ln pipes) {
		conn, client := pair(t, s, ln)
		go func() {
			for _, text := range writes {
				if _, err := io.WriteString(conn, text); err != nil {
					t.Error(err)
				}
			}
			conn.Close()
		}()
		buf := make([]byte, 64<<10)
		for {
			n, err := client.Read(buf)
			if n > 0 {
				pieces = append(pieces, string(buf[:n]))
			}
			if err != nil {
				return
			}
		}
	})
	return pieces
}

func TestAnExitStatusComesInOnePiece(t *testing.T) {
	whole := marker + "0\r\n"
	for name, writes := range map[string][]string{
		"alone":                      {whole},
		"after output":               {"some output\n" + whole},
		"after much output":          {strings.Repeat("some output\n", 500) + whole},
		"after an endless line":      {strings.Repeat("x", 5*maxRecord-20) + whole},
		"cut in the marker":          {"output\n" + whole[:9], whole[9:]},
		"cut in its first character": {"output" + whole[:1], whole[1:2], whole[2:]},
		"cut in the status":          {"output\n" + whole[:len(whole)-3], whole[len(whole)-3:]},
		"byte for byte":              strings.Split("out\n"+whole, ""),
		"after a wide character":     {"\uFF01\xef\xbf", "\xbd" + whole},
		"with output behind":         {whole + "more"},
	} {
		t.Run(name, func(t *testing.T) {
			pieces := received(t, writes)
			if want := strings.Join(writes, ""); strings.Join(pieces, "") != want {
				t.Errorf("%q is not the output that was written", pieces)
			}
			if !slices.ContainsFunc(pieces, func(p string) bool { return strings.Contains(p, whole) }) {
				t.Errorf("the status is in no piece of %q", pieces)
			}
		})
	}
}

func TestALineEndIsNotCutInTwo(t *testing.T) {
	pieces := received(t, []string{"one\r", "\ntwo\r", "\n"})
	if want := []string{"one", "\r\ntwo", "\r\n"}; !slices.Equal(pieces, want) {
		t.Errorf("the pieces are %q, want %q", pieces, want)
	}
}

func TestWhatIsHeldBackIsNotHeldForLong(t *testing.T) {
	for _, text := range []string{"50 %\r", "end " + marker[:5]} {
		inTime(t, func(t *testing.T, s *Server, ln pipes) {
			conn, client := pair(t, s, ln)
			go func() { _, _ = io.WriteString(conn, text) }()
			began := time.Now()
			for got := ""; got != text; {
				got += record(t, client)
			}
			if took := time.Since(began); took != patience {
				t.Errorf("%q took %v", text, took)
			}
			go func() { _, _ = io.WriteString(conn, "more") }()
			if got := record(t, client); got != "more" {
				t.Errorf("after it comes %q", got)
			}
		})
	}
}

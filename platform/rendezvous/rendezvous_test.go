package rendezvous

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"niwa/platform/pki"
	"niwa/platform/platformtest/need"
)

const limit = 30 * time.Second

// site is a server and what a client needs to reach it.
type site struct {
	*Server
	addr   string
	caFile string
	trust  *tls.Config
}

func serve(t *testing.T) *site {
	t.Helper()
	ca, err := pki.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", ca.ServerConfig(nil))
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(ca.CertFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	s := &site{Server: New(ln), addr: ln.Addr().String(), caFile: ca.CertFile(), trust: &tls.Config{RootCAs: roots, ServerName: "localhost"}}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

// dial connects and says a line.
func (s *site) dial(t *testing.T, line string) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", s.addr, s.trust)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, line); err != nil {
		t.Fatal(err)
	}
	return c
}

// meet opens a session and returns both ends of it, greeted.
func (s *site) meet(t *testing.T) (*Conn, *tls.Conn) {
	t.Helper()
	session := s.Open(limit)
	client := s.dial(t, session.Secret+"\r\n")
	conn, err := session.Accept(within(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.hangUp)
	if got := record(t, client); got != greeting {
		t.Fatalf("the greeting is %q", got)
	}
	return conn, client
}

// record reads one record, as the official client sees a chunk.
func record(t *testing.T, c net.Conn) string {
	t.Helper()
	buf := make([]byte, 64<<10)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

func mustWrite(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

func TestTheGreetingIsARecordOfItsOwn(t *testing.T) {
	s := serve(t)
	session := s.Open(limit)
	go func() {
		conn, err := session.Accept(within(t))
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, "output")
	}()
	client := s.dial(t, session.Secret+"\r\nand more")
	if got := record(t, client); got != "rendezvous\r\n" {
		t.Errorf("the first record is %q", got)
	}
	if got := record(t, client); got != "output" {
		t.Errorf("the second record is %q", got)
	}
}

func TestSecretsAreLongAndDiffer(t *testing.T) {
	s := serve(t)
	one, two := s.Open(limit).Secret, s.Open(limit).Secret
	if len(one) < 32 || one == two || strings.Trim(one, "0123456789abcdef") != "" {
		t.Errorf("secrets %q and %q", one, two)
	}
}

func TestBytesGoBothWays(t *testing.T) {
	conn, client := serve(t).meet(t)
	sent := bytes.Repeat([]byte("all the bytes of a line\x00\xff\x04\n"), 100_000)
	var both sync.WaitGroup
	for _, pair := range []struct {
		from io.Writer
		to   io.Reader
	}{{conn, client}, {client, conn}} {
		both.Go(func() {
			if _, err := pair.from.Write(sent); err != nil {
				t.Error(err)
			}
		})
		both.Go(func() {
			got := make([]byte, len(sent))
			if _, err := io.ReadFull(pair.to, got); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("%v, or other bytes arrived", err)
			}
		})
	}
	both.Wait()
}

func TestWhatFollowsTheSecretIsInput(t *testing.T) {
	s := serve(t)
	session := s.Open(limit)
	s.dial(t, session.Secret+"\r\nearly\n")
	conn, err := session.Accept(within(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.hangUp()
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "early\n" {
		t.Errorf("read %q, %v", line, err)
	}
}

func TestAStrangerIsShownTheDoor(t *testing.T) {
	s := serve(t)
	open := s.Open(limit)
	for name, line := range map[string]string{
		"another secret":          strings.Repeat("a", 48) + "\r\n",
		"no secret":               "\r\n",
		"a secret and more":       open.Secret + " \r\n",
		"the secret with a slash": "/" + open.Secret + "\r\n",
		"a bare line feed":        open.Secret + "\n",
		"an endless line":         strings.Repeat("x", 10*maxLine),
		"HTTP":                    "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) { rejected(t, s.dial(t, line)) })
	}
	t.Run("no TLS", func(t *testing.T) {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		mustWrite(t, c, open.Secret+"\r\n")
		if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(c); bytes.Contains(got, []byte("rendezvous")) {
			t.Errorf("it was told %q", got)
		}
	})
	s.dial(t, open.Secret+"\r\n") // none of them has used it up
	if _, err := open.Accept(within(t)); err != nil {
		t.Error(err)
	}
}

func rejected(t *testing.T, c *tls.Conn) {
	t.Helper()
	got, err := io.ReadAll(c)
	if len(got) > 0 || os.IsTimeout(err) {
		t.Errorf("it was told %q, %v", got, err)
	}
}

func TestASecretWorksOnce(t *testing.T) {
	s := serve(t)
	session := s.Open(limit)
	s.dial(t, session.Secret+"\r\n")
	if _, err := session.Accept(within(t)); err != nil {
		t.Fatal(err)
	}
	rejected(t, s.dial(t, session.Secret+"\r\n"))
}

func TestASessionThatIsNotAwaitedIsGone(t *testing.T) {
	s := serve(t)
	session := s.Open(limit)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := session.Accept(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Accept: %v", err)
	}
	rejected(t, s.dial(t, session.Secret+"\r\n"))
}

func TestCloseEndsEverything(t *testing.T) {
	s := serve(t)
	waiting := s.Open(limit)
	guest := s.dial(t, "half a li")
	conn, client := s.meet(t)
	ended := make(chan error, 1)
	go func() {
		_, err := waiting.Accept(within(t))
		ended <- err
	}()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	rejected(t, guest)
	rejected(t, client)
	<-conn.Gone()
	if _, err := s.Open(limit).Accept(within(t)); !errors.Is(err, ErrClosed) {
		t.Errorf("Accept after the close: %v", err)
	}
}

func TestTheEndIsToldALittleAfterTheLastOutput(t *testing.T) {
	conn, client := serve(t).meet(t)
	mustWrite(t, conn, "last words")
	wrote := time.Now()
	closed := make(chan error, 1)
	go func() { closed <- conn.Close() }()
	if got, err := io.ReadAll(client); string(got) != "last words" || err != nil {
		t.Errorf("the client reads %q, %v", got, err)
	}
	if took := time.Since(wrote); took < linger-10*time.Millisecond {
		t.Errorf("the end came %v after the last output", took)
	}
	select {
	case <-closed:
		t.Error("closed before the client was")
	default:
	}
	// What the client says meanwhile does no harm.
	mustWrite(t, client, "\x04")
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

func TestAClientThatDoesNotCloseIsNotWaitedForLong(t *testing.T) {
	conn, _ := serve(t).meet(t)
	began := time.Now()
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*farewell {
		t.Errorf("it took %v", took)
	}
}

func TestAClientThatLeavesIsNoticed(t *testing.T) {
	conn, client := serve(t).meet(t)
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-conn.Gone():
	case <-time.After(limit):
		t.Error("nobody has noticed")
	}
}

// TestNoRecordEndsWithinAnExitStatus has one where crypto/tls, left alone, cuts
// the second write of a connection.
func TestNoRecordEndsWithinAnExitStatus(t *testing.T) {
	s := serve(t)
	whole := marker + "0\r\n"
	for before := 2280; before < 2400; before += 5 {
		conn, client := s.meet(t)
		mustWrite(t, conn, strings.Repeat("x", before-1)+"\n"+whole)
		got := record(t, client)
		for !strings.Contains(got, marker[:1]) {
			got = record(t, client)
		}
		if !strings.Contains(got, whole) {
			t.Fatalf("after %d bytes a record ends with %q", before, got)
		}
	}
}

func TestWhatIsHeldBackIsSentAtTheEnd(t *testing.T) {
	conn, client := serve(t).meet(t)
	mustWrite(t, conn, "end "+marker[:5])
	go conn.Close()
	if got, err := io.ReadAll(client); string(got) != "end "+marker[:5] {
		t.Errorf("the client reads %q, %v", got, err)
	}
}

// TestTheOfficialClientsHabits speaks the protocol as the CLI does, in the
// same runtime: the first chunk is dropped, then its input is sent with a ^D
// at the end, and a write that fails is an error.
func TestTheOfficialClientsHabits(t *testing.T) {
	node := need.Tool(t, "node")
	const script = `
const tls = require('tls'), { Transform } = require('stream')
const [port, secret] = process.argv.slice(1)
const c = tls.connect(Number(port), 'localhost', { rejectUnauthorized: undefined })
c.setEncoding('utf8')
c.on('connect', () => c.write(secret + '\r\n'))
let first = true
c.on('data', data => {
  if (!first) return process.stdout.write(data)
  first = false
  process.stdin.setEncoding('utf8')
  process.stdin.unref?.()
  process.stdin.pipe(new Transform({ objectMode: true,
    flush: done => c.write('\u0004', done), transform: (chunk, _, next) => c.write(chunk, next) }))
})
c.on('close', () => process.exit(0))
c.on('error', err => { console.error(err); process.exit(1) })`
	for name, tt := range map[string]struct {
		input, want string
		dyno        func(*Conn) error
	}{
		"output and end in one burst": {"", "done\n", func(c *Conn) error {
			_, err := io.WriteString(c, "done\n")
			return err
		}},
		"an end without output": {"", "", func(*Conn) error { return nil }},
		"input is echoed to its end": {strings.Repeat("a line of input\n", 50_000), strings.Repeat("a line of input\n", 50_000) + "end\n", func(c *Conn) error {
			in, err := io.ReadAll(StdinEOF(c))
			if err == nil {
				_, err = c.Write(append(in, "end\n"...))
			}
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			session := s.Open(limit)
			_, port, err := net.SplitHostPort(s.addr)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(within(t), node, "-e", script, port, session.Secret)
			cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+s.caFile)
			cmd.Stdin = strings.NewReader(tt.input)
			var out, errs bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			conn, err := session.Accept(within(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.dyno(conn); err != nil {
				t.Error(err)
			}
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); err != nil || out.String() != tt.want {
				t.Errorf("the client ends with %v: %d bytes of output, want %d; %s", err, out.Len(), len(tt.want), errs.String())
			}
		})
	}
}

func FuzzReadSecret(f *testing.F) {
	secret := strings.Repeat("s", secretLength)
	for _, seed := range []string{"", "\r\n", secret + "\r\nrest", secret + "\n", secret, secret + "x", secret[1:] + "\r\n", strings.Repeat("x", maxLine)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(data), nothingComes{}), maxLine)
		got, err := readSecret(nothingComes{}, r)
		good := len(data) == secretLength || len(data) > secretLength+1 && string(data[secretLength:secretLength+2]) == "\r\n"
		if good != (err == nil) {
			t.Fatalf("%q: %q, %v", data, got, err)
		}
		if err == nil && got != string(data[:secretLength]) {
			t.Errorf("%q was read as %q", data, got)
		}
	})
}

// nothingComes is a client that says no more before the deadline.
type nothingComes struct{}

func (nothingComes) Read([]byte) (int, error)        { return 0, os.ErrDeadlineExceeded }
func (nothingComes) SetReadDeadline(time.Time) error { return nil }

func TestAClientThatSendsNoLineEndIsGreetedToo(t *testing.T) {
	s := serve(t)
	session := s.Open(limit)
	client := s.dial(t, session.Secret)
	conn, err := session.Accept(within(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.hangUp()
	got := make([]byte, len(greeting))
	if _, err := io.ReadFull(client, got); err != nil || string(got) != greeting {
		t.Errorf("it reads %q, %v", got, err)
	}
}

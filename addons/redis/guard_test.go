package redis

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/iotest"
)

// input is a connection that a client has sent something on.
type input struct {
	net.Conn
	io.Reader
}

func (i input) Read(p []byte) (int, error) { return i.Reader.Read(p) }

// pass returns what a guarded connection lets through.
func pass(r io.Reader) []byte {
	var out bytes.Buffer
	_, _ = io.Copy(&out, &guarded{Conn: input{Reader: r}}) // it ends with the input or at what is wrong
	return out.Bytes()
}

func TestCommandsPassTheGuardAsTheyAre(t *testing.T) {
	commands := "*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\n*1\r\n$\r\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\n"
	if got := pass(bytes.NewBufferString(commands)); string(got) != commands {
		t.Errorf("got %q", got)
	}
	if got := pass(bytes.NewBufferString("*0\r\n" + commands)); string(got) != commands {
		t.Errorf("after an empty command: %q", got)
	}
	for _, wrong := range []string{"*1\r\n$67108865\r\n", "*1048577\r\n", "*1\n$4\nPING\n", "PING\r\n", "*1\r\n:4\r\n"} {
		want := ""
		if wrong[:4] == "*1\r\n" {
			want = "*1\r\n" // it was right so far
		}
		if got := pass(bytes.NewBufferString(wrong + commands)); string(got) != want {
			t.Errorf("%q lets %q through", wrong, got)
		}
	}
}

func FuzzTheGuard(f *testing.F) {
	f.Add([]byte("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*0\r\n*1\r\n$9999999999\r\n"))
	f.Add([]byte("*-1\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		whole := pass(bytes.NewReader(data))
		if again := pass(bytes.NewReader(whole)); !bytes.Equal(again, whole) {
			t.Errorf("what was let through is not: %q became %q", whole, again)
		}
		if slowly := pass(iotest.OneByteReader(bytes.NewReader(data))); !bytes.Equal(slowly, whole) {
			t.Errorf("byte by byte %q, at once %q", slowly, whole)
		}
	})
}

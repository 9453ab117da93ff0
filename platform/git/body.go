package git

import (
	"bufio"
	"compress/gzip"
	"io"
	"net"
	"time"

	"github.com/gofiber/fiber/v2"
)

const (
	// stalled is how long a client may neither send nor take anything.
	stalled = 2 * time.Minute
	// maxFetch is the most a fetch may ask, in bytes.
	maxFetch = 64 << 20
	// maxDrain is how much of a refused request is read, so that the client
	// gets to read the answer.
	maxDrain = 4 << 30
)

// feed gives a body to a git. A git that wants no more of it has an answer,
// which clients read when they have sent all; so the rest is read for nobody.
func feed(stdin io.WriteCloser, body io.Reader) error {
	defer stdin.Close()
	source := &reader{r: body}
	if _, err := io.Copy(stdin, source); err != nil && source.err == nil {
		stdin.Close()
		io.Copy(io.Discard, source)
	}
	return source.err
}

// reader remembers why reading failed, which io.Copy mixes up with writing.
type reader struct {
	r   io.Reader
	err error
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// flusher sends each write at once, and gives up on a client that takes
// nothing.
type flusher struct {
	w    *bufio.Writer
	conn net.Conn
}

func (f flusher) Write(p []byte) (int, error) {
	f.conn.SetWriteDeadline(time.Now().Add(stalled))
	n, err := f.w.Write(p)
	if err != nil {
		return n, err
	}
	return n, f.w.Flush()
}

// request is the body of a request as it comes. It may take as long as it
// takes, while it comes at all; after an error, io.EOF too, it is not read
// again: fasthttp would wait for the next request.
type request struct {
	r    io.Reader // nil for no body
	conn net.Conn
	err  error
}

func (r *request) Read(b []byte) (int, error) {
	if r.r == nil {
		r.err = io.EOF
	}
	if r.err != nil {
		return 0, r.err
	}
	r.conn.SetReadDeadline(time.Now().Add(stalled))
	n, err := r.r.Read(b)
	if err != nil {
		r.err = err
		r.conn.SetReadDeadline(time.Time{})
	}
	return n, err
}

// decoded is the body as a git wants it: of the right type and not
// compressed.
func decoded(c *fiber.Ctx, body io.Reader, service string) (io.Reader, error) {
	if want := "application/x-" + service + "-request"; c.Get(fiber.HeaderContentType) != want {
		return nil, fiber.NewError(fiber.StatusUnsupportedMediaType, "Content-Type must be "+want+".")
	}
	switch c.Get(fiber.HeaderContentEncoding) {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			return nil, fiber.NewError(fiber.StatusBadRequest, "The body is not gzip.")
		}
		return unzipped, nil
	}
	return nil, fiber.NewError(fiber.StatusUnsupportedMediaType, "Content-Encoding must be gzip or none.")
}

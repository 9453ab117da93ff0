package router

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"time"
)

// sendStream writes a stream's request as HTTP/1.1. An error is a body that
// breaks off; that nobody reads on is none, since the answer then says why.
func sendStream(to io.Writer, head []byte, r *http.Request) error {
	out := bufio.NewWriterSize(to, bufferSize)
	out.Write(head)
	var body io.Writer = out
	if r.ContentLength < 0 {
		body = httputil.NewChunkedWriter(out)
	}
	buf := make([]byte, bufferSize)
	for {
		if out.Flush() != nil {
			return nil
		}
		n, err := r.Body.Read(buf)
		if n > 0 {
			body.Write(buf[:n])
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if chunks, ok := body.(io.Closer); ok {
		chunks.Close()
		r.Trailer.Write(out)
		out.WriteString("\r\n")
	}
	out.Flush() // a bufio.Writer keeps its first error, and here it is the last
	return nil
}

// answerStream gives the stream the answer. An error is one that breaks off.
func answerStream(w http.ResponseWriter, in *bufio.Reader, r *http.Request, idle time.Duration) error {
	rc := http.NewResponseController(w)
	for {
		resp, err := http.ReadResponse(in, &http.Request{Method: r.Method})
		if err != nil {
			return err
		}
		if resp.StatusCode == http.StatusContinue {
			continue // net/http says it by itself
		}
		rc.SetWriteDeadline(time.Now().Add(idle))
		if resp.StatusCode < 200 {
			setHeader(w.Header(), resp)
			w.WriteHeader(resp.StatusCode)
			clear(w.Header())
			continue
		}
		setHeader(w.Header(), resp)
		w.WriteHeader(resp.StatusCode)
		if err := copyBody(w, rc, resp.Body, idle); err != nil {
			return err
		}
		for name, values := range resp.Trailer {
			for _, value := range values {
				w.Header().Add(http.TrailerPrefix+name, value)
			}
		}
		return nil
	}
}

// setHeader takes over what HTTP/2 has a place for.
func setHeader(to http.Header, resp *http.Response) {
	for name, values := range resp.Header {
		to[name] = values
	}
	to.Del("Connection")
	for name := range resp.Trailer {
		to.Add("Trailer", name)
	}
	if _, ok := to["Content-Type"]; !ok {
		to["Content-Type"] = nil // or net/http would guess one
	}
}

// copyBody passes a body on, each piece as it comes.
func copyBody(w io.Writer, rc *http.ResponseController, body io.Reader, idle time.Duration) error {
	if err := rc.Flush(); err != nil {
		return err
	}
	buf := make([]byte, bufferSize)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			rc.SetWriteDeadline(time.Now().Add(idle))
			_, failed := w.Write(buf[:n])
			if failed = errors.Join(failed, rc.Flush()); failed != nil {
				return failed
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

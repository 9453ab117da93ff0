package api

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
)

// stream answers with what write writes, each part as it comes. ctx ends when
// the API shuts down; that the client has gone is told by the writer.
func (a *API) stream(f *fiber.Ctx, contentType string, write func(ctx context.Context, w io.Writer) error) error {
	f.Set(fiber.HeaderContentType, contentType)
	f.Set(fiber.HeaderCacheControl, "no-store")
	f.Status(http.StatusOK)
	id, route, conn := requestID(f), routeOf(f), f.Context().Conn()
	f.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
		ctx, cancel := context.WithCancel(a.streams)
		defer cancel()
		defer func() {
			if p := recover(); p != nil {
				a.Log.Error("panic", "request_id", id, "route", route, "panic", p, "stack", string(debug.Stack()))
			}
		}()
		// A client that does not read must not keep the API from ending.
		stop := context.AfterFunc(a.streams, func() { conn.SetWriteDeadline(time.Now().Add(drainTimeout)) })
		defer stop()
		if err := write(ctx, &flusher{w: w}); err != nil {
			a.Log.Debug("stream ended", "request_id", id, "route", route, "error", err)
		}
	})
	return nil
}

// flusher sends every write at once. It may be used by several goroutines.
type flusher struct {
	mu sync.Mutex
	w  *bufio.Writer
}

func (f *flusher) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.w.Write(p)
	if err != nil {
		return n, err
	}
	return n, f.w.Flush()
}

const outputPath = "/streams/output/"

// outputURL is where the output of a build or a release phase is read.
func (c *call) outputURL(id string) string {
	return c.api.sign.url(c.base(), http.MethodGet, outputPath+id, nil, lasting(time.Now()))
}

// readOutput streams the output of a build or a release phase from its
// beginning to its end.
func (a *API) readOutput(f *fiber.Ctx) error {
	if _, err := a.sign.verify(f, time.Now()); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(a.streams)
	out, err := a.Controller.Output(ctx, f.Params("id"))
	if err != nil {
		cancel()
		return err
	}
	return a.stream(f, fiber.MIMETextPlainCharsetUTF8, func(_ context.Context, w io.Writer) error {
		defer cancel()
		defer out.Close()
		_, err := io.Copy(w, out)
		return err
	})
}

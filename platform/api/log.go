package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"niwa/platform"
	"niwa/platform/logplex"
)

const (
	logPath = "/streams/logs/"
	// logLife is how long a log session can be opened, and opened again by a
	// client whose connection broke.
	logLife      = time.Hour
	defaultLines = 100
	heartbeat    = 15 * time.Second
)

type logSessionJSON struct {
	ID         string `json:"id"`
	LogplexURL string `json:"logplex_url"`
	CreatedAt  string `json:"created_at"`
	UpdatedAt  string `json:"updated_at"`
}

// logSessionCreate makes a URL under which the log can be read.
func (a *API) logSessionCreate(c *call) (any, error) {
	var in struct {
		Dyno     *string `json:"dyno"`
		DynoName *string `json:"dyno_name"` // what the published schema calls it
		Type     *string `json:"type"`
		Source   *string `json:"source"`
		Lines    *int    `json:"lines"`
		Tail     *bool   `json:"tail"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	app, err := a.Controller.App(c.ctx, c.param("app"))
	if err != nil {
		return nil, err
	}
	q := url.Values{"app": {app.ID}}
	for _, dyno := range []*string{in.Type, in.DynoName, in.Dyno} {
		if dyno != nil && *dyno != "" {
			q.Set("dyno", *dyno)
		}
	}
	if in.Source != nil && *in.Source != "" {
		q.Set("source", *in.Source)
	}
	for _, field := range []string{"dyno", "source"} {
		if err := tooLong(field, q.Get(field), 200); err != nil {
			return nil, err
		}
	}
	lines := defaultLines
	if in.Lines != nil {
		lines = min(max(*in.Lines, 0), logplex.Keep)
	}
	q.Set("lines", strconv.Itoa(lines))
	q.Set("tail", strconv.FormatBool(in.Tail != nil && *in.Tail))
	id, now := uuid.NewString(), time.Now()
	return logSessionJSON{
		ID: id, LogplexURL: a.sign.url(c.base(), http.MethodGet, logPath+id, q, now.Add(logLife)),
		CreatedAt: stamp(now), UpdatedAt: stamp(now),
	}, nil
}

// session is what the URL of a log session says.
type session struct {
	app    string
	filter logplex.Filter
	lines  int
	after  uint64 // the last line the client has seen; 0 for none
	tail   bool
	events bool // Server-Sent Events, or else plain lines
}

// readLog streams a log: as Server-Sent Events to clients that ask for them,
// which the official CLI does, and as plain lines to others.
func (a *API) readLog(f *fiber.Ctx) error {
	q, err := a.sign.verify(f, time.Now())
	if err != nil {
		return err
	}
	app, err := a.Controller.App(a.ctx, q.Get("app"))
	if err != nil {
		return err
	}
	s := session{
		app: app.ID, filter: logplex.Filter{Source: q.Get("source"), Dyno: q.Get("dyno")},
		tail: q.Get("tail") == "true", events: strings.Contains(f.Get(fiber.HeaderAccept), "text/event-stream"),
	}
	if s.lines, err = strconv.Atoi(q.Get("lines")); err != nil {
		return notThere()
	}
	if id, err := strconv.ParseUint(f.Get("Last-Event-ID"), 10, 64); err == nil {
		s.after = id
	}
	contentType := fiber.MIMETextPlainCharsetUTF8
	if s.events {
		contentType = "text/event-stream"
	}
	return a.stream(f, contentType, func(ctx context.Context, w io.Writer) error { return a.writeLog(ctx, w, s) })
}

func (a *API) writeLog(ctx context.Context, w io.Writer, s session) error {
	if s.tail {
		return a.tailLog(ctx, w, s)
	}
	if s.events {
		// The client waits this long, in ms, before it takes the end for one.
		if _, err := io.WriteString(w, "retry: 1\n\n"); err != nil {
			return err
		}
	}
	for _, line := range a.Logs.Recent(s.app, s.filter, s.lines) {
		if line.ID > s.after {
			if err := s.write(w, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// tailLog writes lines as they come. Between them it writes comments, which
// keep the connection open and tell when the client has gone.
func (a *API) tailLog(ctx context.Context, w io.Writer, s session) error {
	ctx, cancel := context.WithCancel(ctx)
	beats := make(chan struct{})
	defer func() { cancel(); <-beats }()
	go func() {
		defer close(beats)
		defer cancel()
		s.beat(ctx, w)
	}()
	for line := range a.Logs.Tail(ctx, s.app, s.filter, s.lines, s.after) {
		if err := s.write(w, line); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// beat writes comments until ctx ends or the client has gone.
func (s session) beat(ctx context.Context, w io.Writer) {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for s.events {
		if _, err := io.WriteString(w, ": heartbeat\n\n"); err != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
	<-ctx.Done()
}

func (s session) write(w io.Writer, line platform.LogLine) error {
	text := logplex.Format(line)
	if !s.events {
		_, err := io.WriteString(w, text+"\n")
		return err
	}
	_, err := fmt.Fprintf(w, "id: %d\ndata: %s\n\n", line.ID, text)
	return err
}

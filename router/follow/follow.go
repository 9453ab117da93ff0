// Package follow lets routers run in processes of their own, apart from the
// platform whose routes they serve: they go on when it is killed, and there
// may be many. The platform's side is a Publisher, the router's a Follower.
//
// They meet at a Unix socket in a directory that only their user may enter.
// Each side writes lines of JSON. The router says who it is and which change of
// the table it has; the platform sends what changed since, or the whole table, a
// part at a time, where that is too much to tell; and from then on the apps that
// change, each as it is by then. The router puts that into use and acknowledges
// it by its number. The platform may ask it to drain dynos. The router sends its log lines a batch at a time and keeps each
// batch until it is acknowledged.
//
// The directory also has a record of every router, locked for as long as that
// runs: so the platform knows of one that is not connected at the moment, and
// waits for it when it drains a dyno.
//
// A router with another data directory, on another machine say, comes by the
// URL of the API in the same manner, over a connection that its token has
// upgraded. It has no record, and is waited for while it is connected.
package follow

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"niwa/router/route"
)

const (
	// maxOrder bounds a line to a router. A part of a table is far smaller.
	maxOrder = 64 << 20
	// maxReport bounds a line from a router. A batch of log lines is far smaller.
	maxReport = 4 << 20
	// writeTime is how long a line may take to be written. The buffers of the
	// socket take all but the largest at once.
	writeTime = 10 * time.Second
)

// order is what the platform says to a router: one of these.
type order struct {
	Part  *route.Part `json:"part,omitempty"` // of a table that comes whole
	News  *news       `json:"news,omitempty"`
	Drain *drainOrder `json:"drain,omitempty"`
	Kept  int64       `json:"kept,omitempty"` // the batch of log lines with that number is safe
}

// news makes a table be as new as the platform's was at a change.
type news struct {
	Changes route.Changes `json:"changes,omitempty"`
	At      mark          `json:"at"`
}

// mark is a change of a platform's table: of the platform that runs, since the
// next one counts anew.
type mark struct {
	Platform string `json:"platform"` // uuid of this run of it
	Number   int64  `json:"number"`
}

type drainOrder struct {
	ID     int64         `json:"id"`
	Addrs  []string      `json:"addrs"`
	Within time.Duration `json:"within"` // nanoseconds
}

// report is what a router says to the platform: one of these.
type report struct {
	Hello   *hello   `json:"hello,omitempty"`
	Using   *int64   `json:"using,omitempty"` // the table as of the change with that number
	Drained *drained `json:"drained,omitempty"`
	Lines   *batch   `json:"lines,omitempty"`
}

type hello struct {
	Router
	Has mark `json:"has,omitzero"`
}

type drained struct {
	ID    int64  `json:"id"`
	Error string `json:"error,omitempty"`
	Late  bool   `json:"late,omitempty"` // the error is that the time was over
}

type batch struct {
	Number int64  `json:"number"`
	Lines  []Line `json:"lines"`
}

// Line is a log line of an app, or a gap in them.
type Line struct {
	App  string    `json:"app"`
	At   time.Time `json:"at"`
	Text string    `json:"text,omitempty"`
	// Dropped is not 0 where the router had no room for that many lines, of
	// which the first was at At.
	Dropped int `json:"dropped,omitempty"`
}

// Dir is where the routers of a platform meet it: in its data directory.
func Dir(data string) string { return filepath.Join(data, "routers") }

func socket(dir string) string { return filepath.Join(dir, "socket") }

// send writes one line.
func send(conn net.Conn, message any) error {
	line, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if err := conn.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	_, err = conn.Write(append(line, '\n'))
	return err
}

// errBad is a side that says what it should not. The connection is ended, and
// that is worth telling.
var errBad = errors.New("not niwa, or another version of it")

// receive reads lines of at most limit bytes and has each handled, until the
// connection ends or one is no good.
func receive[T any](conn net.Conn, limit int, handle func(T) error) error {
	in := bufio.NewScanner(conn)
	in.Buffer(make([]byte, 0, 4<<10), limit)
	for in.Scan() {
		var message T
		if err := json.Unmarshal(in.Bytes(), &message); err != nil {
			return fmt.Errorf("%w: %w", errBad, err)
		}
		if err := handle(message); err != nil {
			return err
		}
	}
	if err := in.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("%w: it said more than %d bytes at once", errBad, limit)
	}
	return errGone
}

// errGone is a connection that has ended.
var errGone = errors.New("the connection has ended")

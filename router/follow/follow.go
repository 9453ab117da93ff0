// Package follow lets routers run in processes of their own, apart from the
// platform whose routes they serve: they go on when it is killed, and there
// may be many. The platform's side is a Publisher, the router's a Follower.
//
// They meet at a Unix socket in a directory that only their user may enter.
// Each side writes lines of JSON. The router says who it is; the platform sends
// the whole table then and at every change, the newest only; the router
// acknowledges each table that it has put into use. The platform may ask it to
// drain dynos. The router sends its log lines a batch at a time and keeps each
// batch until it is acknowledged.
//
// The directory also has a record of every router, locked for as long as that
// runs: so the platform knows of one that is not connected at the moment, and
// waits for it when it drains a dyno.
package follow

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"
)

const (
	// maxOrder bounds a line to a router: a table of some 100,000 apps.
	maxOrder = 64 << 20
	// maxReport bounds a line from a router. A batch of log lines is far smaller.
	maxReport = 4 << 20
	// writeTime is how long a line may take to be written. The buffers of the
	// socket take all but the largest at once.
	writeTime = 10 * time.Second
)

// order is what the platform says to a router: one of these.
type order struct {
	Table *tableOrder `json:"table,omitempty"`
	Drain *drainOrder `json:"drain,omitempty"`
	Kept  int64       `json:"kept,omitempty"` // the batch of log lines with that number is safe
}

type tableOrder struct {
	Number int64  `json:"number"`
	File   []byte `json:"file"` // as route.Encode writes it
}

type drainOrder struct {
	ID     int64         `json:"id"`
	Addrs  []string      `json:"addrs"`
	Within time.Duration `json:"within"` // nanoseconds
}

// report is what a router says to the platform: one of these.
type report struct {
	Hello   *Router  `json:"hello,omitempty"`
	Using   *int64   `json:"using,omitempty"` // the table with that number
	Drained *drained `json:"drained,omitempty"`
	Lines   *batch   `json:"lines,omitempty"`
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

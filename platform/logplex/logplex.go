// Package logplex keeps the log of every app: the last 1,500 lines of each,
// in memory and in files, to be read back or followed as they come.
//
// A line goes from its writer through a queue to one goroutine per app, which
// numbers it, writes it to disk and only then shows it to readers: what has
// been read once is still there after a crash of niwa. Readers are cursors
// into the kept lines, not queues of their own, so that one which stands
// still costs nothing, holds up nobody, and is told how much it missed.
package logplex

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"niwa/platform"
)

// Keep is how many lines of an app can be read back, as on Heroku.
// Source: https://devcenter.heroku.com/articles/logging#log-history-limits
const Keep = 1500

// Logplex is the log of all apps. Its methods may be called at the same time.
type Logplex struct {
	// Errors, when set, is told when the disk begins to refuse lines and
	// when it takes them again. Lines stay readable from memory meanwhile.
	// Set it before first use; calls come from several goroutines.
	Errors func(error)

	dir string

	mu   sync.Mutex
	apps map[string]*appLog // nil for an app that was deleted
	shut bool
}

// Open keeps logs in dir, one folder per app, readable by their owner alone.
func Open(dir string) (*Logplex, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("log directory: %w", err)
	}
	return &Logplex{dir: dir, apps: map[string]*appLog{}}, nil
}

// Filter picks lines. Its zero value picks all.
type Filter struct {
	Source string // app or heroku
	Dyno   string // web.1, or web for all of them
}

// Match says whether the filter picks the line.
func (f Filter) Match(line platform.LogLine) bool {
	if f.Source != "" && f.Source != line.Source {
		return false
	}
	n := len(f.Dyno)
	return n == 0 || line.Dyno == f.Dyno ||
		len(line.Dyno) > n && line.Dyno[:n] == f.Dyno && line.Dyno[n] == '.'
}

// Log adds text to the log of an app, as several lines when it holds several.
// It waits at most a second for a disk that stands still; lines that find no
// place then are dropped, and counted in an L12 line once it moves again.
// After Close or Delete it does nothing.
func (l *Logplex) Log(appID, source, dyno, text string) {
	w := l.Writer(appID, source, dyno)
	w.Write([]byte(strings.TrimSuffix(text, "\n") + "\n"))
}

// LogAt is Log for text of another time, which could not be delivered then.
func (l *Logplex) LogAt(at time.Time, appID, source, dyno, text string) {
	w := l.Writer(appID, source, dyno)
	w.at = at.UTC().Truncate(time.Microsecond)
	w.Write([]byte(strings.TrimSuffix(text, "\n") + "\n"))
}

// Recent returns the last n lines that the filter picks, oldest first, all
// lines logged before the call included.
func (l *Logplex) Recent(appID string, f Filter, n int) []platform.LogLine {
	a := l.app(appID)
	if a == nil {
		return nil
	}
	a.flush(context.Background())
	return a.recent(f, n)
}

// Export returns what Recent has to give as a file of the log, and the name
// that the file has in the app's folder: lines are in it that a full disk has
// not taken. Both are empty when there are none.
func (l *Logplex) Export(appID string) (name string, file []byte) {
	lines := l.Recent(appID, Filter{}, Keep)
	if len(lines) == 0 {
		return "", nil
	}
	for _, line := range lines {
		file = appendRecord(file, line)
	}
	return segmentName(lines[0].ID), file
}

// Delete removes the log of an app for good: its tails end, and lines still
// to come for it are dropped.
func (l *Logplex) Delete(appID string) error {
	if !safeName(appID) {
		return fmt.Errorf("%q is not the id of an app", appID)
	}
	l.mu.Lock()
	a := l.apps[appID]
	if !l.shut {
		l.apps[appID] = nil
	}
	l.mu.Unlock()
	if a != nil {
		a.close()
	}
	return os.RemoveAll(filepath.Join(l.dir, appID))
}

// Close writes what is queued, ends every tail and closes the files.
func (l *Logplex) Close() error {
	l.mu.Lock()
	l.shut = true
	apps := l.apps
	l.apps = nil
	l.mu.Unlock()

	var errs []error
	for _, a := range apps {
		if a != nil {
			errs = append(errs, a.close())
		}
	}
	return errors.Join(errs...)
}

// Format gives the line as Heroku prints it:
//
//	2012-10-11T03:47:20.000000+00:00 app[web.1]: text
func Format(line platform.LogLine) string {
	return line.Time.UTC().Format("2006-01-02T15:04:05.000000-07:00") +
		" " + line.Source + "[" + line.Dyno + "]: " + line.Text
}

// app returns the log of an app, read from disk the first time, or nil when
// there is none to be had: it was deleted, or the logplex closed.
func (l *Logplex) app(appID string) *appLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, known := l.apps[appID]
	if known || l.shut {
		return a
	}
	dir := filepath.Join(l.dir, appID)
	if !safeName(appID) {
		dir = "" // kept in memory only
	}
	a = newAppLog(dir, l.report)
	l.apps[appID] = a
	return a
}

func (l *Logplex) report(err error) {
	if l.Errors != nil {
		l.Errors(err)
	}
}

// safeName guards the file system against what is not an id of ours.
func safeName(appID string) bool {
	return appID != "." && filepath.IsLocal(appID) && filepath.Base(appID) == appID
}

// stamp is how Heroku's own notices write a time.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05-07:00") }

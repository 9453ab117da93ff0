package logplex

import (
	"bytes"
	"iter"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"niwa/platform"
)

// maxLine is the longest line in bytes; what is longer becomes several.
// Source: https://devcenter.heroku.com/articles/logging#log-message-size-limits
const maxLine = 10_000

// Writer cuts what is written to it into lines of a log. It never fails.
// Several goroutines may write; each Write keeps together.
type Writer struct {
	app          *appLog
	source, dyno string
	at           time.Time // of what is written; zero for the present

	mu  sync.Mutex
	cut cutter
}

// Writer makes a Writer for the log of an app. Its Close logs a last line
// that had no newline.
func (l *Logplex) Writer(appID, source, dyno string) *Writer {
	return &Writer{app: l.app(appID), source: field(source), dyno: field(dyno)}
}

func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range w.cut.lines(p) {
		w.add(line)
	}
	return len(p), nil
}

// Close logs what is left of a line. Writing may go on after it.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range w.cut.rest() {
		w.add(line)
	}
	return nil
}

func (w *Writer) add(text []byte) {
	if w.app == nil {
		return
	}
	at := w.at
	if at.IsZero() {
		at = time.Now().UTC().Truncate(time.Microsecond)
	}
	w.app.add(platform.LogLine{
		Time:   at,
		Source: w.source,
		Dyno:   w.dyno,
		Text:   printable(text),
	})
}

// cutter turns a stream of bytes into lines, however the stream is chunked.
type cutter struct {
	// held is a line without its newline yet: at most one byte more than
	// fits, as that may be the \r of the line's end.
	held []byte
}

// lines yields the lines that p completes, each valid until the next.
func (c *cutter) lines(p []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(p) > 0 {
			end := bytes.IndexByte(p, '\n')
			piece := p
			if end >= 0 {
				piece = p[:end]
			}
			piece = piece[:min(len(piece), maxLine+1-len(c.held))]
			c.held = append(c.held, piece...)
			p = p[len(piece):]

			var line []byte
			switch {
			case len(p) == 0:
				return
			case p[0] == '\n' && len(bytes.TrimSuffix(c.held, []byte{'\r'})) <= maxLine:
				line = bytes.TrimSuffix(c.held, []byte{'\r'})
				c.held, p = c.held[:0], p[1:]
			default: // too long, and more to come
				n := boundary(c.held)
				line = bytes.Clone(c.held[:n])
				c.held = append(c.held[:0], c.held[n:]...)
			}
			if !yield(line) {
				return
			}
		}
	}
}

// rest yields what has no newline yet.
func (c *cutter) rest() iter.Seq[[]byte] {
	if len(c.held) == 0 {
		return c.lines(nil)
	}
	return c.lines([]byte{'\n'})
}

// boundary is where to cut a line that is too long: at maxLine bytes, or
// before the character that would be cut in two there.
func boundary(line []byte) int {
	for n := maxLine; n > maxLine-utf8.UTFMax; n-- {
		if utf8.RuneStart(line[n]) {
			return n
		}
	}
	return maxLine
}

// printable makes text safe to print: what is not UTF-8 and every control
// character become U+FFFD, so that an app cannot write to the reader's
// terminal; tabs and colours (ESC [ … m) stay, as apps do log in colour.
func printable(text []byte) string {
	var b strings.Builder
	b.Grow(len(text))
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == 0x1b && colour(text) > 0:
			n = colour(text)
			b.Write(text[:n])
		case r == '\t' || !unicode.IsControl(r) && (r != utf8.RuneError || n > 1):
			b.Write(text[:n])
		default:
			b.WriteRune(utf8.RuneError)
		}
		text = text[n:]
	}
	return b.String()
}

// colour returns the length of the colour sequence that text begins with.
func colour(text []byte) int {
	if len(text) < 3 || text[1] != '[' {
		return 0
	}
	for i, c := range text[2:] {
		switch {
		case c == 'm':
			return i + 3
		case c != ';' && c != ':' && (c < '0' || c > '9'):
			return 0
		}
	}
	return 0
}

// field makes a source or dyno name safe to stand between blanks.
func field(name string) string {
	if name == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsControl(r) || r == utf8.RuneError {
			return '_'
		}
		return r
	}, name)
}

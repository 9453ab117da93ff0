package image

import (
	"bytes"
	"io"
	"regexp"
	"strings"
)

var (
	madeLine  = regexp.MustCompile(`^ ---> ([0-9a-f]{12})$`)
	begunLine = regexp.MustCompile(`^ ---> Running in ([0-9a-f]{12})$`)
)

// maxLine is how much of a line is looked at: more than the lines looked for.
const maxLine = 64

// watch passes on what a build says, and reads in it which layers it makes and
// which containers it runs. Programs of the Dockerfile speak in it too, so
// what it finds are claims.
type watch struct {
	out    io.Writer
	begun  func(container string) error
	layers []string
	err    error // the first of begun

	line []byte
}

// Write takes one message of the engine, which paints red what a program has
// written to stderr. A transcript is for files too, so the paint comes off.
func (w *watch) Write(message []byte) (int, error) {
	p := message
	if red, ok := bytes.CutPrefix(p, []byte("\x1b[91m")); ok {
		p = bytes.TrimSuffix(red, []byte("\x1b[0m"))
	}
	for _, c := range p {
		if c == '\n' {
			w.look(strings.TrimSuffix(string(w.line), "\r"))
			w.line = w.line[:0]
		} else if len(w.line) <= maxLine {
			w.line = append(w.line, c)
		}
	}
	_, err := w.out.Write(p)
	return len(message), err
}

func (w *watch) look(line string) {
	if m := madeLine.FindStringSubmatch(line); m != nil {
		w.layers = append(w.layers, m[1])
	}
	if m := begunLine.FindStringSubmatch(line); m != nil && w.err == nil {
		w.err = w.begun(m[1])
	}
}

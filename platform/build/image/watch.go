package image

import (
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

func (w *watch) Write(p []byte) (int, error) {
	for _, c := range p {
		if c == '\n' {
			w.look(strings.TrimSuffix(string(w.line), "\r"))
			w.line = w.line[:0]
		} else if len(w.line) <= maxLine {
			w.line = append(w.line, c)
		}
	}
	return w.out.Write(p)
}

func (w *watch) look(line string) {
	if m := madeLine.FindStringSubmatch(line); m != nil {
		w.layers = append(w.layers, m[1])
	}
	if m := begunLine.FindStringSubmatch(line); m != nil && w.err == nil {
		w.err = w.begun(m[1])
	}
}

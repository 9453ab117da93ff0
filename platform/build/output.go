package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"niwa/platform"
)

// output writes what people watch, in Heroku's style. The build and its
// dynos take turns at it.
type output struct {
	w   io.Writer
	mid bool // the last line has no newline yet
}

func newOutput(w io.Writer) *output {
	if w == nil {
		w = io.Discard
	}
	return &output{w: w}
}

// Write passes on what a program says. It never fails: see Request.Output.
func (o *output) Write(p []byte) (int, error) {
	if len(p) > 0 {
		o.w.Write(p)
		o.mid = p[len(p)-1] != '\n'
	}
	return len(p), nil
}

func (o *output) line(prefix, format string, args ...any) {
	if o.mid {
		io.WriteString(o, "\n")
	}
	text := fmt.Sprintf(format, args...)
	for line := range strings.SplitSeq(text, "\n") {
		io.WriteString(o, prefix+line+"\n")
	}
}

func (o *output) step(format string, args ...any)   { o.line("-----> ", format, args...) }
func (o *output) detail(format string, args ...any) { o.line("       ", format, args...) }
func (o *output) warn(format string, args ...any)   { o.line(" !     ", format, args...) }

// failed says why there is no slug. An internal error is not for people who
// push: it is the caller's to log.
func (o *output) failed(err error) {
	var told *platform.Error
	switch {
	case errors.As(err, &told):
		o.warn("%s", told.Message)
	case errors.Is(err, context.Canceled):
		o.warn("Build canceled")
	case errors.Is(err, syscall.ENOSPC):
		o.warn("The disk that holds niwa's data is full. Free some space and push again.")
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		o.warn("niwa has too many files open. Push again in a moment.")
	default:
		o.warn("The build could not be carried out. The log of niwa says why.")
	}
	o.line("", "")
	o.warn("Push failed")
}

// sizeText prints bytes as Heroku does: 980K, 12.3M.
func sizeText(bytes int64) string {
	const k, m, g = 1 << 10, 1 << 20, 1 << 30
	switch {
	case bytes < m:
		return fmt.Sprintf("%dK", (bytes+k-1)/k)
	case bytes < g:
		return trimmed(float64(bytes)/m) + "M"
	default:
		return trimmed(float64(bytes)/g) + "G"
	}
}

func trimmed(n float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", n), ".0") }

func stackTitle(stack string) string {
	if rest, ok := strings.CutPrefix(stack, "heroku-"); ok {
		return "Heroku-" + rest
	}
	return stack
}

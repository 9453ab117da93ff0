package git

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
)

// hookScript is the pre-receive hook of every repository. File descriptors 3
// to 5 come from niwa through git: where the refs go, what to print, and the
// exit status. When niwa is gone the push is rejected.
const hookScript = `#!/bin/sh
{
	echo "GIT_OBJECT_DIRECTORY=$GIT_OBJECT_DIRECTORY"
	echo "GIT_ALTERNATE_OBJECT_DIRECTORIES=$GIT_ALTERNATE_OBJECT_DIRECTORIES"
	cat
	echo .
} >&3
cat <&4
read -r status <&5
exit "${status:-1}"
`

// hook is niwa's end of the pipes to one run of hookScript, and the ends that
// git inherits.
type hook struct {
	refs, out, status          *os.File
	refsEnd, outEnd, statusEnd *os.File
}

func newHook() (*hook, error) {
	h := &hook{}
	for _, pipe := range []struct{ r, w **os.File }{{&h.refs, &h.refsEnd}, {&h.outEnd, &h.out}, {&h.statusEnd, &h.status}} {
		r, w, err := os.Pipe()
		if err != nil {
			h.closeChild()
			h.close()
			return nil, err
		}
		*pipe.r, *pipe.w = r, w
	}
	return h, nil
}

// child lists what git inherits, from file descriptor 3.
func (h *hook) child() []*os.File { return []*os.File{h.refsEnd, h.outEnd, h.statusEnd} }

// The pipes may be half made, and closing a nil *os.File does nothing.

func (h *hook) closeChild() { h.refsEnd.Close(); h.outEnd.Close(); h.statusEnd.Close() }

func (h *hook) close() { h.refs.Close(); h.out.Close(); h.status.Close() }

// received is what the hook says of a push.
type received struct {
	// env makes a git see the objects of the push, which are not in the
	// repository yet.
	env     []string
	updates []update
}

// update is a ref that a push wants changed. Old or New is empty where there
// is none.
type update struct{ Ref, Old, New string }

// serve waits for the hook to run, has decide say whether the push may pass,
// and lets the hook end so. It returns when git is gone, too.
func (h *hook) serve(ctx context.Context, decide func(context.Context, received, io.Writer) bool) {
	defer h.close()
	push, err := readPush(h.refs)
	if err != nil {
		return // git ended before its hook ran
	}
	status := "1\n"
	if decide(ctx, push, h.out) {
		status = "0\n"
	}
	h.out.Close()
	io.WriteString(h.status, status) // fails only when the hook is gone
}

// readPush reads what hookScript writes.
func readPush(r io.Reader) (received, error) {
	var push received
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case line == ".":
			return push, nil
		case len(push.env) < 2:
			push.env = append(push.env, line)
		default:
			u, err := parseUpdate(line)
			if err != nil {
				return push, err
			}
			push.updates = append(push.updates, u)
		}
	}
	if err := lines.Err(); err != nil {
		return push, err
	}
	return push, io.ErrUnexpectedEOF
}

// parseUpdate reads "old new ref"; all zeroes stand for no commit.
func parseUpdate(line string) (update, error) {
	fields := strings.SplitN(line, " ", 3)
	if len(fields) != 3 || fields[2] == "" {
		return update{}, fmt.Errorf("%q is not a ref update", line)
	}
	u := update{Ref: fields[2], Old: fields[0], New: fields[1]}
	for _, id := range []*string{&u.Old, &u.New} {
		if strings.Trim(*id, "0123456789abcdef") != "" || len(*id) < 40 {
			return update{}, fmt.Errorf("%q is not a ref update", line)
		}
		if strings.Trim(*id, "0") == "" {
			*id = ""
		}
	}
	return u, nil
}

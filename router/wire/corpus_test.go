package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// read is what a server makes of the bytes of one connection: a line for each
// request, and how it ended. Cuts says at which places they are cut into
// pieces.
func read(conn []byte, cuts ...int) (requests []string, err error) {
	var r Request
	for at := 0; at < len(conn); {
		r.Reset()
		n := 0
		for _, end := range append(slices.Clone(cuts), len(conn)) {
			if end < at {
				continue
			}
			// A copy, because the bytes may move.
			if n, err = r.Parse(slices.Clone(conn[at:end])); err != nil || n > 0 {
				break
			}
		}
		if err != nil {
			return requests, err
		}
		if n == 0 {
			return requests, errUnfinished
		}
		at += n
		line := fmt.Sprintf("%s %s %s", r.Method(), r.AppendTarget(nil), r.Host())
		body, used, err := readBody(&r, conn[at:])
		if err != nil {
			return append(requests, line), err
		}
		at += used
		requests = append(requests, fmt.Sprintf("%s %q", line, body))
		if r.Ambiguous() || r.Close {
			return requests, nil
		}
	}
	return requests, nil
}

var errUnfinished = errors.New("unfinished")

func readBody(r *Request, rest []byte) (body []byte, n int, err error) {
	if length := r.Length(); length >= 0 {
		if int64(len(rest)) < length {
			return nil, 0, errUnfinished
		}
		return rest[:length], int(length), nil
	}
	c := Chunks{Bare: true}
	body, n, err = c.Append(nil, rest)
	if err == nil && !c.Done() {
		err = errUnfinished
	}
	return body, n, err
}

func verdict(requests []string, err error) string {
	var refused *RequestError
	switch {
	case errors.As(err, &refused):
		return strings.Join(append(requests, fmt.Sprintf("%d %s", refused.Status, refused.Reason)), "; ")
	case err != nil:
		return strings.Join(append(requests, err.Error()), "; ")
	}
	return strings.Join(requests, "; ")
}

type payload struct {
	ID      string
	Expect  string // accept, reject, either
	RFC     string
	Request []byte
}

func payloads(t testing.TB) []payload {
	t.Helper()
	data, err := os.ReadFile("testdata/payloads.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []payload
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestWhatMustBeRefusedIsAndWhatMustBeAcceptedToo(t *testing.T) {
	var got strings.Builder
	for _, p := range payloads(t) {
		requests, err := read(p.Request)
		switch {
		case p.Expect == "reject" && (err == nil || errors.Is(err, errUnfinished)):
			t.Errorf("%s (RFC %s) is let through: %s", p.ID, p.RFC, verdict(requests, err))
		case p.Expect == "accept" && err != nil:
			t.Errorf("%s (RFC %s) is refused: %s", p.ID, p.RFC, verdict(requests, err))
		}
		v := verdict(requests, err)
		fmt.Fprintf(&got, "%s: %s\n", p.ID, v[:min(len(v), 120)])
	}
	golden(t, "testdata/verdicts.txt", got.String())
}

// golden compares with a file, and writes it anew with UPDATE=1.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if os.Getenv("UPDATE") == "1" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

func TestHowARequestIsCutIntoPiecesDoesNotMatter(t *testing.T) {
	for _, p := range payloads(t) {
		if len(p.Request) > 400 {
			continue
		}
		want := verdict(read(p.Request))
		for i := range len(p.Request) {
			if got := verdict(read(p.Request, i)); !same(got, want) {
				t.Errorf("%s, cut at %d:\n%s\nwhole:\n%s", p.ID, i, got, want)
			}
		}
	}
}

// same is whether two verdicts differ at most in the reason of a refusal: a
// part may be refused before the rest is there.
func same(a, b string) bool {
	return a == b || strings.HasPrefix(a, "4") && strings.HasPrefix(b, "4") || strings.HasPrefix(a, "4") && strings.HasPrefix(b, "505")
}

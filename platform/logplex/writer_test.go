package logplex

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"niwa/platform"
)

func cutAll(chunks ...string) []string {
	var c cutter
	var lines []string
	for _, chunk := range chunks {
		for line := range c.lines([]byte(chunk)) {
			lines = append(lines, string(line))
		}
	}
	for line := range c.rest() {
		lines = append(lines, string(line))
	}
	return lines
}

func TestAStreamIsCutIntoLines(t *testing.T) {
	x := strings.Repeat("x", maxLine)
	for name, c := range map[string]struct {
		chunks []string
		want   []string
	}{
		"nothing":                              {nil, nil},
		"a line":                               {[]string{"a\n"}, []string{"a"}},
		"a line without its newline":           {[]string{"a"}, []string{"a"}},
		"a line in pieces":                     {[]string{"a", "b", "c\nd"}, []string{"abc", "d"}},
		"empty lines":                          {[]string{"\n\na\n\n"}, []string{"", "", "a", ""}},
		"carriage returns at the end":          {[]string{"a\r\nb\r", "\n"}, []string{"a", "b"}},
		"a line as long as fits":               {[]string{x + "\n"}, []string{x}},
		"as long as fits, no newline":          {[]string{x}, []string{x}},
		"as long as fits, carriage return":     {[]string{x + "\r\n"}, []string{x}},
		"the same in pieces":                   {[]string{x, "\r", "\n"}, []string{x}},
		"one byte too long":                    {[]string{x + "y\n"}, []string{x, "y"}},
		"one byte too long, no newline":        {[]string{x + "y"}, []string{x, "y"}},
		"three lines' worth":                   {[]string{x + x + "y\nz"}, []string{x, x, "y", "z"}},
		"two full lines' worth":                {[]string{x + x + "\nz"}, []string{x, x, "z"}},
		"a character across the limit":         {[]string{x[1:] + "日\n"}, []string{x[1:], "日"}},
		"bytes that are no character, at once": {[]string{strings.Repeat("\x80", maxLine+1)}, []string{strings.Repeat("\x80", maxLine), "\x80"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, cutAll(c.chunks...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatAnAppPrintsIsSafeToPrint(t *testing.T) {
	for in, want := range map[string]string{
		"plain \t日本語":              "plain \t日本語",
		"\x1b[1;32mgreen\x1b[0m":   "\x1b[1;32mgreen\x1b[0m",
		"\x1b[38:5:1mx\x1b[m":      "\x1b[38:5:1mx\x1b[m",
		"\x1b[2Jcleared":           "\ufffd[2Jcleared",
		"\x1b]0;title\a":           "\ufffd]0;title\ufffd",
		"\x1b":                     "\ufffd",
		"\x1b[":                    "\ufffd[",
		"bad \xff utf-8":           "bad \ufffd utf-8",
		"nul \x00 del \x7f":        "nul \ufffd del \ufffd",
		"progress 1%\rprogress 2%": "progress 1%\ufffdprogress 2%",
		"C1 \u009b2J":              "C1 \ufffd2J",
		"a real \ufffd":            "a real \ufffd",
	} {
		if got := printable([]byte(in)); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestCloseLogsALastPartialLine(t *testing.T) {
	l := open(t, t.TempDir())
	w := l.Writer(app, "app", "web.1")
	fmt.Fprint(w, "whole\npart")
	if diff := cmp.Diff([]string{"whole"}, texts(l.Recent(app, Filter{}, 9))); diff != "" {
		t.Error(diff)
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]string{"whole", "part"}, texts(l.Recent(app, Filter{}, 9))); diff != "" {
		t.Error(diff)
	}
}

func FuzzCuttingDoesNotDependOnTheChunks(f *testing.F) {
	f.Add([]byte("a\r\nb"), uint16(1), uint16(1))
	f.Add([]byte("日本\n\n\xff"), uint16(1), uint16(4000))
	f.Add([]byte("x\r\n"), uint16(2), uint16(9999))
	f.Fuzz(func(t *testing.T, stream []byte, chunk, repeat uint16) {
		stream = append(bytes.Repeat([]byte("x"), int(repeat)%12_000), stream...)
		whole := cutAll(string(stream))
		var chunks []string
		for i := 0; i < len(stream); i += int(chunk)%5000 + 1 {
			chunks = append(chunks, string(stream[i:min(len(stream), i+int(chunk)%5000+1)]))
		}
		if diff := cmp.Diff(whole, cutAll(chunks...)); diff != "" {
			t.Fatal(diff)
		}
		kept := 0
		for _, line := range whole {
			if len(line) > maxLine || strings.Contains(line, "\n") {
				t.Fatalf("a line of %d bytes: %.50q", len(line), line)
			}
			kept += len(line)
			text := printable([]byte(line))
			if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool {
				return unicode.IsControl(r) && r != '\t' && r != 0x1b
			}) {
				t.Fatalf("unsafe: %q", text)
			}
		}
		if lost := len(stream) - kept; lost > bytes.Count(stream, []byte("\n"))+bytes.Count(stream, []byte("\r")) {
			t.Fatalf("%d bytes lost of %q", lost, stream)
		}
	})
}

func FuzzRecordsAreReadBackOrRefused(f *testing.F) {
	f.Add([]byte("e5b0be5c 1 1349927240000001 app web.1 text"))
	f.Add(appendRecord(nil, platform.LogLine{ID: 7, Time: time.UnixMicro(1), Source: "app", Dyno: "web.1", Text: "a b  c"}))
	f.Add([]byte("00000000 "))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.TrimSuffix(b, []byte("\n"))
		line, ok := parseRecord(b)
		if !ok {
			return
		}
		again, ok := parseRecord(bytes.TrimSuffix(appendRecord(nil, line), []byte("\n")))
		if diff := cmp.Diff(line, again); !ok || diff != "" {
			t.Fatalf("%v %s", ok, diff)
		}
	})
}

func TestTheFileIsAsItWasPublished(t *testing.T) {
	const golden = "c2132c39 42 1349927240000001 app web.1 Listening on port 5000\n"
	line := platform.LogLine{ID: 42, Time: time.UnixMicro(1349927240000001).UTC(), Source: "app", Dyno: "web.1", Text: "Listening on port 5000"}
	if got := string(appendRecord(nil, line)); got != golden {
		t.Errorf("wrote %q", got)
	}
	got, ok := parseRecord([]byte(strings.TrimSuffix(golden, "\n")))
	if diff := cmp.Diff(line, got); !ok || diff != "" {
		t.Error(ok, diff)
	}
}

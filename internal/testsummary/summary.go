package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// event is one line of go test -json; see go doc test2json.
type event struct {
	Action     string
	Package    string
	ImportPath string // instead of Package, in build-output
	Test       string
	Output     string
	Elapsed    float64 // seconds
	// FailedBuild names the package whose compilation failed.
	FailedBuild string
}

// Summary is what a run of tests comes to.
type Summary struct {
	Passed   int // tests, subtests included
	Packages int
	Failures []Outcome
	Skips    []Outcome
}

// Outcome is a test, or a package where Test is empty, that did not pass, and
// what it said.
type Outcome struct {
	Package, Test string
	Output        string
}

// Failed says whether anything failed, a package that did not compile
// included.
func (s *Summary) Failed() bool { return len(s.Failures) > 0 }

// Add adds what another run came to.
func (s *Summary) Add(more Summary) {
	s.Passed += more.Passed
	s.Packages += more.Packages
	s.Failures = append(s.Failures, more.Failures...)
	s.Skips = append(s.Skips, more.Skips...)
}

// reader turns events into a Summary, and prints a line for each package when
// it has ended, with the output of what failed in it.
type reader struct {
	Summary
	progress io.Writer
	output   map[string]map[string]*strings.Builder // by package, then test
	failed   map[string]bool                        // packages a test of which failed
}

// Read reads the events of one go test -json.
func Read(events io.Reader, progress io.Writer) (Summary, error) {
	r := reader{progress: progress, output: map[string]map[string]*strings.Builder{}, failed: map[string]bool{}}
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return r.Summary, nil
		}
		if err != nil {
			return r.Summary, err
		}
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return r.Summary, fmt.Errorf("go test -json said %q: %w", line, err)
		}
		r.event(e)
	}
}

func (r *reader) event(e event) {
	switch e.Action {
	case "output", "build-output":
		pkg := cmp.Or(e.Package, e.ImportPath)
		if r.output[pkg] == nil {
			r.output[pkg] = map[string]*strings.Builder{}
		}
		if r.output[pkg][e.Test] == nil {
			r.output[pkg][e.Test] = &strings.Builder{}
		}
		r.output[pkg][e.Test].WriteString(e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.packageEnded(e)
		} else {
			r.testEnded(e)
		}
	}
}

func (r *reader) testEnded(e event) {
	o := Outcome{Package: e.Package, Test: e.Test}
	if b := r.output[e.Package][e.Test]; b != nil {
		o.Output = b.String()
		delete(r.output[e.Package], e.Test)
	}
	switch e.Action {
	case "pass":
		r.Passed++
	case "skip":
		r.Skips = append(r.Skips, o)
	case "fail":
		r.failed[e.Package] = true
		r.Failures = append(r.Failures, o)
		fmt.Fprint(r.progress, o.Output)
	}
}

// packageEnded counts a package. One that failed while none of its tests did
// (it does not compile, it ran out of time, it called os.Exit) is a failure
// of its own, and everything it said is shown.
func (r *reader) packageEnded(e event) {
	defer delete(r.output, e.Package)
	switch e.Action {
	case "skip":
		return // it has no tests
	case "fail":
		if !r.failed[e.Package] {
			o := Outcome{Package: e.Package, Output: r.said(e.FailedBuild) + r.said(e.Package)}
			r.Failures = append(r.Failures, o)
			fmt.Fprint(r.progress, o.Output)
		}
		fmt.Fprintf(r.progress, "FAIL\t%s\t%.1fs\n", e.Package, e.Elapsed)
	default:
		fmt.Fprintf(r.progress, "ok  \t%s\t%.1fs\n", e.Package, e.Elapsed)
	}
	r.Packages++
}

// said is what is left of a package's output, test by test.
func (r *reader) said(pkg string) string {
	var all strings.Builder
	for _, test := range slices.Sorted(maps.Keys(r.output[pkg])) {
		all.WriteString(r.output[pkg][test].String())
	}
	return all.String()
}

// Print writes the summary: skips by reason, failures, counts.
func (s *Summary) Print(w io.Writer) {
	if len(s.Skips) > 0 {
		fmt.Fprintln(w, "\nSkipped:")
		byReason := map[string][]string{}
		for _, o := range s.Skips {
			r := reason(o.Output)
			byReason[r] = append(byReason[r], o.name())
		}
		for _, r := range slices.Sorted(maps.Keys(byReason)) {
			fmt.Fprintf(w, "  %s\n", r)
			for _, name := range byReason[r] {
				fmt.Fprintf(w, "      %s\n", name)
			}
		}
	}
	if len(s.Failures) > 0 {
		fmt.Fprintln(w, "\nFailed:")
		for _, o := range s.Failures {
			fmt.Fprintf(w, "  %s\n", o.name())
		}
	}
	fmt.Fprintf(w, "\n%d passed, %d failed, %d skipped in %d packages\n", s.Passed, len(s.Failures), len(s.Skips), s.Packages)
}

func (o Outcome) name() string { return strings.TrimSpace(o.Package + " " + o.Test) }

// reason finds what t.Skip was told, which is the last thing that the test
// logged: "    file_test.go:12: needs psql".
func reason(output string) string {
	logged := regexp.MustCompile(`(?m)^\s+\S+\.go:\d+: (.*)$`).FindAllStringSubmatch(output, -1)
	if len(logged) == 0 {
		return "no reason given"
	}
	return logged[len(logged)-1][1]
}

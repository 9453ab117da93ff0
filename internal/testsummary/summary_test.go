package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// testdata/mixed.json is what go test -json said of four packages: one with a
// pass, a skip and a failure, one that does not compile, one without tests
// and one that exits with status 3.
func TestTheSummaryListsSkipsWithTheirReasonsAndWhatFailed(t *testing.T) {
	events, err := os.Open("testdata/mixed.json")
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	var progress, got bytes.Buffer
	s, err := Read(events, &progress)
	if err != nil {
		t.Fatal(err)
	}
	s.Print(&got)
	const want = `
Skipped:
  needs psql
      example.test/ts/a TestSkip

Failed:
  example.test/ts/b
  example.test/ts/a TestBad/sub
  example.test/ts/a TestBad
  example.test/ts/d

2 passed, 4 failed, 1 skipped in 3 packages
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
	for _, said := range []string{"a_test.go:5: wrong", "undefined: x", "exit status 3", "FAIL\texample.test/ts/a"} {
		if strings.Count(progress.String(), said) != 1 {
			t.Errorf("%q is not said once in:\n%s", said, progress.String())
		}
	}
}

func TestWhatDoesNotParseIsAnError(t *testing.T) {
	if _, err := Read(strings.NewReader("panic: not JSON\n"), &bytes.Buffer{}); err == nil {
		t.Error("no error")
	}
}

func TestAModuleIsRunAndABrokenOneIsAnError(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.test/m\ngo 1.26\n")
	write("m_test.go", "package m\nimport \"testing\"\nfunc TestPasses(t *testing.T) {}\nfunc TestSkips(t *testing.T) { t.Skip(\"needs luck\") }\n")
	var out, problems bytes.Buffer
	s, err := run(dir, []string{"-timeout", "1m"}, &out, &problems)
	if err != nil || s.Failed() || s.Passed != 1 || len(s.Skips) != 1 {
		t.Errorf("%+v, %v\n%s%s", s, err, out.String(), problems.String())
	}
	write("go.mod", "modul example.test/m\n")
	if s, err := run(dir, nil, &out, &problems); err == nil || !strings.Contains(problems.String(), "go.mod") {
		t.Errorf("a broken module: %+v, %v, %s", s, err, problems.String())
	}
}

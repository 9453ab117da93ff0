// Command testsummary runs the tests of one or more modules and ends with
// what go test leaves scattered: how many passed, what failed with its
// output, and what was skipped with the reason, so that nobody takes a test
// that did not run for one that passed.
//
// Usage: testsummary [flags of go test] -- MODULE-DIR...
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
)

func main() {
	flags, modules := arguments(os.Args[1:])
	var total Summary
	for _, dir := range modules {
		s, err := run(dir, flags, os.Stdout, os.Stderr)
		if err != nil {
			fmt.Fprintf(os.Stderr, "testsummary: %s: %v\n", dir, err)
			os.Exit(1)
		}
		total.Add(s)
	}
	total.Print(os.Stdout)
	if os.Getenv("NIWA_TEST_REQUIRE") == "all" && len(total.Skips) > 0 {
		fmt.Println("NIWA_TEST_REQUIRE=all allows no skip")
		os.Exit(1)
	}
	if total.Failed() {
		os.Exit(1)
	}
}

func arguments(args []string) (flags, modules []string) {
	if i := slices.Index(args, "--"); i >= 0 {
		return args[:i], args[i+1:]
	}
	return args, []string{"."}
}

// run runs go test in dir and prints a line for each package as it ends. A go
// test that fails without saying which package did (a broken go.mod) is an
// error.
func run(dir string, flags []string, stdout, stderr io.Writer) (Summary, error) {
	cmd := exec.Command("go", slices.Concat([]string{"test", "-json"}, flags, []string{"./..."})...)
	cmd.Dir = dir
	cmd.Stderr = stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return Summary{}, err
	}
	if err := cmd.Start(); err != nil {
		return Summary{}, err
	}
	s, readErr := Read(events, stdout)
	waitErr := cmd.Wait()
	if readErr != nil {
		return s, readErr
	}
	if waitErr != nil && !s.Failed() {
		return s, waitErr
	}
	return s, nil
}

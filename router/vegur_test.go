package router

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEveryCaseOfVegurIsAccountedFor holds testdata/vegur.txt: each case is in
// it once, and the tests that it names are there.
func TestEveryCaseOfVegurIsAccountedFor(t *testing.T) {
	tests := testsOf(t, ".", "wire")
	seen, cases := make(map[string]bool), make(map[string]int)
	data, err := os.ReadFile("testdata/vegur.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		fields := append(regexp.MustCompile(` {2,}`).Split(line, -1), "", "", "")
		name, verdict, named, why := fields[0], fields[1], fields[2], fields[3]
		switch verdict {
		case "passes", "refused", "elsewhere":
		default:
			t.Errorf("%s: %q is no verdict", name, verdict)
		}
		if seen[name] || (why == "") != (verdict == "passes") {
			t.Errorf("%s: it is there twice, or has no reason where it needs one: %q", name, why)
		}
		seen[name] = true
		cases[name[:strings.LastIndexByte(name, '/')]]++
		for test := range strings.SplitSeq(named, "; ") {
			if function, sub, _ := strings.Cut(test, "/"); tests[function] == nil || sub != "" && !tests[function][sub] {
				t.Errorf("%s: there is no test %s", name, test)
			}
		}
	}
	want := map[string]int{
		"roundtrip": 87, "proxy/http": 16, "proxy/https": 16, "request": 25, "client": 6,
		"chunked": 13, "unchunked": 8, "bytepipe": 6, "req_log": 1,
	}
	if diff := cmp.Diff(want, cases); diff != "" {
		t.Errorf("cases of each suite (-vegur's +listed):\n%s", diff)
	}
}

// testsOf are the test functions of packages, each with the strings in it:
// those that name its subtests are among them.
func testsOf(t *testing.T, dirs ...string) map[string]map[string]bool {
	t.Helper()
	tests := make(map[string]map[string]bool)
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no tests: %v", dir, err)
		}
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			maps.Insert(tests, maps.All(testsIn(parsed)))
		}
	}
	return tests
}

func testsIn(file *ast.File) map[string]map[string]bool {
	tests := make(map[string]map[string]bool)
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") {
			continue
		}
		found := make(map[string]bool)
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					found[s] = true
				}
			}
			return true
		})
		tests[f.Name.Name] = found
	}
	return tests
}

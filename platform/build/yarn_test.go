package build

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"niwa/platform/platformtest/need"
)

// yarnApp is an app with a dependency, and one of development that may have a
// script, as Yarn 1 has locked them; both are served for as long as the test runs.
func yarnApp(t *testing.T, scripts, ofKettle string) map[string]string {
	t.Helper()
	mux := http.NewServeMux()
	url, lock := serve(t, mux), "# yarn lockfile v1\n\n"
	for name, manifest := range map[string]string{
		"leaf":   `{"name": "leaf", "version": "1.0.0"}`,
		"kettle": `{"name": "kettle", "version": "1.0.0", "scripts": {` + ofKettle + `}}`,
	} {
		pack, sum := npmPackOf(t, manifest)
		mux.HandleFunc("/"+name+"-1.0.0.tgz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, pack) })
		lock += fmt.Sprintf("\n%[1]s@1.0.0:\n  version \"1.0.0\"\n  resolved \"%[2]s/%[1]s-1.0.0.tgz\"\n  integrity %[3]s\n", name, url, sum)
	}
	return map[string]string{
		"yarn.lock":    lock,
		"package.json": `{"name": "tea", "version": "1.0.0", "scripts": {` + scripts + `}, "dependencies": {"leaf": "1.0.0"}, "devDependencies": {"kettle": "1.0.0"}}`,
	}
}

func TestNodeModulesOfYarnAreRestoredToo(t *testing.T) {
	need.Tool(t, "yarn")
	tools := reachable(t) // with a corepack that has no Yarn
	if err := os.WriteFile(filepath.Join(tools, "corepack"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	build := func(t *testing.T, b *bench, app map[string]string) (restored bool) {
		_, slug := b.build(b.request(tarOf(t, files(app)...)))
		if slug["node_modules/leaf/package.json"].text == "" || slug["node_modules/kettle/package.json"].text != "" {
			t.Errorf("the slug lacks a dependency, or has one of development:\n%s", b.last)
		}
		return strings.Contains(b.last.String(), restoresModules)
	}
	for name, test := range map[string]struct {
		scripts, ofKettle string
		restores          bool
	}{
		"with devDependencies":                     {`"build": "ls node_modules/kettle"`, ``, true},
		"but not where a package's script has run": {`"start": "node ."`, `"install": "date > made"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil).finding(tools)
			app := yarnApp(t, test.scripts, test.ofKettle)
			if first, second := build(t, b, app), build(t, b, app); first || second != test.restores {
				t.Errorf("the first build restores: %t, the second: %t\n%s", first, second, b.last)
			}
			if !test.restores {
				return
			}
			answerIn(t, tools, "yarn", "--version", "1.99.0")
			if build(t, b, app) {
				t.Errorf("it is another Yarn, and node_modules is restored:\n%s", b.last)
			}
		})
	}
}

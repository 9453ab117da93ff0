package build

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"niwa/platform/platformtest/need"
)

func TestGoAppIsDetectedBuiltAndCached(t *testing.T) {
	need.Tool(t, "go")
	b := newBench(t, nil)
	source := func() *strings.Reader {
		return strings.NewReader(gzipped(t, tarOf(t,
			entry{name: "go.mod", text: "module example.com/garden\n\ngo 1.21\n"},
			entry{name: "main.go", text: "package main\n\nfunc main() { println(\"hello\") }\n"},
		)).String())
	}
	result, slug := b.build(b.request(source()))
	b.last.has(t,
		"-----> Building on the Heroku-24 stack\n",
		"-----> Determining which buildpack to use for this app\n",
		"-----> Go app detected\n",
		"-----> Discovering process types\n       Procfile declares types     -> (none)\n       Default types for buildpack -> web\n",
		"-----> Compressing...\n       Done: ")
	if diff := cmp.Diff(map[string]string{"web": "bin/garden"}, result.ProcessTypes); diff != "" {
		t.Errorf("process types (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"heroku/go"}, result.Buildpacks); diff != "" || result.Description != "Go" {
		t.Errorf("buildpacks (-want +got):\n%s description %q", diff, result.Description)
	}
	if e := slug["bin/garden"]; e.mode != 0o755 || len(e.text) == 0 {
		t.Errorf("bin/garden in the slug has mode %o and %d bytes", e.mode, len(e.text))
	}

	b.build(b.request(source()))
	if strings.Contains(b.last.String(), "       runtime\n") {
		t.Errorf("the second build compiles the runtime again:\n%s", b.last)
	}
}

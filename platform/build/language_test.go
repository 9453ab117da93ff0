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
	if e := slug["bin/garden"]; e.mode&0o100 == 0 || len(e.text) == 0 {
		t.Errorf("bin/garden in the slug has mode %o and %d bytes", e.mode, len(e.text))
	}

	b.build(b.request(source()))
	if strings.Contains(b.last.String(), "       runtime\n") {
		t.Errorf("the second build compiles the runtime again:\n%s", b.last)
	}
}

func TestNodeAppIsBuiltByItsScriptsAndPruned(t *testing.T) {
	need.Tool(t, "npm")
	b := newBench(t, nil)
	files := []entry{
		{name: "package.json", text: `{"name": "tea", "version": "1.0.0", "engines": {"node": ">=18"},
			"scripts": {"heroku-prebuild": "echo pre > order", "build": "echo $GREETING >> order", "heroku-cleanup": "echo cleanup >> order", "start": "node index.js"},
			"dependencies": {"kept": "file:./kept"}, "devDependencies": {"dropped": "file:./dropped"}}`},
		{name: "kept/package.json", text: `{"name": "kept", "version": "1.0.0"}`},
		{name: "dropped/package.json", text: `{"name": "dropped", "version": "1.0.0"}`},
	}
	req := b.request(tarOf(t, files...))
	req.Env = map[string]string{"GREETING": "good day"}
	result, slug := b.build(req)
	b.last.has(t, "-----> Node.js app detected\n", "There is no package-lock.json", "-----> Build succeeded!\n")
	if got := slug["order"].text; got != "pre\ngood day\ncleanup\n" {
		t.Errorf("the scripts ran as %q", got)
	}
	if diff := cmp.Diff(map[string]string{"web": "npm start"}, result.ProcessTypes); diff != "" {
		t.Errorf("process types (-want +got):\n%s", diff)
	}
	if _, ok := slug["node_modules/kept"]; !ok {
		t.Error("a dependency is not in the slug")
	}
	if _, ok := slug["node_modules/dropped"]; ok {
		t.Error("a devDependency is in the slug")
	}
	if !strings.Contains(slug[".profile.d/nodejs.sh"].text, "WEB_CONCURRENCY") {
		t.Error("the slug has no .profile.d/nodejs.sh")
	}
}

func TestNodeAppThatCannotBeBuiltSaysWhatToChange(t *testing.T) {
	need.Tool(t, "npm")
	for name, test := range map[string]struct {
		files []entry
		says  string
	}{
		"an engine that is not here": {
			[]entry{{name: "package.json", text: `{"engines": {"node": "4.x"}}`}},
			" !     package.json asks for Node.js 4.x, and this machine has v",
		},
		"an engine that is no version": {
			[]entry{{name: "package.json", text: `{"engines": {"node": "newest please"}}`}},
			" !     engines.node of package.json is no version range: newest please\n",
		},
		"JSON that is none": {
			[]entry{{name: "package.json", text: `{"engines": `}},
			" !     Unable to parse package.json\n",
		},
		"two lock files": {
			[]entry{{name: "package.json", text: `{}`}, {name: "package-lock.json", text: "{}"}, {name: "yarn.lock"}},
			" !     Build failed: lock files of several package managers: package-lock.json yarn.lock\n",
		},
		"a lock file that does not fit": {
			[]entry{{name: "package.json", text: `{"dependencies": {"a": "1.0.0"}}`}, {name: "package-lock.json", text: `{"lockfileVersion": 3, "packages": {}}`}},
			" !     The dependencies of the app cannot be installed",
		},
		"a script that fails": {
			[]entry{{name: "package.json", text: `{"scripts": {"build": "exit 3"}}`}},
			" !     The script build of package.json failed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			if got := b.reject(b.request(tarOf(t, test.files...))); got != "Push rejected, failed to compile Node.js app." {
				t.Errorf("the error is %q", got)
			}
			b.last.has(t, test.says, " !     Push rejected, failed to compile Node.js app.\n", " !     Push failed\n")
		})
	}
}

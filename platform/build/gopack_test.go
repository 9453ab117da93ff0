package build

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"niwa/platform/platformtest/need"
)

// program is a main package that prints.
func program(name, imports, prints string) entry {
	return entry{name: name, text: "package main\n\n" + imports + "\nfunc main() { println(" + prints + ") }\n"}
}

// binaries are the names of the programs in a slug.
func binaries(slug map[string]entry) []string {
	var names []string
	for name := range slug {
		if dir, base := filepath.Split(name); dir == "bin/" && base != "" {
			names = append(names, base)
		}
	}
	slices.Sort(names)
	return names
}

// The tests of Go apps share a cache: what is compiled first, the runtime, takes
// longer than all the rest.
func TestGoApps(t *testing.T) {
	need.Tool(t, "go")
	b := newBench(t, nil)
	t.Run("are detected, built and cached", func(t *testing.T) { testGoCached(t, b.in(t)) })
	t.Run("are built as they ask", func(t *testing.T) { testGoAsAsked(t, b.in(t)) })
	t.Run("that cannot be built say what to change", func(t *testing.T) { testGoRejected(t, b.in(t)) })
}

func testGoCached(t *testing.T, b *bench) {
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

func testGoAsAsked(t *testing.T, shared *bench) {
	two := []entry{program("cmd/web/main.go", "", `"web"`), program("cmd/worker/main.go", "", `"worker"`)}
	mod := func(more string) entry {
		return entry{name: "go.mod", text: "module example.com/garden\n\ngo 1.21\n\n" + more}
	}
	vendored := []entry{
		mod("require example.com/moss v1.0.0\n"),
		{name: "vendor/modules.txt", text: "# example.com/moss v1.0.0\n## explicit\nexample.com/moss\n"},
		{name: "vendor/example.com/moss/moss.go", text: "package moss\n\nconst Green = \"green\"\n"},
		program("main.go", `import "example.com/moss"`, "moss.Green"),
	}
	for name, test := range map[string]struct {
		files []entry
		env   map[string]string
		want  []string
		types map[string]string
		says  string
	}{
		"every program":              {append(two, mod("")), nil, []string{"web", "worker"}, map[string]string{}, "Procfile declares types -> (none)"},
		"what go.mod names":          {append(two, mod("// +heroku install ./cmd/web\n")), nil, []string{"web"}, map[string]string{"web": "bin/web"}, "go install -v -tags heroku -trimpath -buildvcs=false ./cmd/web\n"},
		"what the config var names":  {append(two, mod("// +heroku install ./cmd/web\n")), map[string]string{"GO_INSTALL_PACKAGE_SPEC": "./cmd/worker ./cmd/web"}, []string{"web", "worker"}, map[string]string{}, ""},
		"vendored modules":           {vendored, map[string]string{"GOPROXY": "off"}, []string{"garden"}, map[string]string{"web": "bin/garden"}, "-mod=vendor"},
		"the heroku build tag":       {[]entry{mod(""), program("main.go", "", "x"), {name: "x.go", text: "//go:build heroku\n\npackage main\n\nconst x = 1\n"}}, nil, []string{"garden"}, map[string]string{"web": "bin/garden"}, ""},
		"a Procfile instead":         {[]entry{mod(""), program("main.go", "", `"x"`), {name: "Procfile", text: "worker: garden\n"}}, nil, []string{"garden"}, map[string]string{"worker": "garden"}, "Procfile declares types -> worker"},
		"the Go of this machine":     {[]entry{mod("// +heroku goVersion go1.26\n"), program("main.go", "", `"x"`)}, nil, []string{"garden"}, map[string]string{"web": "bin/garden"}, "Using go1."},
		"an older Go out of reach":   {[]entry{mod("// +heroku goVersion go1.22\n"), program("main.go", "", `"x"`)}, map[string]string{"GOPROXY": "off"}, []string{"garden"}, map[string]string{"web": "bin/garden"}, "go1.22 cannot be fetched; go1."},
		"a string set by the linker": {[]entry{mod(""), program("main.go", "var version string\n", "version")}, map[string]string{"GO_LINKER_SYMBOL": "main.version"}, []string{"garden"}, map[string]string{"web": "bin/garden"}, "-X main.version=abc123"},
		"a hook before":              {[]entry{mod(""), {name: "bin/go-pre-compile", mode: 0o755, text: "#!/bin/sh\nprintf 'package main\\nfunc main() {}\\n' > main.go\n"}}, nil, []string{"garden", "go-pre-compile"}, map[string]string{"web": "bin/garden"}, "-----> Running bin/go-pre-compile"},
	} {
		t.Run(name, func(t *testing.T) {
			b := shared.in(t)
			req := b.request(tarOf(t, test.files...))
			req.Env = test.env
			result, slug := b.build(req)
			if diff := cmp.Diff(test.want, binaries(slug)); diff != "" {
				t.Errorf("programs (-want +got):\n%s\n%s", diff, b.last)
			}
			if diff := cmp.Diff(test.types, result.ProcessTypes); diff != "" {
				t.Errorf("process types (-want +got):\n%s", diff)
			}
			b.last.has(t, test.says)
		})
	}
}

func testGoRejected(t *testing.T, shared *bench) {
	for name, test := range map[string]struct {
		files []entry
		says  string
	}{
		"no program":             {[]entry{{name: "go.mod", text: "module x\n"}, {name: "x.go", text: "package x\n"}}, " !     The module has no program"},
		"a mistake":              {[]entry{{name: "go.mod", text: "module x\n"}, program("main.go", "", "undefined")}, "undefined: undefined\n !     The programs of the app cannot be built"},
		"a go.mod that is none":  {[]entry{{name: "go.mod", text: "modul x\n"}, program("main.go", "", `""`)}, "unknown directive: modul"},
		"a Go that is none":      {[]entry{{name: "go.mod", text: "module x\n// +heroku goVersion latest\n"}, program("main.go", "", `""`)}, ` !     "golatest" is not a version of Go.`},
		"a Go of the future":     {[]entry{{name: "go.mod", text: "module x\n\ngo 1.99\n"}, program("main.go", "", `""`)}, " !     This machine has go1."},
		"a file where bin goes":  {[]entry{{name: "go.mod", text: "module x\n"}, {name: "bin"}, program("main.go", "", `""`)}, " !     bin is a file"},
		"a module out of reach":  {[]entry{{name: "go.mod", text: "module x\n\nrequire example.com/moss v1.0.0\n"}, program("main.go", `import _ "example.com/moss"`, `""`)}, " !     The packages of the app cannot be listed"},
		"a package that is none": {[]entry{{name: "go.mod", text: "module x\n// +heroku install ./nothing\n"}, program("main.go", "", `""`)}, " !     The programs of the app cannot be built"},
	} {
		t.Run(name, func(t *testing.T) {
			b := shared.in(t)
			req := b.request(tarOf(t, test.files...))
			req.Env = map[string]string{"GOPROXY": "off"}
			if got := b.reject(req); got != "Push rejected, failed to compile Go app." {
				t.Errorf("the error is %q", got)
			}
			b.last.has(t, test.says)
		})
	}
}

func TestBuildWithoutTheToolSaysHowToGetIt(t *testing.T) {
	bin := withoutTools(t)
	for file, says := range map[string]string{
		"go.mod":       " !     Go is not installed on this machine",
		"package.json": " !     Node.js is not installed on this machine",
		"poetry.lock":  " !     Python is not installed on this machine",
		"Gemfile":      " !     Ruby is not installed on this machine",
		"index.php":    " !     PHP is not installed on this machine",
	} {
		b := newBench(t, func(c *Config) { c.MachineEnv = map[string]string{"PATH": bin} })
		b.reject(b.request(tarOf(t, entry{name: file, text: "{}"})))
		b.last.has(t, says, "apt-get install")
	}
}

// withoutTools is a PATH with what the buildpacks are written in, and no
// language.
func withoutTools(t *testing.T) string {
	bin := reachable(t)
	for _, tool := range []string{"bash", "sh", "cat", "sed", "mkdir", "dirname", "grep", "head", "rm", "sort", "tail", "env"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			need.Reason(t, "needs "+tool)
		}
		if err := os.Symlink(path, filepath.Join(bin, tool)); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

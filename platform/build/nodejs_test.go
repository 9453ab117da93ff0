package build

import (
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"niwa/platform/platformtest/need"
)

// npmPack is a package as npm packs it, and what a lock file says of it.
func npmPack(t testing.TB, name string) (pack, integrity string) {
	t.Helper()
	return npmPackOf(t, `{"name": "`+name+`", "version": "1.0.0"}`)
}

func npmPackOf(t testing.TB, manifest string) (pack, integrity string) {
	t.Helper()
	pack = gzipped(t, tarOf(t, entry{name: "package/package.json", text: manifest})).String()
	sum := sha512.Sum512([]byte(pack))
	return pack, "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

// npmMirror is a registry of one package, as the npm of a machine is told of it.
func npmMirror(t testing.TB) func(*Config) {
	leaf, sum := npmPack(t, "leaf")
	mux := http.NewServeMux()
	mux.HandleFunc("/npm/leaf", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"name": "leaf", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0":
			{"name": "leaf", "version": "1.0.0", "dist": {"integrity": %q, "tarball": "http://%s/npm/leaf/-/leaf-1.0.0.tgz"}}}}`, sum, r.Host)
	})
	mux.HandleFunc("/npm/leaf/-/leaf-1.0.0.tgz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, leaf) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return func(c *Config) {
		delete(c.MachineEnv, "npm_config_registry")
		c.MachineEnv["NPM_CONFIG_REGISTRY"] = server.URL + "/npm/"
	}
}

// lockedNode is an app with a dependency of the registry, and one of development
// in its folder vendor, both locked.
func lockedNode(t testing.TB, scripts string) map[string]string {
	t.Helper()
	kettle, kettleSum := npmPack(t, "kettle")
	_, leafSum := npmPack(t, "leaf")
	const deps = `"dependencies": {"leaf": "1.0.0"}, "devDependencies": {"kettle": "file:vendor/kettle.tgz"}`
	return map[string]string{
		"vendor/kettle.tgz": kettle,
		"package.json":      `{"name": "tea", "version": "1.0.0", "scripts": {` + scripts + `}, ` + deps + `}`,
		"package-lock.json": `{"name": "tea", "version": "1.0.0", "lockfileVersion": 3, "requires": true, "packages": {
			"": {"name": "tea", "version": "1.0.0", ` + deps + `},
			"node_modules/leaf": {"version": "1.0.0", "integrity": "` + leafSum + `"},
			"node_modules/kettle": {"version": "1.0.0", "resolved": "file:vendor/kettle.tgz", "integrity": "` + kettleSum + `", "dev": true}}}`,
	}
}

// answering is a folder with a program that answers one call in its own way,
// and is the machine's for all others.
func answering(t testing.TB, name, call, answer string) string {
	t.Helper()
	dir := reachable(t)
	answerIn(t, dir, name, call, answer)
	return dir
}

// answerIn puts such a program into a folder, for the time of the test.
func answerIn(t testing.TB, dir, name, call, answer string) {
	t.Helper()
	program := filepath.Join(dir, name)
	text := fmt.Sprintf("#!/bin/sh\nif [ \"$*\" = '%s' ]; then echo '%s'; else exec %s \"$@\"; fi\n", call, answer, need.Tool(t, name))
	if err := os.WriteFile(program, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(program) })
}

const restoresModules = "       Restoring node_modules of the last build"

func TestNodeModulesAreRestoredForAsLongAsNothingThatDecidesThemChanges(t *testing.T) {
	need.Tool(t, "npm")
	b := newBench(t, npmMirror(t))
	stack := "heroku-24"
	build := func(t *testing.T, b *bench, env map[string]string, more map[string]string) bool {
		app := lockedNode(t, `"start": "node ."`)
		maps.Copy(app, more)
		req := b.request(tarOf(t, files(app)...))
		req.Env, req.Stack = env, stack
		_, slug := b.build(req)
		if slug["node_modules/leaf/package.json"].text == "" || slug["node_modules/kettle/package.json"].text != "" {
			t.Errorf("the slug lacks a dependency, or has one of development:\n%s", b.last)
		}
		return strings.Contains(b.last.String(), restoresModules)
	}
	if build(t, b, nil, nil) {
		t.Error("a first build restores something")
	}
	if !build(t, b, nil, map[string]string{"index.js": "1"}) || strings.Contains(b.last.String(), "added") {
		t.Errorf("the second build installs again:\n%s", b.last)
	}
	app := lockedNode(t, `"start": "node ."`)
	for name, test := range map[string]struct {
		env, files map[string]string
		bin, stack string
	}{
		"the lock file":         {files: map[string]string{"package-lock.json": app["package-lock.json"] + "\n"}},
		"package.json":          {files: map[string]string{"package.json": strings.Replace(app["package.json"], "1.0.0", "1.0.1", 1)}},
		"npm's settings":        {env: map[string]string{"NPM_CONFIG_LEGACY_PEER_DEPS": "true"}},
		".npmrc":                {files: map[string]string{".npmrc": "legacy-peer-deps=true\n"}},
		"the stack":             {stack: "heroku-26"},
		"npm":                   {bin: npmOfVersion(t, "99.0.0")},
		"Node.js":               {bin: answering(t, "node", "--version", "v99.0.0")},
		"the kind of machine":   {bin: answering(t, "uname", "-sm", "Plan9 mips")},
		"what the app asks for": {env: map[string]string{"NODE_MODULES_CACHE": "false"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := b.twin(t)
			if test.bin != "" {
				b = b.finding(test.bin)
			}
			if test.stack != "" {
				defer func(was string) { stack = was }(stack)
				stack = test.stack
			}
			if build(t, b, test.env, test.files) {
				t.Errorf("it has changed, and node_modules is restored:\n%s", b.last)
			}
		})
	}
}

// npmOfVersion is a folder with this machine's npm, which says that it is of a
// version.
func npmOfVersion(t testing.TB, version string) string {
	t.Helper()
	dir := reachable(t)
	bin := filepath.Join(dir, "bin")
	text := fmt.Sprintf("#!/bin/sh\nexec %s \"$@\"\n", need.Tool(t, "npm"))
	err := errors.Join(os.Mkdir(bin, 0o755), os.WriteFile(filepath.Join(bin, "npm"), []byte(text), 0o755),
		os.WriteFile(filepath.Join(dir, "package.json"), fmt.Appendf(nil, "{\n  \"version\": %q,\n}\n", version), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

func TestNodeModulesThatAScriptHasAHandInAreNotKept(t *testing.T) {
	need.Tool(t, "npm")
	b := newBench(t, npmMirror(t))
	for range 2 {
		_, slug := b.build(b.request(tarOf(t, files(lockedNode(t, `"postinstall": "date > made"`))...)))
		if slug["made"].text == "" || strings.Contains(b.last.String(), restoresModules) {
			t.Errorf("the script has not run:\n%s", b.last)
		}
	}
}

func TestNodeModulesAreKeptWithDevDependenciesForTheScriptsThatBuild(t *testing.T) {
	need.Tool(t, "npm")
	b := newBench(t, npmMirror(t))
	for n := range 2 {
		_, slug := b.build(b.request(tarOf(t, files(lockedNode(t, `"build": "ls node_modules > seen"`))...)))
		if slug["seen"].text != "kettle\nleaf\n" || slug["node_modules/kettle/package.json"].text != "" {
			t.Errorf("the build saw %q, and has to have kettle, which the slug has not", slug["seen"].text)
		}
		if got := strings.Contains(b.last.String(), restoresModules); got != (n == 1) {
			t.Errorf("build %d restores: %t\n%s", n+1, got, b.last)
		}
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

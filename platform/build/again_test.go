package build

import (
	"cmp"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const restored = "-----> Restoring the last build: neither the source nor its tools have changed\n"

// autoloaded is a PHP app without packages, whose classes Composer looks for.
func autoloaded(t testing.TB) map[string]string {
	t.Helper()
	app := composerFiles(t, gone, map[string]string{"ext-json": "*"})
	app["composer.json"] = strings.Replace(app["composer.json"], `"require":`, `"autoload": {"classmap": ["lib"]}, "require":`, 1)
	app["lib/Fern.php"] = "<?php class Fern {}\n"
	return app
}

func TestABuildIsRestoredForAsLongAsNothingThatDecidesItHasChanged(t *testing.T) {
	needPHP(t)
	build := func(b *bench, stack string, env, change map[string]string) map[string]entry {
		app := autoloaded(t)
		maps.Copy(app, change)
		req := b.request(tarOf(t, files(app)...))
		req.Env, req.Stack = env, stack
		_, slug := b.build(req)
		return slug
	}
	tools := reachable(t)
	b := newBench(t, nil).finding(tools)
	first := build(b, "heroku-24", nil, nil)
	if again := build(b, "heroku-24", nil, nil); !maps.EqualFunc(first, again, func(a, b entry) bool { return a.text == b.text && a.mode == b.mode }) {
		t.Error("the slug of the same source is another")
	}
	if b.last.has(t, restored); strings.Contains(b.last.String(), "Installing dependencies") {
		t.Errorf("Composer has installed again:\n%s", b.last)
	}
	for name, test := range map[string]struct {
		env, change, machine map[string]string
		answer               [3]string // of a tool: its name, a call, the answer
		stack                string
		spoil                bool
		restores             bool
	}{
		"nothing":              {restores: true},
		"a file":               {change: map[string]string{"lib/Moss.php": "<?php class Moss {}\n"}},
		"a config var":         {env: map[string]string{"GREETING": "hello"}},
		"the environment":      {machine: map[string]string{"COMPOSER_MEMORY_LIMIT": "1G"}},
		"the stack":            {stack: "heroku-26"},
		"PHP":                  {answer: [3]string{"php", "-r " + describesPHP, "9.9.9"}},
		"the kind of machine":  {answer: [3]string{"uname", "-sm", "Plan9 mips"}},
		"a file that was kept": {spoil: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := b.twin(t)
			if test.spoil {
				spoil(t, filepath.Join(b.cfg.CacheDir, b.app, "again/build/vendor/autoload.php"))
			}
			if tool := test.answer; tool[0] != "" {
				answerIn(t, tools, tool[0], tool[1], tool[2])
			}
			cfg := b.cfg
			cfg.MachineEnv = maps.Clone(cfg.MachineEnv)
			maps.Copy(cfg.MachineEnv, test.machine)
			b.Builder = New(cfg)
			build(b, cmp.Or(test.stack, "heroku-24"), test.env, test.change)
			if got := strings.Contains(b.last.String(), restored); got != test.restores {
				t.Errorf("the last build is restored: %t\n%s", got, b.last)
			}
		})
	}
}

func spoil(t testing.TB, file string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
}

func TestABuildThatScriptsHaveAHandInIsNotRestored(t *testing.T) {
	needPHP(t)
	app := autoloaded(t)
	app["composer.json"] = strings.Replace(app["composer.json"], `"require":`, `"scripts": {"post-install-cmd": "date > made"}, "require":`, 1)
	b := newBench(t, nil)
	for range 2 {
		_, slug := b.build(b.request(tarOf(t, files(app)...)))
		if slug["made"].text == "" || strings.Contains(b.last.String(), restored) {
			t.Errorf("the script has not run:\n%s", b.last)
		}
	}
}

func TestABuildWhoseSourceAsksForItsVersionIsRestoredForThatAlone(t *testing.T) {
	needPHP(t)
	app := autoloaded(t)
	app["version.php"] = `<?php getenv("SOURCE_VERSION");`
	b := newBench(t, nil)
	for _, push := range []struct {
		version string
		again   bool
	}{{"abc", false}, {"abc", true}, {"def", false}} {
		req := b.request(tarOf(t, files(app)...))
		req.Version = push.version
		b.build(req)
		if got := strings.Contains(b.last.String(), restored); got != push.again {
			t.Errorf("version %s is restored: %t, want %t", push.version, got, push.again)
		}
	}
}

func TestARestoredBuildHasTheEnvironmentForBuildpacksAfterIt(t *testing.T) {
	packGems(t)
	after := gzipped(t, tarOf(t,
		entry{name: "bin/detect", mode: 0o755, text: "#!/bin/sh\necho After\n"},
		entry{name: "bin/compile", mode: 0o755, text: "#!/bin/sh\necho \"$RACK_ENV $BUNDLE_WITHOUT $BUNDLE_PATH ${PATH%%:*}\"\n"},
	)).Bytes()
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(after) }))
	b := newBench(t, nil)
	for n := range 2 {
		req := b.request(tarOf(t, files(gemfiles(gone, nil))...))
		req.Buildpacks = []string{"heroku/ruby", url + "/after.tgz"}
		b.build(req)
		b.last.has(t, "production development:test vendor/bundle "+filepath.Join(b.cfg.Dir, b.app, "build/bin")+"\n")
		if got := strings.Contains(b.last.String(), restored); got != (n == 1) {
			t.Errorf("build %d is restored: %t\n%s", n+1, got, b.last)
		}
	}
}

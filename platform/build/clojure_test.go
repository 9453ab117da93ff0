package build

import (
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"niwa/platform/platformtest/need"
)

// moss is a Clojure program, which counts its arguments.
func moss(more ...entry) []entry {
	return append([]entry{{name: "src/moss/core.clj", text: `(ns moss.core (:gen-class))
(defn -main [& args] (println (count args) "stones," (System/getenv "RING_ENV")))
`}}, more...)
}

func TestALeiningenProjectIsBuiltCachedAndRun(t *testing.T) {
	need.Tool(t, "lein")
	t.Parallel() // it waits for a repository
	b := newBench(t, nil)
	project := entry{name: "project.clj", text: `(defproject moss "1.0"
  :min-lein-version "2.0.0"
  :dependencies [[org.clojure/clojure "1.11.1"]]
  :main ^:skip-aot moss.core
  :uberjar-name "moss-standalone.jar"
  :profiles {:uberjar {:aot :all}})
`}
	req := b.request(tarOf(t, moss(project)...))
	result, _ := b.build(req)
	b.last.has(t, "-----> Clojure app detected\n", "-----> Using Leiningen 2.", "       Running: lein uberjar\n")
	if diff := cmp.Diff(map[string]string{"web": "java -jar target/moss-standalone.jar"}, result.ProcessTypes); diff != "" {
		t.Errorf("process types (-want +got):\n%s", diff)
	}
	if said := b.says(req.SlugPath, result.ProcessTypes["web"]+" a b", map[string]string{"DYNO": "run.1"}); said != "2 stones, production\n" {
		t.Errorf("the dyno says %q", said)
	}
	t.Run("again without a network", func(t *testing.T) {
		b := b.offline(t)
		b.build(b.request(tarOf(t, moss(project, entry{name: "CHANGES"})...)))
		b.last.has(t, "Compiling moss.core\n")
		if strings.Contains(b.last.String(), "Retrieving") {
			t.Errorf("the second build fetches again:\n%s", b.last)
		}
	})
	t.Run("through a mirror that has more", func(t *testing.T) {
		mirror := httptest.NewTLSServer(standIn(t, filepath.Join(b.cfg.CacheDir, b.app, "home/.m2/repository")))
		t.Cleanup(mirror.Close)
		b := b.offline(t)
		b.app = uuid.NewString()
		// Builds see nothing of this test's but their own folder.
		cache := filepath.Join(b.cfg.CacheDir, b.app)
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: mirror.Certificate().Raw})
		if err := errors.Join(os.Mkdir(cache, 0o755), os.WriteFile(filepath.Join(cache, "ca.pem"), ca, 0o644)); err != nil {
			t.Fatal(err)
		}
		maps.Copy(b.cfg.MachineEnv, map[string]string{"NO_PROXY": "127.0.0.1", "SSL_CERT_FILE": filepath.Join(b.cfg.Dir, b.app, "cache/ca.pem"), "MAVEN_MIRROR_URL": mirror.URL})
		more := entry{name: "project.clj", text: strings.Replace(project.text, ":dependencies [", `:dependencies [[garden/moss "1"] `, 1)}
		b.build(b.request(tarOf(t, moss(more)...)))
		b.last.has(t, "Retrieving garden/moss/1/moss-1.jar from mirror\n")
	})
	t.Run("by its own program", func(t *testing.T) {
		b := b.offline(t)
		b.reject(b.request(tarOf(t, moss(project, entry{name: "bin/build", text: "#!/bin/sh\necho by hand\nexit 1\n"})...)))
		b.last.has(t, "       Found bin/build", "       Running: bin/build\n       by hand\n", " !     The app could not be built; the lines above say why.\n")
	})
}

func TestADepsProjectIsBuiltByItsAliasAndRun(t *testing.T) {
	need.Tool(t, "lein")
	t.Parallel() // it waits for a repository
	b := newBench(t, nil)
	files := moss(
		entry{name: "deps.edn", text: `{:paths ["src"]
 :deps {org.clojure/clojure {:mvn/version "1.12.0"}}
 :aliases {:build {:deps {io.github.clojure/tools.build {:mvn/version "0.10.5"}} :ns-default build}}}
`},
		entry{name: "build.clj", text: `(ns build (:require [clojure.tools.build.api :as b]))
(defn uber [_]
  (let [basis (b/create-basis {:project "deps.edn"})]
    (b/copy-dir {:src-dirs ["src"] :target-dir "target/classes"})
    (b/compile-clj {:basis basis :ns-compile '[moss.core] :class-dir "target/classes"})
    (b/uber {:class-dir "target/classes" :uber-file "target/moss.jar" :basis basis :main 'moss.core})))
`})
	req := b.request(tarOf(t, files...))
	result, _ := b.build(req)
	b.last.has(t, "-----> Clojure app detected\n", "       Running: clojure -T:build uber\n")
	if diff := cmp.Diff(map[string]string{"web": "java -jar target/moss.jar"}, result.ProcessTypes); diff != "" {
		t.Errorf("process types (-want +got):\n%s", diff)
	}
	if said := b.says(req.SlugPath, result.ProcessTypes["web"]+" a b c", map[string]string{"DYNO": "run.1"}); said != "3 stones, production\n" {
		t.Errorf("the dyno says %q", said)
	}
	t.Run("again without a network", func(t *testing.T) {
		b := b.offline(t)
		b.build(b.request(tarOf(t, append(files, entry{name: "CHANGES"})...)))
		b.last.has(t, "       Running: clojure -T:build uber\n")
	})
	t.Run("without its alias", func(t *testing.T) {
		b := b.offline(t)
		b.reject(b.request(tarOf(t, entry{name: "deps.edn", text: "{}"})))
		b.last.has(t, " !     The app has a deps.edn without an alias :build, and no bin/build: nothing says how to build it.\n")
	})
}

// copiedJDK is this machine's JDK with a file release of its own.
func copiedJDK(t testing.TB) string {
	t.Helper()
	javac, err := filepath.EvalSymlinks(need.Tool(t, "javac"))
	if err != nil {
		t.Fatal(err)
	}
	from, dir := filepath.Dir(filepath.Dir(javac)), reachable(t)
	release, err := os.ReadFile(filepath.Join(from, "release"))
	err = errors.Join(err, os.Mkdir(filepath.Join(dir, "bin"), 0o755), os.WriteFile(filepath.Join(dir, "release"), release, 0o644))
	programs, globErr := filepath.Glob(filepath.Join(from, "bin/*"))
	for _, program := range programs {
		err = errors.Join(err, os.Symlink(program, filepath.Join(dir, "bin", filepath.Base(program))))
	}
	text := fmt.Sprintf("#!/bin/sh\nexec %s \"$@\"\n", javac)
	err = errors.Join(err, globErr, os.Remove(filepath.Join(dir, "bin/javac")), os.WriteFile(filepath.Join(dir, "bin/javac"), []byte(text), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// The project brings a Leiningen of its own, which builds at once.
func TestAClojureBuildIsRestoredForAsLongAsNothingHasChanged(t *testing.T) {
	jdk := copiedJDK(t)
	b := newBench(t, nil).finding(filepath.Join(jdk, "bin"))
	project := map[string]string{
		"project.clj": `(defproject moss "1.0" :uberjar-name "moss.jar")`,
		"bin/lein":    "#!/bin/sh\nmkdir -p target public; date >target/moss.jar; date >public/moss.js\n",
	}
	build := func(b *bench, change func(*Request), more map[string]string) (restored bool) {
		app := maps.Clone(project)
		maps.Copy(app, more)
		req := b.request(tarOf(b.t, files(app)...))
		if change != nil {
			change(&req)
		}
		result, slug := b.build(req)
		if slug["target/moss.jar"].text == "" || slug["public/moss.js"].text == "" || result.ProcessTypes["web"] != "java -jar target/moss.jar" {
			b.t.Errorf("the slug is not whole, or starts with %q:\n%s", result.ProcessTypes["web"], b.last)
		}
		return strings.Contains(b.last.String(), "-----> Restoring the last build")
	}
	vars := func(name, value string) func(*Request) {
		return func(req *Request) { req.Env = map[string]string{name: value} }
	}
	other := func(req *Request) { req.Version = "def456" }
	if build(b, nil, nil) || !build(b, other, nil) {
		t.Errorf("the first build restores, or the second does not:\n%s", b.last)
	}
	project["src/moss.clj"] = `(System/getenv "SOURCE_VERSION")`
	if build(b, nil, nil) || !build(b, nil, nil) {
		t.Errorf("a change is not built, or what has not changed is:\n%s", b.last)
	}
	for name, test := range map[string]struct {
		change func(*Request)
		files  map[string]string
	}{
		"a file":                             {nil, map[string]string{"src/moss.clj": "(ns moss)"}},
		"a config var":                       {vars("COLOUR", "green"), nil},
		"a version that the source asks for": {other, nil},
		"the Leiningen":                      {nil, map[string]string{"bin/lein": project["bin/lein"] + "exit 0\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := b.twin(t)
			if build(b, test.change, test.files) {
				t.Errorf("it has changed, and the last build is restored:\n%s", b.last)
			}
		})
	}
	t.Run("the JDK", func(t *testing.T) {
		b := b.twin(t)
		release := filepath.Join(jdk, "release")
		text, err := os.ReadFile(release)
		if err := errors.Join(err, os.WriteFile(release, append(text, "IMPLEMENTOR=\"Garden\"\n"...), 0o644)); err != nil {
			t.Fatal(err)
		}
		if build(b, nil, nil) {
			t.Errorf("it has changed, and the last build is restored:\n%s", b.last)
		}
		if err := os.WriteFile(release, text, 0o644); err != nil {
			t.Fatal(err)
		}
	})
	for name, test := range map[string]struct {
		change func(*Request)
		files  map[string]string
	}{
		"a library that is a SNAPSHOT": {nil, map[string]string{"project.clj": `(defproject moss "1.0" :uberjar-name "moss.jar" :dependencies [[a "1-SNAPSHOT"]])`}},
		"a task of the app's own":      {vars("LEIN_BUILD_TASK", "uberjar"), nil},
		"a program of the app's own":   {nil, map[string]string{"bin/build": "#!/bin/sh\nexec lein\n"}},
	} {
		t.Run(name+" is never kept", func(t *testing.T) {
			b := b.in(t)
			for range 2 {
				if build(b, test.change, test.files) {
					t.Errorf("it is restored:\n%s", b.last)
				}
			}
		})
	}
}

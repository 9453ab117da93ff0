package build

import (
	"archive/zip"
	"bytes"
	"crypto/sha1"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"niwa/platform/dyno"
	"niwa/platform/platformtest/need"
)

// offline is the same app on a machine that reaches no repository.
func (b *bench) offline(t testing.TB) *bench {
	sub := b.in(t)
	cfg := b.cfg
	cfg.MachineEnv = maps.Clone(cfg.MachineEnv)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		cfg.MachineEnv[name] = "http://user:secret@127.0.0.1:9"
	}
	delete(cfg.MachineEnv, "NO_PROXY")
	delete(cfg.MachineEnv, "no_proxy")
	sub.Builder = New(cfg)
	return sub
}

// says runs a command of the slug of the last build in a dyno, and returns
// what it says.
func (b *bench) says(slug, command string, env map[string]string) string {
	b.t.Helper()
	out := &watched{}
	spec := dyno.Spec{
		ID: uuid.NewString(), App: b.app, UID: b.uid, Slug: slug, Command: command,
		Env: env, Limits: dyno.Limits{Memory: 512 << 20}, Output: out,
	}
	if _, err := b.cfg.Runner.Start(b.t.Context(), spec); err != nil {
		b.t.Fatal(err)
	}
	exit, err := b.cfg.Runner.Wait(b.t.Context(), spec.ID)
	if err != nil || exit.Code != 0 {
		b.t.Errorf("%s: %+v, %v\n%s", command, exit, err, out)
	}
	return out.String()
}

// standIn is a Maven repository on this machine: what another build has fetched,
// and one library that is nowhere else.
func standIn(t testing.TB, fetched string) http.Handler {
	t.Helper()
	var jar bytes.Buffer
	if err := zip.NewWriter(&jar).Close(); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(fetched)))
	for name, text := range map[string]string{
		"moss-1.pom": "<project><modelVersion>4.0.0</modelVersion><groupId>garden</groupId><artifactId>moss</artifactId><version>1</version></project>",
		"moss-1.jar": jar.String(),
	} {
		for suffix, text := range map[string]string{"": text, ".sha1": fmt.Sprintf("%x", sha1.Sum([]byte(text)))} {
			mux.HandleFunc("/garden/moss/1/"+name+suffix, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) })
		}
	}
	return mux
}

// inProfile is what a dyno's environment has of some names after the profile
// script of the Java virtual machine.
func inProfile(t *testing.T, env []string, names ...string) map[string]string {
	t.Helper()
	cmd := exec.Command(need.Tool(t, "bash"), "-c", `. ../../buildpacks/lib/jvm-dyno.sh; env`)
	cmd.Env = append([]string{"HOME=/nowhere", "PATH=" + os.Getenv("PATH"), "DYNO_RAM=512"}, env...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		for _, wanted := range names {
			if name == wanted {
				got[name] = value
			}
		}
	}
	return got
}

func TestDynosOfJavaKnowTheirMemory(t *testing.T) {
	for name, test := range map[string]struct {
		env  []string
		want map[string]string
	}{
		"a small one": {nil, map[string]string{
			"JAVA_OPTS":         "-Dfile.encoding=UTF-8 -XX:MaxRAM=512m -Xmx300m -Xss512k -XX:CICompilerCount=2",
			"JAVA_TOOL_OPTIONS": "-Dfile.encoding=UTF-8 -XX:MaxRAM=512m -Xmx300m -Xss512k -XX:CICompilerCount=2",
		}},
		"a middling one": {[]string{"DYNO_RAM=1024", "DYNO=worker.1"}, map[string]string{
			"JAVA_OPTS":         "-Dfile.encoding=UTF-8 -XX:MaxRAM=1024m -Xmx671m -XX:CICompilerCount=2",
			"JAVA_TOOL_OPTIONS": "-Dfile.encoding=UTF-8 -XX:MaxRAM=1024m -Xmx671m -XX:CICompilerCount=2",
		}},
		"a large one-off, with its own options": {[]string{"DYNO_RAM=2560", "DYNO=run.1234", "JAVA_OPTS=-Xmx1g", "JAVA_TOOL_OPTIONS=-Da=b"}, map[string]string{
			"JAVA_OPTS":         "-Dfile.encoding=UTF-8 -XX:MaxRAM=2560m -XX:MaxRAMPercentage=80.0 -Xmx1g",
			"JAVA_TOOL_OPTIONS": "-Da=b",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, inProfile(t, test.env, "JAVA_OPTS", "JAVA_TOOL_OPTIONS")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDynosOfJavaFindTheirDatabases(t *testing.T) {
	const jdbc = "jdbc:postgresql://db:5432/tea?password=p%40ss&sslmode=require&user=ann"
	for name, test := range map[string]struct {
		env  []string
		want map[string]string
	}{
		"none": {nil, map[string]string{}},
		"Postgres": {[]string{"DATABASE_URL=postgres://ann:p%40ss@db:5432/tea"}, map[string]string{
			"JDBC_DATABASE_URL": jdbc, "JDBC_DATABASE_USERNAME": "ann", "JDBC_DATABASE_PASSWORD": "p@ss",
			"SPRING_DATASOURCE_URL": jdbc, "SPRING_DATASOURCE_USERNAME": "ann", "SPRING_DATASOURCE_PASSWORD": "p@ss",
		}},
		"Postgres that says how it is reached, and no Spring": {[]string{"DATABASE_URL=postgres://ann:pass@db/tea?sslmode=disable", "DISABLE_SPRING_DATASOURCE_URL=true"}, map[string]string{
			"JDBC_DATABASE_URL": "jdbc:postgresql://db/tea?sslmode=disable&password=pass&user=ann", "JDBC_DATABASE_USERNAME": "ann", "JDBC_DATABASE_PASSWORD": "pass",
		}},
		"MySQL, and a Spring that knows better": {[]string{"JAWSDB_URL=mysql://ann:pass@db:3306/tea", "SPRING_DATASOURCE_URL=mine"}, map[string]string{
			"JDBC_DATABASE_URL": "jdbc:mysql://db:3306/tea?password=pass&user=ann", "JDBC_DATABASE_USERNAME": "ann", "JDBC_DATABASE_PASSWORD": "pass",
			"SPRING_DATASOURCE_URL": "mine",
		}},
		"another colour": {[]string{"HEROKU_POSTGRESQL_PINK_URL=postgres://ann:p%40ss@db:5432/tea"}, map[string]string{
			"HEROKU_POSTGRESQL_PINK_JDBC_URL": jdbc, "HEROKU_POSTGRESQL_PINK_JDBC_USERNAME": "ann", "HEROKU_POSTGRESQL_PINK_JDBC_PASSWORD": "p@ss",
		}},
		"what is no database": {[]string{"DATABASE_URL=sqlite:tea.db", "REDIS_URL=redis://h:1"}, map[string]string{
			"SPRING_REDIS_URL": "redis://h:1", "SPRING_DATA_REDIS_URL": "redis://h:1",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got := inProfile(t, test.env, "JDBC_DATABASE_URL", "JDBC_DATABASE_USERNAME", "JDBC_DATABASE_PASSWORD",
				"SPRING_DATASOURCE_URL", "SPRING_DATASOURCE_USERNAME", "SPRING_DATASOURCE_PASSWORD", "SPRING_REDIS_URL", "SPRING_DATA_REDIS_URL",
				"HEROKU_POSTGRESQL_PINK_JDBC_URL", "HEROKU_POSTGRESQL_PINK_JDBC_USERNAME", "HEROKU_POSTGRESQL_PINK_JDBC_PASSWORD")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Builds in containers are elsewhere; this is what they do there.
func TestASlugCarriesJavaWhereDynosHaveNone(t *testing.T) {
	need.Tool(t, "javac")
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "lib"), os.DirFS("../../buildpacks/lib")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"build", "pack"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(need.Tool(t, "bash"), "-c", `set -euo pipefail
here=$PWD/pack
source lib/common.sh
source lib/jvm.sh
in_stack() { true; }
prepare_jvm
provide_java`, "compile", "build", "cache", "env")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), " MB in .jdk\n") {
		t.Fatalf("%v\n%s", err, out)
	}
	java := filepath.Join(dir, "build/.jdk/bin/java")
	out, err := exec.Command(java, "--list-modules").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "jdk.httpserver@") || strings.Contains(string(out), "jdk.compiler@") {
		t.Errorf("its modules: %v\n%s", err, out)
	}
	if info, err := os.Lstat(filepath.Join(dir, "build/.jdk/lib/security/cacerts")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("its certificate authorities: %v, %v", info, err)
	}
}

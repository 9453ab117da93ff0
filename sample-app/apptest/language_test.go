package apptest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"niwa/platform/platformtest/need"
)

// language is a sample app that these tests build and run.
type language struct {
	name  string   // of its folder
	tools []string // without which it is skipped
	build string   // a command of the shell in a copy of the folder
}

func languages() []language {
	return []language{
		{"clojure", []string{"lein"}, "lein uberjar"},
		{"go", []string{"go"}, "go build -buildvcs=false -o bin/app ."},
		{"java", []string{"mvn"}, "mvn -B -q -DskipTests package"},
		{"nodejs", []string{"node", "npm"}, "npm ci --omit=dev --prefer-offline --no-audit --no-fund"},
		{"php", []string{"php", "composer"}, "composer install --no-dev"},
		{"python", []string{"/usr/bin/python3"}, "/usr/bin/python3 -m venv .venv && .venv/bin/pip install -q --no-compile -r requirements.txt && ln -s .venv/bin bin"},
		{"ruby", []string{"bundle"}, "bundle check || bundle install"},
		{"scala", []string{"java", "mvn"}, "mvn -B -q dependency:copy -Dartifact=org.scala-sbt:sbt-launch:1.10.7 -DoutputDirectory=target -Dmdep.stripVersion && java -Xss4m -Dsbt.server.autostart=false -jar target/sbt-launch.jar stage"},
	}
}

func named(t *testing.T, name string) language {
	t.Helper()
	all := languages()
	at := slices.IndexFunc(all, func(l language) bool { return l.name == name })
	if at < 0 {
		t.Fatalf("there is no language %q", name)
	}
	return all[at]
}

// program is an app that has been built: a folder and its Procfile.
type program struct {
	dir   string
	types map[string]string
}

// built builds an app in a copy of its folder, which is all that it needs.
func (l language) built(t *testing.T) *program {
	t.Helper()
	need.Tool(t, "bash")
	for _, tool := range l.tools {
		need.Tool(t, tool)
	}
	p := &program{dir: filepath.Join(dir(t), l.name), types: map[string]string{}}
	if err := os.CopyFS(p.dir, os.DirFS(filepath.Join("..", l.name))); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nice", "-n", "10", "bash", "-c", l.build) // behind what is run
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), shortLived)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building sample-app/%s: %v\n%s", l.name, err, out)
	}
	err := filepath.WalkDir(p.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || os.Geteuid() != 0 {
			return err
		}
		return os.Lchown(path, nobody, nobody)
	})
	if err != nil {
		t.Fatal(err)
	}
	procfile, err := os.ReadFile(filepath.Join(p.dir, "Procfile"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(procfile)) {
		name, command, _ := strings.Cut(line, ":")
		p.types[name] = strings.TrimSpace(command)
	}
	return p
}

// shortLived has Java compile for a start that is quick, and not for the hours
// after it: that is half the work of a test.
const shortLived = "JAVA_TOOL_OPTIONS=-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC"

// env is what a dyno's command has beside its config vars. What a build has
// installed to be run is in bin.
func (p *program) env(vars []string) []string {
	return append([]string{"PATH=" + filepath.Join(p.dir, "bin") + ":" + os.Getenv("PATH"), "HOME=" + p.dir, "LANG=C.UTF-8", shortLived}, vars...)
}

// run runs a one-off command, as the release phase is one.
func (p *program) run(t *testing.T, command string, vars ...string) {
	t.Helper()
	cmd := unprivileged(exec.Command("bash", "-c", command))
	cmd.Env, cmd.Dir = p.env(vars), p.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// postdeploy is what app.json has run once in a new app.
func (p *program) postdeploy(t *testing.T) string {
	t.Helper()
	var app struct{ Scripts struct{ Postdeploy string } }
	text, err := os.ReadFile(filepath.Join(p.dir, "app.json"))
	if err == nil {
		err = json.Unmarshal(text, &app)
	}
	if err != nil || app.Scripts.Postdeploy == "" {
		t.Fatalf("app.json has no postdeploy (%v)", err)
	}
	return app.Scripts.Postdeploy
}

// dyno is a web process that runs.
type dyno struct {
	*server
	url string
}

func (p *program) web(t *testing.T, vars ...string) *dyno {
	t.Helper()
	port := freePort(t)
	return &dyno{start(t, p.env(append(vars, "PORT="+port)), p.dir, "bash", "-c", p.types["web"]), "http://127.0.0.1:" + port}
}

// up waits until it accepts connections, as a router does.
func (d *dyno) up(t *testing.T) *dyno {
	t.Helper()
	await(t, d.server, func(context.Context) error {
		conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	return d
}

// stopped ends it as a platform does, and says how it exits.
func (d *dyno) stopped(t *testing.T) error {
	t.Helper()
	d.end(t, syscall.SIGTERM)
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("at SIGTERM it exits with %d:\n%s", code, d.log)
	}
	return nil
}

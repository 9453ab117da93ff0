package platformtest_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/creack/pty"

	"niwa/platform/platformtest"
	"niwa/platform/platformtest/need"
)

// step is one command of the official client, and what must be seen of it.
type step struct {
	args []string // of heroku; one that begins with "git" or "#" is not
	exit int
	want string // regular expression that the output matches
	in   string // standard input; "tty" gives the command a terminal
	does func(*testing.T, *day) (output string, exit int)
}

// day is one working day of a user of the official client: an app in a git
// repository, from its creation to its end.
type day struct {
	*platformtest.Program
	dir string
}

func heroku(args string, want string) step { return step{args: strings.Fields(args), want: want} }

// TestADaysWorkWithTheOfficialClient runs the commands of the official client
// in order, each on what those before it left, and prints the matrix.
func TestADaysWorkWithTheOfficialClient(t *testing.T) {
	need.Tool(t, "heroku")
	for _, tool := range []string{"git", "node", "npm", "psql", "redis-server"} {
		need.Tool(t, tool)
	}
	need.Tool(t, "initdb", postgresDirs()...)
	binary := platformtest.Build(t)
	d := &day{platformtest.Up(t, binary, platformtest.Dir(t)), platformtest.Dir(t)}
	d.repository(t)

	var matrix bytes.Buffer
	table := tabwriter.NewWriter(&matrix, 0, 0, 2, ' ', 0)
	for _, s := range steps() {
		name := strings.Join(s.args, " ")
		begin := time.Now()
		ok := t.Run(strings.ReplaceAll(name, "/", "_"), func(t *testing.T) {
			output, exit := d.do(t, s)
			if exit != s.exit || !regexp.MustCompile(s.want).MatchString(output) {
				t.Errorf("heroku %s: exit status %d, want %d; output must match %q:\n%s", name, exit, s.exit, s.want, output)
			}
		})
		fmt.Fprintf(table, "%s\theroku %s\t%.1f s\n", map[bool]string{true: "works", false: "FAILS"}[ok], name, time.Since(begin).Seconds())
	}
	table.Flush()
	t.Logf("official client, %d commands:\n%s", len(steps()), matrix.String())
}

func postgresDirs() []string {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	return dirs
}

func steps() []step {
	return []step{
		heroku("whoami", `@localhost`),
		heroku("create garden", `https://localhost:\d+/garden.git`),
		heroku("git:remote -a garden", `heroku`),
		heroku("apps", `garden`),
		heroku("config:set GREETING=hello OTHER=two -a garden", `v\d`),
		{args: []string{"git push heroku main"}, does: push, want: `(?s)remote: -----> .*remote: planting.*Released v3.*deployed to niwa`},
		heroku("ps:wait -a garden", ``),
		heroku("info -a garden", `(?s)garden.*heroku-24`),
		{args: []string{"# the app answers through the router"}, does: visit, want: `^hello$`},
		{args: []string{"open", "-a", "garden"}, does: open, want: `^http://garden.localhost:\d+/$`},
		heroku("config -a garden", `GREETING`),
		heroku("config:get GREETING -a garden", `^hello\n$`),
		heroku("config:unset OTHER -a garden", `v4`),
		{args: []string{"# config:edit in an editor"}, does: edit, want: `(?s)Updating config.*done`},
		heroku("config:get GREETING -a garden", `^good evening\n$`),
		heroku("ps:wait -a garden", ``),

		heroku("ps -a garden", `web\.1: (up|starting)`),
		heroku("ps:scale web=2 -a garden", `web at 2:Standard-1X`),
		heroku("ps:scale web-1 -a garden", `web at 1:Standard-1X`),
		heroku("ps:scale -a garden", `web=1:Standard-1X`),
		heroku("ps:type standard-2x -a garden", `Standard-2X`),
		heroku("ps:type -a garden", `Standard-2X`),
		heroku("ps:restart -a garden", `done`),
		heroku("ps:restart web.1 -a garden", `done`),
		heroku("ps:restart -p web -a garden", `done`),
		heroku("ps:stop web.1 -a garden", `done`),
		heroku("features -a garden", `\[ \] preboot`),
		heroku("features:enable log-runtime-metrics -a garden", `Enabling log-runtime-metrics.*done`),
		heroku("features:enable preboot -a garden", `Enabling preboot.*done`),
		heroku("features:info preboot -a garden", `(?s)preboot.*Enabled:\s+true`),
		heroku("ps:restart -a garden", `done`),
		heroku("features:disable preboot -a garden", `Disabling preboot.*done`),
		heroku("features:enable routing-two-choices -a garden", `Enabling routing-two-choices.*done`),
		heroku("features:enable http-session-affinity -a garden", `Enabling http-session-affinity.*done`),
		heroku("features -a garden", `(?s)\[\+\] http-session-affinity.*\[ \] routing-round-robin.*\[\+\] routing-two-choices`),
		heroku("features:disable routing-two-choices -a garden", `Disabling routing-two-choices.*done`),
		heroku("labs -a garden", `(?s)\[ \] http-disable-keepalive-to-dyno.*\[\+\] http-routing-2-dot-0`),
		heroku("labs:disable http-routing-2-dot-0 -a garden", `Disabling http-routing-2-dot-0.*done`),
		heroku("labs:info http-routing-2-dot-0 -a garden", `(?s)http-routing-2-dot-0.*Enabled:\s+false`),
		heroku("labs:enable http-routing-2-dot-0 -a garden", `Enabling http-routing-2-dot-0.*done`),

		heroku("logs -a garden -n 200", `heroku\[web\.1\]: State changed from starting to up`),
		heroku("logs -a garden -s app -d web", `app\[web\.1\]`),
		{args: []string{"logs", "--tail", "-a", "garden"}, does: tail, want: `heroku\[router\]: at=info method=GET path="/tailed"`},

		{args: []string{"run", "-a", "garden", "--", "echo $GREETING from $DYNO"}, want: `good evening from run\.\d{4}`},
		{args: []string{"run", "-a", "garden", "--exit-code", "--no-tty", "--", "sh -c 'exit 3'"}, exit: 3},
		{args: []string{"run", "-a", "garden", "--no-tty", "--", "cat"}, in: "through the pipe\n", want: `through the pipe`},
		{args: []string{"run", "-a", "garden", "--", "tty && stty size"}, in: "tty", want: `(?s)/dev/((pts/|ttys)\d+|console).*33 101`},
		{args: []string{"run", "-a", "garden", "--exit-code", "--", "sh -c 'exit 4'"}, in: "tty", exit: 4},
		{args: []string{"run:detached", "-a", "garden", "--", "echo detached"}, want: `run\.\d{4}`},
		{args: []string{"# its output is in the logs"}, does: detached, want: `app\[run\.\d{4}\]: detached`},

		heroku("releases -a garden", `(?s)v5.*Set GREETING config vars.*v3.*Deploy`),
		heroku("releases:info v3 -a garden", `(?s)v3.*Deploy`),
		heroku("releases:output v3 -a garden", `planting`),
		heroku("rollback v3 -a garden", `(?s)Rolling back garden to v3.*done`),
		heroku("ps:wait -a garden", ``),

		heroku("maintenance:on -a garden", `done`),
		heroku("maintenance -a garden", `on`),
		{args: []string{"# visitors see the maintenance page"}, does: visit, want: `(?i)maintenance`},
		heroku("maintenance:off -a garden", `done`),

		heroku("buildpacks:set heroku/nodejs -a garden", `heroku/nodejs`),
		heroku("buildpacks:add heroku/procfile -a garden", `heroku/procfile`),
		heroku("buildpacks -a garden", `(?s)heroku/nodejs.*heroku/procfile`),
		heroku("buildpacks:remove heroku/procfile -a garden", `heroku/nodejs`),
		heroku("buildpacks:clear -a garden", `cleared`),

		heroku("buildpacks:search node", `heroku/nodejs`),
		heroku("buildpacks:info heroku/go", `# Go buildpack`),
		heroku("buildpacks:versions heroku/go", `published`),

		heroku("addons:services", `heroku-postgresql`),
		heroku("addons:plans heroku-redis", `mini`),
		heroku("addons:create heroku-postgresql:essential-0 -a garden --wait --name garden-db", `DATABASE_URL`),
		heroku("addons:create heroku-redis:mini -a garden --name garden-cache", `garden-cache`),
		heroku("addons:wait garden-cache -a garden", ``),
		heroku("addons -a garden", `(?s)garden-db.*DATABASE.*garden-cache.*REDIS`),
		heroku("addons", `garden-db`),
		heroku("addons:info garden-db", `(?s)garden-db.*Essential 0|essential-0`),
		heroku("addons:attach garden-db --as MIRROR -a garden", `MIRROR`),
		heroku("config:get MIRROR_URL -a garden", `^postgres://`),
		heroku("addons:detach MIRROR -a garden", `done`),
		heroku("addons:attach garden-cache --as READER --credential readonly -a garden", `READER`),
		heroku("config:get READER_URL -a garden", `^rediss://readonly:`),
		heroku("addons:detach READER -a garden", `done`),
		heroku("addons:upgrade garden-cache heroku-redis:premium-0 -a garden", `premium-0`),
		heroku("addons:rename garden-cache garden-redis", `garden-redis`),
		heroku("addons:open garden-db -a garden --show-url", `http`),
		heroku("addons:docs heroku-redis --show-url", `heroku-redis`),

		heroku("pg:info -a garden", `(?s)DATABASE_URL.*Plan:.*Connections:`),
		heroku("pg:wait -a garden", ``),
		{args: []string{"pg:psql", "-a", "garden", "-c", "create table stones (n int); insert into stones values (7); select n*6 from stones"}, want: `42`},
		heroku("pg:credentials -a garden", `default`),
		heroku("pg:credentials:url -a garden", `postgres://`),
		heroku("pg:credentials:rotate -a garden --confirm garden", `(?i)rotat`),
		{args: []string{"pg:psql", "-a", "garden", "-c", "select count(*) from stones"}, want: `1`},
		heroku("pg:reset -a garden --confirm garden", `done`),
		{args: []string{"pg:psql", "-a", "garden", "-c", "select count(*) from stones"}, exit: 1, want: `stones`},
		heroku("addons:create heroku-postgresql:essential-0 -a garden --wait --name garden-db-two", `HEROKU_POSTGRESQL_[A-Z]+_URL`),
		heroku("pg:promote garden-db-two -a garden", `(?s)DATABASE_URL.*done`),
		heroku("addons:destroy garden-db -a garden --confirm garden", `destroyed|done`),

		heroku("redis:info -a garden", `(?s)garden-redis.*Plan`),
		heroku("redis:credentials -a garden", `rediss://`),
		heroku("redis:timeout -a garden --seconds 200", `200`),
		heroku("redis:maxmemory -a garden --policy allkeys-lru", `allkeys-lru`),
		{args: []string{"redis:cli", "-a", "garden", "--confirm", "garden"}, in: "SET stone 7\nGET stone\nQUIT\n", want: `7`},
		heroku("redis:wait -a garden", ``),

		heroku("apps:rename pond -a garden", `pond`),
		{args: []string{"# the renamed app answers"}, does: visit, want: `hello`},
		heroku("apps:destroy -a pond --confirm pond", `done`),
		{args: []string{"info", "-a", "pond"}, exit: 2, want: `Couldn't find that app`},
		{args: []string{"# login with the token, whoami, logout"}, does: login, want: `(?s)Logged in.*@localhost.*done`},
	}
}

// repository makes the app that the day is about: a web server, and a release
// phase that has something to say.
func (d *day) repository(t *testing.T) {
	for name, text := range app() {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range []string{"init -q -b main", "add .", "-c user.name=gardener -c user.email=gardener@localhost commit -q -m first"} {
		if out, err := d.in(exec.Command("git", strings.Fields(args)...)).CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args, err, out)
		}
	}
}

func (d *day) in(cmd *exec.Cmd) *exec.Cmd {
	cmd.Dir = d.dir
	return cmd
}

// do runs one step.
func (d *day) do(t *testing.T, s step) (string, int) {
	t.Helper()
	if s.does != nil {
		return s.does(t, d)
	}
	cmd := d.Command(t, d.dir, append([]string{"heroku"}, s.args...)...)
	if s.in == "tty" {
		cmd.Env = append(cmd.Env, "TERM=xterm", "COLUMNS=101", "LINES=33")
		return d.answer(t, cmd)
	}
	cmd.Stdin = strings.NewReader(s.in)
	out, err := cmd.CombinedOutput()
	return string(out), exitCode(t, err)
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

// push pushes with git itself, in the environment that niwa env prints.
func push(t *testing.T, d *day) (string, int) {
	cmd := d.in(exec.Command("git", "push", "heroku", "main"))
	cmd.Env = d.Environment(t)
	out, err := cmd.CombinedOutput()
	return string(out), exitCode(t, err)
}

// visit asks whatever app there is for its page.
func visit(t *testing.T, d *day) (string, int) {
	var apps []struct{ Name string }
	d.Call(t, "GET", "/apps", nil, &apps)
	_, body, err := d.Get(apps[0].Name, "/")
	if err != nil {
		t.Fatal(err)
	}
	return body, 0
}

// edit runs config:edit with an editor that changes one line.
func edit(t *testing.T, d *day) (string, int) {
	editor := filepath.Join(platformtest.Dir(t), "editor")
	if err := os.WriteFile(editor, []byte("#!/bin/sh\nsed -i 's/^GREETING=.*/GREETING=\"good evening\"/' \"$1\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := d.Command(t, d.dir, "heroku", "config:edit", "-a", "garden")
	cmd.Env = append(cmd.Env, "EDITOR="+editor, "VISUAL="+editor)
	return d.answer(t, cmd, "with these values?", "y")
}

// answer runs a command in a terminal and answers its prompts.
func (d *day) answer(t *testing.T, cmd *exec.Cmd, promptsAndAnswers ...string) (string, int) {
	t.Helper()
	term, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: 101, Rows: 33})
	if err != nil {
		t.Fatal(err)
	}
	defer term.Close()
	var out syncBuffer
	copied := make(chan struct{})
	go func() { out.copyFrom(term); close(copied) }()
	for i := 0; i < len(promptsAndAnswers); i += 2 {
		prompt := promptsAndAnswers[i]
		platformtest.Await(t, "the prompt "+prompt, func() (string, bool) { return out.String(), strings.Contains(out.String(), prompt) })
		if _, err := term.WriteString(promptsAndAnswers[i+1] + "\r"); err != nil {
			t.Fatal(err)
		}
	}
	code := exitCode(t, cmd.Wait())
	<-copied
	return out.String(), code
}

// open opens the app in a browser that only notes the address.
func open(t *testing.T, d *day) (string, int) {
	dir := platformtest.Dir(t)
	browser, noted := filepath.Join(dir, "browser"), filepath.Join(dir, "noted")
	if err := os.WriteFile(browser, []byte("#!/bin/sh\nprintf %s \"$1\" > "+noted+".part && mv "+noted+".part "+noted+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := d.Command(t, d.dir, "heroku", "open", "-a", "garden")
	cmd.Env = append(cmd.Env, "BROWSER="+browser)
	out, err := cmd.CombinedOutput()
	if code := exitCode(t, err); code != 0 {
		return string(out), code
	}
	platformtest.Await(t, "the browser", func() (string, bool) { _, err := os.Stat(noted); return string(out), err == nil })
	url, err := os.ReadFile(noted)
	if err != nil {
		t.Fatal(err)
	}
	return string(url), 0
}

// tail follows the log until a request that is made meanwhile shows up.
func tail(t *testing.T, d *day) (string, int) {
	cmd := d.Command(t, d.dir, "heroku", "logs", "--tail", "-a", "garden")
	var out syncBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	platformtest.Await(t, "the log to be followed", func() (string, bool) { return out.String(), strings.Contains(out.String(), "heroku[") })
	platformtest.Await(t, "the request in the log", func() (string, bool) {
		if _, _, err := d.Get("garden", "/tailed"); err != nil {
			t.Fatal(err)
		}
		return out.String(), strings.Contains(out.String(), `path="/tailed"`)
	})
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	return out.String(), 0
}

// detached waits for what the detached dyno printed.
func detached(t *testing.T, d *day) (string, int) {
	var seen string
	platformtest.Await(t, "the detached dyno's line", func() (string, bool) {
		seen, _ = d.do(t, step{args: []string{"logs", "-a", "garden", "-s", "app", "-d", "run"}})
		return seen, strings.Contains(seen, "]: detached")
	})
	return seen, 0
}

// login logs in as somebody would who has no HEROKU_API_KEY, and out again.
func login(t *testing.T, d *day) (string, int) {
	home := platformtest.Dir(t)
	var env []string
	for _, v := range d.Environment(t) {
		if !strings.HasPrefix(v, "HEROKU_API_KEY=") && !strings.HasPrefix(v, "HOME=") {
			env = append(env, v)
		}
	}
	env = append(env, "HOME="+home, "HEROKU_NETRC_WRITE=true", "TERM=xterm")
	var all strings.Builder
	cmd := d.in(exec.Command("heroku", "login", "-i"))
	cmd.Env = env
	out, code := d.answer(t, cmd, "Email", "root@localhost", "Password", d.Token)
	if code != 0 {
		return out, code
	}
	all.WriteString(out)
	for _, args := range [][]string{{"whoami"}, {"logout"}} {
		cmd := d.in(exec.Command("heroku", args...))
		cmd.Env = env
		text, err := cmd.CombinedOutput()
		all.Write(text)
		if code := exitCode(t, err); code != 0 {
			return all.String(), code
		}
	}
	return all.String(), 0
}

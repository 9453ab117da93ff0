package platformtest_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"niwa/platform/build/image/imagetest"
	"niwa/platform/docker"
	"niwa/platform/platformtest"
	"niwa/platform/platformtest/need"
)

// TestAnAppLivesInContainers takes an app of buildpacks through its life with
// the official client, in containers, and a kill of niwa on the way. Node.js
// is what an app brings along there.
func TestAnAppLivesInContainers(t *testing.T) {
	for _, tool := range []string{"heroku", "git", "node", "npm"} {
		need.Tool(t, tool)
	}
	engine := imagetest.Engine(t)
	binary, data := platformtest.Build(t), platformtest.Dir(t)
	d := &day{platformtest.Up(t, binary, data, "--runtime", "docker"), platformtest.Dir(t)}
	engine.Platform = platformOf(t, data)
	d.write(t, map[string]string{
		"package.json": `{"name": "garden", "version": "1.0.0", "engines": {"node": ">=18"}, "scripts": {"start": "node web.js"}}`,
		"web.js": `const http = require("http"), os = require("os");
http.createServer((req, res) => { console.log("asked for " + req.url); res.end(process.env.GREETING + " from " + os.userInfo().username + "\n"); })
    .listen(process.env.PORT, () => console.log("ready"));
`,
	})
	d.commit(t, "init -q -b main")

	began := ""
	steps := []step{
		heroku("create garden", `garden.git`),
		heroku("config:set GREETING=hello -a garden", `GREETING`),
		{args: []string{"git push heroku main"}, does: push, want: `(?s)remote: -----> Node.js app detected.*remote: -----> Build succeeded.*deployed to niwa`},
		{args: []string{"# the app answers"}, does: serves("/", "hello from dyno"), want: `^hello from dyno\n$`},
		{args: []string{"# and is heard"}, does: logged("app[web.1]: asked for /"), want: `app\[web.1\]: ready`},
		{args: []string{"run", "-a", "garden", "--", "command -v node; npm --version; pwd; touch /x; cat /etc/os-release"},
			want: `(?s)/app/.heroku/node/bin/node\s+\d+\.\d+\.\d+\s+/app\s.*Read-only file system.*ID=debian`},
		heroku("ps:scale web=2 -a garden", `web at 2:`),
		{args: []string{"# both are up"}, does: func(t *testing.T, d *day) (string, int) {
			d.App("garden").Settled(t, 2)
			began = containersOf(t, engine)
			return began, 0
		}, want: `^2 containers`},
		{args: []string{"# niwa is killed, and its containers are taken back"}, does: func(step *testing.T, d *day) (string, int) {
			d.Kill(step)
			d.Program = platformtest.Up(t, binary, data, "--runtime", "docker") // until the end of the test
			d.App("garden").Settled(step, 2)
			if now := containersOf(t, engine); now != began {
				step.Errorf("there were %s, and now are %s", began, now)
			}
			return "", 0
		}},
		{args: []string{"# they serve as before"}, does: serves("/", "hello from dyno"), want: `^hello from dyno\n$`},
		heroku("ps:restart -a garden", `done`),
		{args: []string{"# and after a restart"}, does: serves("/", "hello from dyno"), want: `^hello from dyno\n$`},
		{args: []string{"status"}, does: func(t *testing.T, d *day) (string, int) { return d.Niwa(t, d.dir, "status") }, want: `runtime +docker: Docker .* answers`},
		heroku("apps:destroy garden --confirm garden", `done`),
		{args: []string{"# nothing of it is left"}, does: func(t *testing.T, d *day) (string, int) {
			platformtest.Await(t, "no containers and no networks", func() (string, bool) {
				left := containersOf(t, engine)
				return left, strings.HasPrefix(left, "0 containers and 0 networks")
			})
			return "", 0
		}},
	}
	for _, s := range steps {
		name := strings.ReplaceAll(strings.Join(s.args, " "), "/", "_")
		if !t.Run(name, func(t *testing.T) {
			output, exit := d.do(t, s)
			if exit != s.exit || !regexp.MustCompile(s.want).MatchString(output) {
				t.Errorf("exit status %d, want %d; output must match %q:\n%s", exit, s.exit, s.want, output)
			}
		}) {
			t.FailNow()
		}
	}
}

// containersOf names what a platform has in the engine.
func containersOf(t *testing.T, engine *docker.Engine) string {
	t.Helper()
	containers, err := engine.ContainerList(t.Context(), container.ListOptions{All: true, Filters: engine.Mine()})
	if err != nil {
		t.Fatal(err)
	}
	networks, err := engine.NetworkList(t.Context(), network.ListOptions{Filters: engine.Mine()})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, c := range containers {
		ids = append(ids, c.ID[:12])
	}
	slices.Sort(ids)
	return fmt.Sprintf("%d containers and %d networks: %v", len(containers), len(networks), ids)
}

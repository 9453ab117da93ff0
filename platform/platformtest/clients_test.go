package platformtest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"niwa/platform/platformtest"
	"niwa/platform/platformtest/need"
)

// TestOtherClientsDriveTheSameLifeCycle runs two clients that nobody here
// wrote. Where they are installed is named by NIWA_TEST_NODE_PATH (a
// node_modules folder) and NIWA_TEST_PYTHON (an interpreter that has heroku3).
func TestOtherClientsDriveTheSameLifeCycle(t *testing.T) {
	for _, tool := range []string{"node", "npm", "redis-server"} {
		need.Tool(t, tool)
	}
	p := platformtest.Up(t, platformtest.Build(t), platformtest.Dir(t))
	tarball := source(t)
	for name, command := range map[string]func(*testing.T) *exec.Cmd{
		"heroku-client from npm": func(t *testing.T) *exec.Cmd {
			modules := os.Getenv("NIWA_TEST_NODE_PATH")
			if modules == "" {
				need.Reason(t, "needs heroku-client: npm install heroku-client, and NIWA_TEST_NODE_PATH")
			}
			cmd := exec.Command("node", script("lifecycle.js"), p.API, tarball)
			cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
			return cmd
		},
		"heroku3 from PyPI": func(t *testing.T) *exec.Cmd {
			python := os.Getenv("NIWA_TEST_PYTHON")
			if python == "" {
				need.Reason(t, "needs heroku3: pip install heroku3, and NIWA_TEST_PYTHON")
			}
			cmd := exec.Command(python, script("lifecycle.py"), p.API, filepath.Join(p.Data, "ca", "ca.pem"), tarball)
			cmd.Env = os.Environ()
			return cmd
		},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := command(t)
			cmd.Env = append(cmd.Env, "HEROKU_API_KEY="+p.Token)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "life cycle complete") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func script(name string) string {
	return filepath.Join(platformtest.Root(), "platform", "platformtest", "testdata", "clients", name)
}

// source packs a small Node.js app.
func source(t *testing.T) string {
	t.Helper()
	dir := platformtest.Dir(t)
	for name, text := range app() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tarball := filepath.Join(platformtest.Dir(t), "source.tgz")
	if out, err := exec.Command("tar", "czf", tarball, "-C", dir, ".").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	return tarball
}

// app is a web server, and a release phase that has something to say.
func app() map[string]string {
	return map[string]string{
		"package.json": `{"name": "garden", "version": "1.0.0", "private": true}`,
		"Procfile":     "web: node server.js\nrelease: echo planting\n",
		"server.js": `const http = require('http')
http.createServer((req, res) => { console.log('visited', req.url); res.end(process.env.GREETING) }).listen(process.env.PORT)
`,
	}
}

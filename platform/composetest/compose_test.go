package composetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"niwa/platform/client"
	"niwa/platform/platformtest"
	"niwa/platform/platformtest/need"
	"niwa/platform/platformtest/standin"
)

// stack is the composed stack, in images that stand in for the public ones.
type stack struct {
	compose []string // the command
	env     []string
	ports   [3]string // of the API, the router and its TLS
}

func newStack(t *testing.T) *stack {
	t.Helper()
	standin.Engine(t)
	s := &stack{compose: compose(t)}
	images := standin.Make(t)
	for i := range s.ports {
		s.ports[i] = freePort(t)
	}
	s.env = append(os.Environ(),
		"NIWA_IMAGE="+niwaImage(t, images.Tools), "POSTGRES_IMAGE="+images.Postgres, "REDIS_IMAGE="+images.Redis,
		"NIWA_API_PORT="+s.ports[0], "NIWA_ROUTER_PORT="+s.ports[1], "NIWA_ROUTER_TLS_PORT="+s.ports[2],
		"POSTGRES_PASSWORD="+rand.Text(), "REDIS_PASSWORD="+rand.Text(),
		"COMPOSE_PROJECT_NAME=niwatest"+strings.ToLower(rand.Text()[:8]))
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.try("logs", "--no-color"))
		}
		if said, err := s.try("down", "--volumes", "--timeout", "20"); err != nil {
			t.Errorf("down: %v\n%s", err, said)
		}
	})
	return s
}

// compose finds Compose, of whichever generation.
func compose(t *testing.T) []string {
	t.Helper()
	if exec.Command("docker", "compose", "version").Run() == nil {
		return []string{"docker", "compose"}
	}
	return []string{need.Tool(t, "docker-compose")}
}

// niwaImage makes the image of this niwa.
func niwaImage(t *testing.T, base string) string {
	t.Helper()
	dir := filepath.Dir(platformtest.Build(t))
	recipe := "FROM " + base + "\nCOPY niwa /usr/local/bin/niwa\nENTRYPOINT [\"niwa\"]\nCMD [\"up\"]\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(recipe), 0o644); err != nil {
		t.Fatal(err)
	}
	name := "niwa-test/niwa:" + strings.ToLower(rand.Text())
	build := exec.Command("docker", "build", "-q", "-t", name, dir)
	build.Env = append(os.Environ(), "DOCKER_BUILDKIT=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("docker", "rmi", name).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	return name
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// try runs a command of Compose.
func (s *stack) try(args ...string) (string, error) {
	cmd := exec.Command(s.compose[0], append(s.compose[1:], args...)...)
	cmd.Dir, cmd.Env = platformtest.Root(), s.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *stack) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.try(args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", args, err, out)
	}
	return out
}

// file reads a file of niwa's.
func (s *stack) file(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(s.run(t, "exec", "-T", "niwa", "cat", "/var/lib/niwa/"+name))
}

func TestTheComposedStackServesAnAppThatWasPushed(t *testing.T) {
	s := newStack(t)
	s.run(t, "up", "--no-build", "--detach")
	platformtest.Await(t, "niwa in its container", func() (string, bool) {
		said, err := s.try("exec", "-T", "niwa", "niwa", "status")
		return said, err == nil
	})
	token := s.file(t, "token")
	c := client.New("http://localhost:"+s.ports[0], token)
	if _, err := c.CreateApp(t.Context(), "garden"); err != nil {
		t.Fatal(err)
	}
	for _, plan := range []string{"heroku-postgresql", "heroku-redis"} {
		addon, err := c.CreateAddon(t.Context(), "garden", plan)
		if err != nil {
			t.Fatal(err)
		}
		platformtest.Await(t, plan, func() (string, bool) {
			addon, err = c.Addon(t.Context(), addon.ID)
			return fmt.Sprint(addon.State, err), addon.State == "provisioned"
		})
	}
	s.push(t, "garden", token)
	platformtest.Await(t, "the app's answer", func() (string, bool) {
		answer := s.get(t, "garden")
		return answer, strings.HasPrefix(answer, "200 postgres ")
	})
	s.mayNotTellSecrets(t)
}

// push pushes the app of testdata from this machine.
func (s *stack) push(t *testing.T, app, token string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "app")
	if err := os.CopyFS(dir, os.DirFS("testdata/app")); err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, []byte(s.file(t, "ca/ca.pem")), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"add", "."}, {"commit", "-q", "-m", "first"},
		{"push", fmt.Sprintf("https://niwa:%s@localhost:%s/%s.git", token, s.ports[0], app), "main"},
	} {
		git := exec.CommandContext(ctx, need.Tool(t, "git"), append([]string{"-c", "user.name=t", "-c", "user.email=t@t"}, args...)...)
		git.Dir = dir
		git.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_TERMINAL_PROMPT=0", "GIT_SSL_CAINFO="+ca, "no_proxy=localhost")
		if out, err := git.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args[0], err, out)
		}
	}
}

// get asks an app for its page, through the router.
func (s *stack) get(t *testing.T, app string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+s.ports[1]+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = app + ".localhost"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(resp.StatusCode, " ", string(body))
}

// mayNotTellSecrets looks where everybody can look: what the containers print,
// and the command lines of their processes.
func (s *stack) mayNotTellSecrets(t *testing.T) {
	t.Helper()
	said := s.run(t, "logs", "--no-color") + s.run(t, "top")
	for _, v := range s.env {
		if name, secret, _ := strings.Cut(v, "="); name == "POSTGRES_PASSWORD" || name == "REDIS_PASSWORD" {
			if strings.Contains(said, secret) {
				t.Errorf("%s is told", name)
			}
		}
	}
}

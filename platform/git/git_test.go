package git

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"niwa/platform"
	"niwa/platform/pki"
	"niwa/platform/platformtest/need"
	"niwa/platform/proc"
)

const patience = 60 * time.Second

// world is a server with two apps, shop and blog, and a working copy of a
// client.
type world struct {
	t      *testing.T
	server *Server
	url    string // https://127.0.0.1:PORT
	ca     string
	work   string // the client's working copy
	log    *bytes.Buffer
}

var apps = map[string]platform.App{
	"shop": {ID: "0190f5a0-0000-7000-8000-000000000001", Name: "shop"},
	"blog": {ID: "0190f5a0-0000-7000-8000-000000000002", Name: "blog"},
}

func newWorld(t *testing.T, push func(context.Context, Push, io.Writer) error) *world {
	t.Helper()
	need.Tool(t, "git")
	ca, err := pki.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	procs, err := proc.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, ca: ca.CertFile(), log: &bytes.Buffer{}}
	w.server = New(Config{
		Dir:   filepath.Join(t.TempDir(), "repos"),
		Procs: procs,
		Push:  push,
		Log:   slog.New(slog.NewTextHandler(w.log, nil)),
		App: func(_ context.Context, name string) (platform.App, error) {
			if app, ok := apps[name]; ok {
				return app, nil
			}
			return platform.App{}, platform.Missing("app")
		},
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.url = "https://" + ln.Addr().String()
	web := fiber.New(fiber.Config{DisableStartupMessage: true, StreamRequestBody: true, BodyLimit: 1 << 20, ReadTimeout: 30 * time.Second})
	w.server.Mount(web)
	served := make(chan error, 1)
	go func() { served <- web.Listener(tls.NewListener(ln, ca.ServerConfig(nil))) }()
	t.Cleanup(func() {
		w.server.Close()
		if n := len(w.server.running); n != 0 {
			t.Errorf("%d processes left", n)
		}
		if err := web.ShutdownWithTimeout(5 * time.Second); err != nil {
			t.Logf("shutdown: %v", err)
		}
		<-served
	})
	w.work = w.init(map[string]string{"Procfile": "web: ./server\n", "a dir/file": "one\n"})
	return w
}

// init makes a working copy with one commit.
func (w *world) init(files map[string]string) string {
	w.t.Helper()
	dir := w.t.TempDir()
	w.must(dir, "init", "-q", "-b", "main")
	w.commit(dir, "first commit", files)
	w.must(dir, "remote", "add", "heroku", w.url+"/shop.git")
	return dir
}

func (w *world) commit(dir, message string, files map[string]string) string {
	w.t.Helper()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	w.must(dir, "add", "-A")
	w.must(dir, "commit", "-q", "--allow-empty", "-m", message)
	return strings.TrimSpace(w.must(dir, "rev-parse", "HEAD"))
}

// client is a git as a user runs it.
func (w *world) client(dir string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	w.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.t.TempDir(), "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_SSL_CAINFO=" + w.ca, "no_proxy=*",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
	}
	return cmd
}

func (w *world) try(dir string, args ...string) (string, error) {
	w.t.Helper()
	out, err := w.client(dir, args...).CombinedOutput()
	return string(out), err
}

func (w *world) must(dir string, args ...string) string {
	w.t.Helper()
	out, err := w.try(dir, args...)
	if err != nil {
		w.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// head is the commit of a ref on the server.
func (w *world) head(ref string) string {
	w.t.Helper()
	line, _, _ := strings.Cut(w.must(w.work, "ls-remote", "heroku", ref), "\t")
	return line
}

func contains(t *testing.T, out string, want ...string) {
	t.Helper()
	for _, line := range want {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in\n%s", line, out)
		}
	}
}

// accept is a build that says what it was given.
func accept(_ context.Context, p Push, out io.Writer) error {
	_, err := fmt.Fprintf(out, "-----> Building %s %s\n", p.App.Name, p.Ref)
	return err
}

func TestAPushToMainIsBuiltFromWhatWasPushed(t *testing.T) {
	var got Push
	var files string
	w := newWorld(t, func(ctx context.Context, p Push, out io.Writer) error {
		got = p
		var tar bytes.Buffer
		if err := p.Archive(ctx, &tar); err != nil {
			return err
		}
		list := exec.CommandContext(ctx, "tar", "t")
		list.Stdin = &tar
		names, err := list.Output()
		files = string(names)
		fmt.Fprintln(out, "-----> Building")
		return err
	})
	commit := strings.TrimSpace(w.must(w.work, "rev-parse", "HEAD"))
	out := w.must(w.work, "push", "heroku", "main")
	contains(t, out, "remote: -----> Building", "main -> main")
	if got.App.Name != "shop" || got.Ref != "refs/heads/main" || got.Old != "" || got.New != commit || got.Description != "first commit" {
		t.Errorf("got %+v", got)
	}
	if want := "Procfile\na dir/\na dir/file\n"; files != want {
		t.Errorf("archive holds %q, want %q", files, want)
	}
	if out := w.must(w.work, "push", "heroku", "main"); !strings.Contains(out, "Everything up-to-date") {
		t.Errorf("a second push says\n%s", out)
	}

	next := w.commit(w.work, "second", map[string]string{"Procfile": "web: ./better\n"})
	w.must(w.work, "push", "heroku", "main")
	if got.Old != commit || got.New != next {
		t.Errorf("from %s to %s, want from %s to %s", got.Old, got.New, commit, next)
	}
	if size := w.server.Size(apps["shop"].ID); size < 500 {
		t.Errorf("size %d", size)
	}
	if size := w.server.Size(apps["blog"].ID); size != 0 {
		t.Errorf("size of a repository never used: %d", size)
	}
}

func TestWhatWasPushedCanBeClonedAndFetched(t *testing.T) {
	w := newWorld(t, accept)
	w.must(w.work, "push", "heroku", "main:master")
	for _, version := range []string{"0", "1", "2"} {
		dir := filepath.Join(t.TempDir(), "copy")
		w.must(t.TempDir(), "-c", "protocol.version="+version, "clone", "-q", w.url+"/shop.git", dir)
		if b, err := os.ReadFile(filepath.Join(dir, "Procfile")); err != nil || string(b) != "web: ./server\n" {
			t.Errorf("version %s: %q, %v", version, b, err)
		}
		// A fetch with many haves is sent gzipped.
		w.must(w.work, "checkout", "-q", "main")
		for i := range 40 {
			w.commit(dir, fmt.Sprint("local ", i), nil)
		}
		commit := w.commit(w.work, "for version "+version, nil)
		w.must(w.work, "push", "-q", "heroku", "main:master")
		w.must(dir, "-c", "protocol.version="+version, "fetch", "-q", "origin")
		if got := strings.TrimSpace(w.must(dir, "rev-parse", "origin/master")); got != commit {
			t.Errorf("version %s fetched %s, want %s", version, got, commit)
		}
	}
	out := w.must(t.TempDir(), "clone", w.url+"/blog.git", filepath.Join(t.TempDir(), "empty"))
	contains(t, out, "cloned an empty repository")
}

func TestRemoteLinesArriveWhileTheBuildRuns(t *testing.T) {
	seen := make(chan struct{})
	w := newWorld(t, func(ctx context.Context, p Push, out io.Writer) error {
		fmt.Fprintln(out, "-----> line one")
		select {
		case <-seen:
		case <-ctx.Done():
			return ctx.Err()
		}
		fmt.Fprintln(out, "-----> line two")
		return nil
	})
	cmd := w.client(w.work, "push", "heroku", "main")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	buf := make([]byte, 1024)
	told := false
	for open := true; open; {
		n, err := stderr.Read(buf)
		all.Write(buf[:n])
		if !told && strings.Contains(all.String(), "remote: -----> line one") {
			if strings.Contains(all.String(), "line two") {
				t.Error("line two came before the client had line one")
			}
			close(seen)
			told = true
		}
		open = err == nil
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("push: %v\n%s", err, all.String())
	}
	contains(t, all.String(), "remote: -----> line two")
}

func TestALargePushIsStreamedChunkedAndNot(t *testing.T) {
	w := newWorld(t, accept)
	noise := make([]byte, 30<<20)
	x := uint32(1)
	for i := range noise {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	w.commit(w.work, "noise", map[string]string{"noise": string(noise)})
	for app, how := range map[string][]string{
		"shop": nil, // chunked
		"blog": {"-c", "http.postBuffer=100000000"},
	} {
		out := w.must(w.work, append(how, "push", w.url+"/"+app+".git", "main")...)
		contains(t, out, "-----> Building "+app)
		dir := filepath.Join(t.TempDir(), "copy")
		w.must(t.TempDir(), "clone", "-q", w.url+"/"+app+".git", dir)
		if got, err := os.ReadFile(filepath.Join(dir, "noise")); err != nil || !bytes.Equal(got, noise) {
			t.Errorf("%s: %d bytes came back, %v", app, len(got), err)
		}
	}
}

func TestAPushOverTheLimitIsRefusedWithTheReason(t *testing.T) {
	w := newWorld(t, accept)
	w.server.maxPush = 100 << 10
	noise := strings.Builder{}
	for i := range 1 << 20 {
		fmt.Fprintf(&noise, "%x", i*i*i)
	}
	w.commit(w.work, "noise", map[string]string{"noise": noise.String()})
	out, err := w.try(w.work, "push", "heroku", "main")
	if err == nil {
		t.Errorf("taken:\n%s", out)
	}
	contains(t, out, "pack exceeds maximum allowed size")
	if got := w.head("main"); got != "" {
		t.Errorf("main is %s", got)
	}
}

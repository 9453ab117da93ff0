package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"niwa/platform/platformtest/need"
)

// scripted is a tree of built-in buildpacks of which one detects everything
// and compiles as told, in the folder of the app.
func scripted(compile string) func(*Config) {
	return func(c *Config) {
		script := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte("#!/bin/bash\n" + text)} }
		c.Buildpacks = fstest.MapFS{
			"procfile/bin/detect":  script("echo Scripted"),
			"procfile/bin/compile": script("cd \"$1\" || exit\n" + compile),
		}
	}
}

func TestAppOfAProcfileIsPackedAsItIs(t *testing.T) {
	b := newBench(t, nil)
	files := []entry{
		{name: "Procfile", text: "web: ./serve $PORT\nrelease: ./migrate\n"},
		{name: "serve", text: "#!/bin/sh\n", mode: 0o755},
		{name: "docs/book.pdf", text: "long"},
		{name: ".slugignore", text: "*.pdf\n"},
	}
	result, slug := b.build(b.request(tarOf(t, files...)))
	want := map[string]string{"web": "./serve $PORT", "release": "./migrate"}
	if diff := cmp.Diff(want, result.ProcessTypes); diff != "" {
		t.Errorf("process types (-want +got):\n%s", diff)
	}
	if slug["serve"].mode != 0o755 || slug["Procfile"].mode != 0o644 {
		t.Errorf("modes are %o and %o", slug["serve"].mode, slug["Procfile"].mode)
	}
	if _, ok := slug["docs/book.pdf"]; ok {
		t.Error("what .slugignore names is in the slug")
	}
	b.last.has(t, "-----> Deleting 1 files matching .slugignore patterns.\n", "       Procfile declares types -> release, web\n\n-----> Compressing...\n       Done: 1K\n")

	again, _ := b.build(b.request(tarOf(t, files...)))
	if again.Size == 0 {
		t.Error("the second build has no size")
	}
}

// Tools keep absolute paths in their caches.
func TestAnAppIsBuiltInTheSameFolderEachTime(t *testing.T) {
	b := newBench(t, scripted(`echo "$PWD $2" >> "$2/places"; mkdir left; chmod 500 left; cat "$2/places" > places`))
	b.build(b.request(tarOf(t, entry{name: "x"})))
	_, slug := b.build(b.request(tarOf(t, entry{name: "x"})))
	first, second, _ := strings.Cut(strings.TrimSpace(slug["places"].text), "\n")
	if first == "" || first != second {
		t.Errorf("the first build is in %q, the second in %q", first, second)
	}
}

func TestSourceThatIsNoAppIsRejectedWithTheReason(t *testing.T) {
	for name, test := range map[string]struct {
		source io.Reader
		says   string
	}{
		"no language": {tarOf(t, entry{name: "x"}), "No default language could be detected for this app."},
		"hostile":     {tarOf(t, entry{name: "a", typ: '2', link: "/etc"}), `the source cannot be used: a is a link to "/etc"`},
		"mistaken Procfile": {tarOf(t, entry{name: "Procfile", text: "web bin/app"}),
			"the Procfile has a mistake: line 1"},
		"a folder for a Procfile": {tarOf(t, entry{name: "Procfile/x"}, entry{name: "go.mod", text: "module x\n"}), "failed to compile Go app"},
		"a bad .slugignore":       {tarOf(t, entry{name: ".slugignore", text: "!x"}), ".slugignore: line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			if message := b.reject(b.request(test.source)); !strings.Contains(message, test.says) {
				t.Errorf("the error is %q, want %q in it", message, test.says)
			}
		})
	}
}

func TestSlugOverTheLimitIsRejected(t *testing.T) {
	b := newBench(t, func(c *Config) {
		scripted("head -c 3000000 /dev/urandom > big")(c)
		c.Limits.Slug = 1 << 20
	})
	if got, want := b.reject(b.request(tarOf(t, entry{name: "x"}))), "Compiled slug size: more than 1M is too large (max is 1M)."; !strings.HasPrefix(got, want) {
		t.Errorf("the error is %q, want %q", got, want)
	}
}

func TestWhatABuildLeavesIsPackedWithoutFollowingIt(t *testing.T) {
	b := newBench(t, scripted(`
ln -s /etc/passwd passwd
ln -s ../env/SECRET secret
mkfifo pipe
mkdir shut && echo x > shut/x && chmod 500 shut
chmod 4755 tool
ln -s ../env/SECRET Procfile.real
rm -f Procfile && mkfifo ../out/release-0
`))
	req := b.request(tarOf(t, entry{name: "tool", text: "x"}))
	req.Env = map[string]string{"SECRET": "s3cret"}
	_, slug := b.build(req)
	for name, e := range slug {
		if strings.Contains(e.text, "s3cret") || strings.Contains(e.text, "root:") {
			t.Errorf("%s in the slug holds %q", name, e.text)
		}
	}
	if e := slug["passwd"]; e.link != "/etc/passwd" {
		t.Errorf("passwd is packed as %+v", e)
	}
	if _, ok := slug["pipe"]; ok {
		t.Error("the slug has a pipe")
	}
	if e := slug["tool"]; e.mode != 0o755 {
		t.Errorf("a setuid file is packed with mode %o", e.mode)
	}
	if e := slug["shut/x"]; e.text != "x\n" {
		t.Errorf("shut/x is packed as %+v", e)
	}
}

func TestProcfileThatIsAPipeOrALinkOutIsRejected(t *testing.T) {
	for name, compile := range map[string]string{"pipe": "mkfifo Procfile", "link": "ln -s /etc/hostname Procfile", "huge": "head -c 70000 /dev/zero > Procfile"} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, scripted(compile))
			if message := b.reject(b.request(tarOf(t, entry{name: "x"}))); !strings.Contains(message, "the Procfile cannot be read") {
				t.Errorf("the error is %q", message)
			}
		})
	}
}

func TestBuildThatTakesTooLongIsStopped(t *testing.T) {
	b := newBench(t, func(c *Config) {
		scripted(sleeper)(c)
		c.Limits.Time = 2 * time.Second
	})
	message := b.reject(b.request(tarOf(t, entry{name: "x"})))
	if want := "Push rejected, timed out compiling Scripted app (2s)."; !strings.HasPrefix(message, want) {
		t.Errorf("the error is %q, want %q", message, want)
	}
	b.last.has(t, "started\n")
	b.sleeperIsGone()
}

func TestCanceledBuildIsStopped(t *testing.T) {
	b := newBench(t, scripted(sleeper))
	ctx, cancel := context.WithCancel(t.Context())
	req := b.request(tarOf(t, entry{name: "x"}))
	done := make(chan error, 1)
	go func() {
		_, err := b.Build(ctx, req)
		done <- err
	}()
	b.last.waitFor(t, "started\n")
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Build = %v, want that it was canceled", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the build has not ended")
	}
	b.last.has(t, " !     Build canceled\n")
	b.nothingLeft()
	b.sleeperIsGone()
}

// sleeper is a program whose child bears a name that is in its cache too: to
// this process it has another number than to itself.
const sleeper = `read -r name </proc/sys/kernel/random/uuid; echo "$name" > ../cache/name
sh -c 'echo started; sleep 300; :' "$name" & wait`

// sleeperIsGone waits for the end of the process that a build has left.
func (b *bench) sleeperIsGone() {
	b.t.Helper()
	name, err := os.ReadFile(filepath.Join(b.cfg.CacheDir, b.app, "name"))
	if err != nil {
		b.t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		all, err := exec.Command("ps", "-eo", "args").Output()
		if err != nil {
			b.t.Fatal(err)
		}
		if !strings.Contains(string(all), strings.TrimSpace(string(name))) {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("process %s still runs", name)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// meeting lets as many as n meet at an address, and go on together.
func meeting(t *testing.T, n int) (port int) {
	t.Helper()
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { door.Close() })
	go func() {
		var here []net.Conn
		for range n {
			conn, err := door.Accept()
			if err != nil {
				return
			}
			here = append(here, conn)
		}
		for _, conn := range here {
			_, _ = conn.Write([]byte("go\n"))
			conn.Close()
		}
	}()
	return door.Addr().(*net.TCPAddr).Port
}

func TestBuildsOfOneAppTakeTurnsAndThoseOfOthersDoNot(t *testing.T) {
	b := newBench(t, scripted(fmt.Sprintf("echo started; [ -f meet ] || exit 0; exec 3<>/dev/tcp/127.0.0.1/%d; read -r go <&3", meeting(t, 2))))
	// Two apps meet in the middle of their builds.
	errs := make(chan error, 2)
	for _, name := range []string{"a", "b"} {
		req := b.request(tarOf(t, entry{name: "meet", text: name}))
		req.AppID = uuid.NewString()
		go func() {
			_, err := b.Build(t.Context(), req)
			errs <- err
		}()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Errorf("builds of two apps do not run at the same time: %v", err)
		}
	}

	// Of one app, the second says that it waits, and gives up when told to.
	reader, writer := io.Pipe()
	first := b.request(reader)
	go func() {
		_, err := b.Build(t.Context(), first)
		errs <- err
	}()
	b.last.waitFor(t, "Building on")
	second := b.request(tarOf(t, entry{name: "x"}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := b.Build(ctx, second)
		errs <- err
	}()
	b.last.waitFor(t, "-----> Waiting for the running build of this app to finish\n")
	cancel()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Errorf("the waiting build ends with %v", err)
	}
	if _, err := io.Copy(writer, tarOf(t, entry{name: "x"})); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	if err := <-errs; err != nil {
		t.Errorf("the first build ends with %v", err)
	}
}

func TestOneAppsBuildCannotReadAnothers(t *testing.T) {
	need.Root(t)
	b := newBench(t, scripted(`echo "uid $(id -u)"; cat "$3/TARGET" | while read -r path; do cat "$path" && echo "read $path"; done; ls ../.. && echo "listed the builds"; ls ../../../cache && echo "listed the caches"; exit 0`))
	other := uuid.NewString()
	secret := filepath.Join(b.cfg.Dir, other, "env/SECRET")
	cache := filepath.Join(b.cfg.CacheDir, other, "file")
	for _, path := range []string{secret, cache} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("s3cret"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// A running build of the other app, as the builder makes it.
	if err := os.RemoveAll(filepath.Join(b.cfg.Dir, other)); err != nil {
		t.Fatal(err)
	}
	j, err := b.open(Request{ID: other, AppID: other, UID: b.uid + 1, Env: map[string]string{"SECRET": "s3cret"}}, newOutput(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	if err := j.handOver(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(b.cfg.Dir, 0o711), os.Chmod(b.cfg.CacheDir, 0o711)); err != nil {
		t.Fatal(err)
	}
	req := b.request(tarOf(t, entry{name: "x"}))
	req.Env = map[string]string{"TARGET": fmt.Sprintf("%s\n%s\n", secret, filepath.Join(b.cfg.Dir, other, "cache/file"))}
	if _, err := b.Build(t.Context(), req); err != nil {
		t.Fatalf("Build: %v\n%s", err, b.last)
	}
	b.last.has(t, fmt.Sprintf("uid %d\n", b.uid))
	for _, leak := range []string{"read /", "s3cret", "listed"} {
		if strings.Contains(b.last.String(), leak) {
			t.Errorf("a build can reach another's folder:\n%s", b.last)
		}
	}
	req = b.request(tarOf(t, entry{name: "x"}))
	req.UID = 0
	if _, err := b.Build(t.Context(), req); err == nil || !strings.Contains(err.Error(), "do not run as root") {
		t.Errorf("a build as root ends with %v", err)
	}
}

func TestCleanRemovesWhatADeadNiwaLeft(t *testing.T) {
	b := newBench(t, nil)
	if err := b.Clean(t.Context()); err != nil {
		t.Errorf("Clean of nothing: %v", err)
	}
	shut := filepath.Join(b.cfg.Dir, uuid.NewString(), "cache/mod")
	if err := os.MkdirAll(shut, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(shut, "x"), nil, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(shut, 0o500); err != nil {
		t.Fatal(err)
	}
	if err := b.Clean(t.Context()); err != nil {
		t.Errorf("Clean: %v", err)
	}
	b.nothingLeft()
}

func TestIdsThatAreNoneNeverBecomePaths(t *testing.T) {
	b := newBench(t, nil)
	for _, id := range []string{"", "..", "../x", "urn:uuid:" + b.app, strings.ToUpper(uuid.NewString()) + "/"} {
		req := b.request(tarOf(t, entry{name: "x"}))
		req.ID = id
		if _, err := b.Build(t.Context(), req); err == nil {
			t.Errorf("a build called %q runs", id)
		}
		if err := b.PurgeCache(t.Context(), id); err == nil {
			t.Errorf("the cache of an app called %q can be purged", id)
		}
	}
	req := b.request(tarOf(t, entry{name: "x"}))
	req.Env = map[string]string{"../x": ""}
	if _, err := b.Build(t.Context(), req); err == nil {
		t.Error("a config var can be called ../x")
	}
}

func TestSizesArePrintedAsHerokuDoes(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0K", 1: "1K", 1024: "1K", 980 << 10: "980K", 12<<20 + 300<<10: "12.3M", 500 << 20: "500M", 3 << 29: "1.5G"} {
		if got := sizeText(bytes); got != want {
			t.Errorf("%d bytes are %s, want %s", bytes, got, want)
		}
	}
}

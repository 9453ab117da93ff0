package image

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"niwa/platform/build/image/imagetest"
)

// bench is a Builder with an app to build for; what it made goes with the test.
type bench struct {
	*Builder
	t   *testing.T
	app string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{New(imagetest.Engine(t)), t, uuid.NewString()}
	t.Cleanup(func() {
		made, err := b.List(context.Background())
		if err == nil {
			err = b.Remove(context.Background(), made...)
		}
		if err == nil {
			made, err = b.List(context.Background())
		}
		if err != nil || len(made) > 0 {
			t.Errorf("left behind: %v, %v", made, err)
		}
	})
	return b
}

// base is an image with the programs of busybox.
func (b *bench) base() string { return imagetest.Base(b.t, b.engine) }

// source is a folder of files.
func source(t *testing.T, files map[string]string) *os.Root {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// build builds the Dockerfile of a source and returns what was said.
func (b *bench) build(root *os.Root, change ...func(*Request)) (Image, string, error) {
	b.t.Helper()
	var said bytes.Buffer
	req := Request{App: b.app, Build: uuid.NewString(), Name: "web", Source: root, Dockerfile: "Dockerfile", Output: &said}
	for _, f := range change {
		f(&req)
	}
	i, err := b.Build(b.t.Context(), req)
	return i, said.String(), err
}

// run runs an image and returns what it prints.
func (b *bench) run(image string, command ...string) string {
	b.t.Helper()
	ctx := b.t.Context()
	c, err := b.engine.ContainerCreate(ctx, &container.Config{Image: image, Cmd: command, Labels: b.engine.Labels()}, nil, nil, nil, "")
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() {
		if err := b.engine.ContainerRemove(context.Background(), c.ID, container.RemoveOptions{Force: true}); err != nil {
			b.t.Error(err)
		}
	}()
	attached, err := b.engine.ContainerAttach(ctx, c.ID, container.AttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		b.t.Fatal(err)
	}
	defer attached.Close()
	if err := b.engine.ContainerStart(ctx, c.ID, container.StartOptions{}); err != nil {
		b.t.Fatal(err)
	}
	var out strings.Builder
	if _, err := stdcopy.StdCopy(&out, &out, attached.Reader); err != nil {
		b.t.Fatal(err)
	}
	return out.String()
}

func fault(t *testing.T, err error, want string) {
	t.Helper()
	var f Fault
	if !errors.As(err, &f) || !strings.Contains(f.Error(), want) {
		t.Errorf("got the error %v, want the fault %s", err, want)
	}
}

func TestAStaticProgramIsAnImage(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	program := filepath.Join(dir, "app")
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\nfunc main() { println(\"hello\") }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-o", program, filepath.Join(dir, "main.go"))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := root.WriteFile("Dockerfile", []byte("FROM scratch\nCOPY app /app\nCMD [\"/app\"]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	i, said, err := b.build(root)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if info, err := os.Stat(program); err != nil || i.Size < info.Size() || i.Command != "/app" || !strings.HasPrefix(i.ID, "sha256:") {
		t.Errorf("got %+v, %v", i, err)
	}
	if !strings.Contains(said, " : COPY app /app\n") {
		t.Errorf("said %s", said)
	}
	if out := b.run(i.ID); out != "hello\n" {
		t.Errorf("it prints %q", out)
	}
}

func TestTheContextIsTheFolderOfTheDockerfileWithoutWhatIsIgnored(t *testing.T) {
	b := newBench(t)
	root := source(t, map[string]string{
		"outside":                "",
		"web/Dockerfile":         "FROM " + b.base() + "\nARG GREETING\nRUN echo $GREETING > /greeting\nWORKDIR /app\nCOPY . .\n",
		"web/.dockerignore":      "# not these\n*.log\nnode_modules\n!node_modules/keep\nDockerfile\n.dockerignore\n",
		"web/a.txt":              "",
		"web/a.log":              "",
		"web/sub/b.log":          "",
		"web/node_modules/x/y":   "",
		"web/node_modules/keep":  "",
		"web/node_modules/keep2": "",
	})
	if err := root.Symlink("a.txt", "web/link"); err != nil {
		t.Fatal(err)
	}
	if err := root.Chmod("web/a.txt", 0o755); err != nil {
		t.Fatal(err)
	}
	i, said, err := b.build(root, func(r *Request) {
		r.Dockerfile, r.Args = "web/Dockerfile", map[string]string{"GREETING": "good day"}
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if diff := cmp.Diff(".\n./a.txt\n./link\n./node_modules\n./node_modules/keep\n./sub\n./sub/b.log\ngood day\n", b.run(i.ID, "sh", "-c", "find . | sort; cat /greeting")); diff != "" {
		t.Error(diff)
	}
	if out := b.run(i.ID, "sh", "-c", "ls -l a.txt"); !strings.HasPrefix(out, "-rwxr-xr-x") {
		t.Errorf("the mode is not kept: %s", out)
	}
}

func TestAStageIsATarget(t *testing.T) {
	b := newBench(t)
	root := source(t, map[string]string{"Dockerfile": "FROM scratch AS a\nCMD [\"/a\"]\nFROM scratch\nCMD [\"/b\"]\n"})
	for target, want := range map[string]string{"a": "/a", "": "/b"} {
		i, said, err := b.build(root, func(r *Request) { r.Target = target })
		if err != nil || i.Command != want {
			t.Errorf("target %q runs %q, %v\n%s", target, i.Command, err, said)
		}
	}
	_, _, err := b.build(root, func(r *Request) { r.Target = "c" })
	fault(t, err, "target")
}

func TestAFaultIsToldFromAFailure(t *testing.T) {
	b := newBench(t)
	base := b.base()
	for name, test := range map[string]struct{ dockerfile, want, said string }{
		"a command that fails":    {"FROM " + base + "\nRUN echo dying; echo dead >&2; exit 3\n", "returned a non-zero code: 3", "dead\n"},
		"an unknown instruction":  {"FROM " + base + "\nRUN true\nRUNN x\n", "line 3: unknown instruction: RUNN", ""},
		"a file that is not sent": {"FROM scratch\nCOPY ../../etc/passwd /\n", "COPY failed", ""},
		"an empty Dockerfile":     {"", "cannot be empty", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, said, err := b.build(source(t, map[string]string{"Dockerfile": test.dockerfile}))
			fault(t, err, test.want)
			if !strings.Contains(said, test.said) || strings.Contains(said, "\x1b") {
				t.Errorf("said %s", said)
			}
		})
	}
	_, _, err := b.build(source(t, nil))
	fault(t, err, "there is no file Dockerfile")
	_, _, err = b.build(source(t, nil), func(r *Request) { r.Dockerfile = "web/Dockerfile" })
	fault(t, err, "there is no folder web")
	_, _, err = b.build(source(t, map[string]string{"Dockerfile": "FROM scratch\n", ".dockerignore": "[\n"}))
	fault(t, err, ".dockerignore")
	if made, err := b.List(t.Context()); err != nil || len(finished(made)) > 0 {
		t.Errorf("failed builds left %v, %v", made, err)
	}
}

func finished(all []Made) (builds []string) {
	for _, made := range all {
		if made.Build != "" {
			builds = append(builds, made.Build)
		}
	}
	return builds
}

// signal is a writer that says when something has been written to it.
type signal struct {
	mu   sync.Mutex
	text string
	want string
	seen chan struct{}
}

func (s *signal) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.Contains(s.text, s.want) {
		return len(p), nil
	}
	if s.text += string(p); strings.Contains(s.text, s.want) {
		close(s.seen)
	}
	return len(p), nil
}

func TestABuildIsLimitedAndEndsWithItsContext(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &signal{want: "\nbegun\n", seen: make(chan struct{})}
	ended := make(chan error, 1)
	root := source(t, map[string]string{"Dockerfile": "FROM " + b.base() + "\nRUN echo; echo begun; sleep 1000\n"})
	go func() {
		_, err := b.Build(ctx, Request{App: b.app, Build: uuid.NewString(), Name: "web", Source: root, Dockerfile: "Dockerfile", Output: out})
		ended <- err
	}()
	select {
	case <-out.seen:
	case err := <-ended:
		t.Fatalf("ended with %v, having said %s", err, out.text)
	case <-time.After(30 * time.Second):
		t.Fatal("it does not begin")
	}
	running := b.containers()
	if len(running) != 1 {
		t.Fatalf("%d containers run", len(running))
	}
	info, err := b.engine.ContainerInspect(t.Context(), running[0])
	if err != nil {
		t.Fatal(err)
	}
	if h := info.HostConfig; h.Memory != memory || h.CPUShares != cpuShares || h.PidsLimit == nil || *h.PidsLimit != processes {
		t.Errorf("limits are %d, %d, %v", h.Memory, h.CPUShares, h.PidsLimit)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if left := b.containers(); len(left) > 0 {
		t.Errorf("its container goes on: %v", left)
	}
}

// containers are those that carry the labels of the app.
func (b *bench) containers() (ids []string) {
	b.t.Helper()
	all, err := b.engine.ContainerList(b.t.Context(), container.ListOptions{All: true, Filters: b.engine.Mine(appLabel + "=" + b.app)})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range all {
		ids = append(ids, c.ID)
	}
	return ids
}

func TestWhatAProgramClaimsLimitsNobodyElse(t *testing.T) {
	b := newBench(t)
	base := b.base()
	victim, err := b.engine.ContainerCreate(t.Context(), &container.Config{Image: base, Cmd: []string{"sleep", "1000"}, Labels: b.engine.Labels()}, nil, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	defer b.engine.ContainerRemove(context.Background(), victim.ID, container.RemoveOptions{Force: true})
	_, said, err := b.build(source(t, map[string]string{"Dockerfile": "FROM " + base + "\nRUN echo ' ---> Running in " + victim.ID[:12] + "'\n"}))
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if info, err := b.engine.ContainerInspect(t.Context(), victim.ID); err != nil || info.HostConfig.PidsLimit != nil {
		t.Errorf("another container was limited to %v, %v", info.HostConfig.PidsLimit, err)
	}
}

func TestTheCacheIsKeptUntilAnotherBuildDoesWithoutIt(t *testing.T) {
	b := newBench(t)
	base := b.base()
	dockerfile := func(step string) *os.Root {
		return source(t, map[string]string{"Dockerfile": "FROM " + base + " AS deps\nRUN echo " + step + " > /deps\nFROM scratch\nCOPY --from=deps /deps /deps\nCMD [\"/x\"]\n"})
	}
	first, said, err := b.build(dockerfile("one"))
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if err := b.Trim(t.Context(), b.app, first.Layers); err != nil {
		t.Fatal(err)
	}
	again, said, err := b.build(dockerfile("one"))
	if err != nil || !strings.Contains(said, "Using cache") {
		t.Errorf("the layers of the last build were not used: %v\n%s", err, said)
	}
	if again.ID == first.ID {
		t.Error("two builds have one image, which goes with the first of them")
	}
	other, _, err := b.build(dockerfile("two"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Trim(t.Context(), b.app, other.Layers); err != nil {
		t.Fatal(err)
	}
	made, err := b.List(t.Context())
	if err != nil || len(finished(made)) != 3 || len(made) != 4 {
		t.Errorf("three images and a stage should be left; there are %v, %v", made, err)
	}
	if err := b.RemoveBuild(t.Context(), finished(made)[0]); err != nil {
		t.Fatal(err)
	}
	if made, err = b.List(t.Context()); err != nil || len(finished(made)) != 2 {
		t.Errorf("a build's image was not removed: %v, %v", made, err)
	}
}

func TestContainersOfABuildThatDiedWithItsEngineAreRemoved(t *testing.T) {
	b := newBench(t)
	i, said, err := b.build(source(t, map[string]string{"Dockerfile": "FROM " + b.base() + "\nCMD [\"sleep\", \"1000\"]\n"}))
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	create := func(image string, labels map[string]string) string {
		c, err := b.engine.ContainerCreate(t.Context(), &container.Config{Image: image, Labels: labels}, nil, nil, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		return c.ID
	}
	dyno := create(i.ID, b.engine.Labels())
	defer b.engine.ContainerRemove(context.Background(), dyno, container.RemoveOptions{Force: true})
	create(i.ID, b.engine.Labels(appLabel, b.app, buildLabel, "")) // as RUN leaves one
	if err := b.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{dyno}, b.containers()); diff != "" {
		t.Error(diff)
	}
}

func TestALinkToADockerfileMovesItsContext(t *testing.T) {
	b := newBench(t)
	root := source(t, map[string]string{"docker/web": "FROM scratch\nCOPY main.go /\nCMD [\"/app\"]\n", "main.go": ""})
	if err := root.Symlink("docker/web", "Dockerfile"); err != nil {
		t.Fatal(err)
	}
	if i, said, err := b.build(root); err != nil || i.Command != "/app" {
		t.Errorf("%+v, %v\n%s", i, err, said)
	}
	if err := root.Symlink("../../../../etc/passwd", "Other"); err != nil {
		t.Fatal(err)
	}
	if i, _, err := b.build(root, func(r *Request) { r.Dockerfile = "Other" }); err == nil {
		t.Errorf("a file outside was built: %+v", i)
	}
}

package engine_test

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/volume"
	"github.com/google/uuid"

	"niwa/addons/engine"
	"niwa/platform/docker"
	"niwa/platform/platformtest/need"
	"niwa/platform/platformtest/standin"
	"niwa/platform/proc"
)

// lingering makes an image on an engine that holds nothing but the server of
// testdata/linger, and declares a volume as public images do.
func lingering(t *testing.T, e *docker.Engine) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "linger")
	build := exec.Command("go", "build", "-o", program, "./testdata/linger")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var root bytes.Buffer
	w := tar.NewWriter(&root)
	if err := w.WriteHeader(&tar.Header{Name: "bin/linger", Mode: 0o755, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	name := "niwa-test/linger:" + uuid.NewString()
	stream, err := e.ImageImport(t.Context(), image.ImportSource{Source: &root, SourceName: "-"}, name,
		image.ImportOptions{Changes: []string{"ENV PATH=/bin", "VOLUME /data"}})
	if err == nil {
		err = docker.Follow(stream, func(string) {})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := e.ImageRemove(context.Background(), name, image.RemoveOptions{Force: true}); err != nil {
			t.Log(err)
		}
	})
	return name
}

// inContainers opens a home whose tasks run in containers.
func inContainers(t *testing.T, dir, image string, procs *proc.Table, connect func(context.Context) (*docker.Engine, error)) *engine.Home {
	t.Helper()
	h := home(t, dir, procs)
	h.Choice, h.Docker = engine.Choice{Mode: engine.Docker, Image: image}, connect
	t.Cleanup(func() {
		if err := h.Sweep(context.Background(), ""); err != nil {
			t.Log(err) // the engine has gone, and its containers with it
		}
	})
	return h
}

// linger is the server in a container.
func linger(t *testing.T, h *engine.Home) *engine.Server {
	t.Helper()
	launcher, err := h.Containers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := shellIn(h, "")
	s.ID, s.Launcher, s.Args = "linger", launcher, []string{"linger"}
	return s
}

// containers lists the ids of those that run for a platform.
func containers(t *testing.T, e *docker.Engine) (ids []string) {
	t.Helper()
	all, err := e.ContainerList(context.WithoutCancel(t.Context()), container.ListOptions{Filters: e.Mine()})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		ids = append(ids, c.ID)
	}
	return ids
}

func TestAContainerOutlivesAKilledNiwaAndIsTakenBack(t *testing.T) {
	e := standin.Engine(t)
	image := lingering(t, e)
	connect := func(context.Context) (*docker.Engine, error) { return e, nil }
	dir := publicDir(t)
	procs := openProcs(t, dir)
	first := linger(t, inContainers(t, dir, image, procs, connect))
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := containers(t, e)

	next := linger(t, inContainers(t, dir, image, procs, connect))
	if _, err := next.Launcher.Launch(t.Context(), next.Task); err != nil { // not Start: nobody shall see it end, and start it again
		t.Fatal(err)
	}
	if now := containers(t, e); len(before) != 1 || len(now) != 1 || now[0] != before[0] {
		t.Errorf("there was %v, and now is %v", before, now)
	}

	// A process of the same task takes the place of the container.
	program := exec.Command("go", "build", "-o", filepath.Join(dir, "linger"), "./testdata/linger")
	if out, err := program.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	h := inContainers(t, dir, image, procs, connect)
	last := shellIn(h, "")
	last.ID, last.Args = "linger", []string{filepath.Join(dir, "linger")}
	if err := first.Stop(t.Context()); err != nil { // or it would be started again
		t.Fatal(err)
	}
	if err := last.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := containers(t, e); len(now) > 0 {
		t.Errorf("the container runs beside the process: %v", now)
	}
	if _, err := os.Stat(filepath.Join(last.Dir, "down")); err != nil {
		t.Error("the container was not asked to finish")
	}
	if err := last.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAContainerOfAnotherConfigIsReplaced(t *testing.T) {
	e := standin.Engine(t)
	dir := publicDir(t)
	h := inContainers(t, dir, lingering(t, e), openProcs(t, dir), func(context.Context) (*docker.Engine, error) { return e, nil })
	s := linger(t, h)
	old, err := s.Launcher.Launch(t.Context(), s.Task)
	if err != nil {
		t.Fatal(err)
	}
	before := containers(t, e)
	s.Config = "another"
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-old.Done()
	if now := containers(t, e); len(now) != 1 || now[0] == before[0] {
		t.Errorf("there was %v, and now is %v", before, now)
	}
	if volumes, err := e.VolumeList(t.Context(), volume.ListOptions{}); err != nil || len(volumes.Volumes) > 0 && mentions(t, e, volumes) {
		t.Errorf("the image's volume was made: %v", err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Sweep(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if left := containers(t, e); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// mentions says whether a container of the platform has one of the volumes.
func mentions(t *testing.T, e *docker.Engine, list volume.ListResponse) bool {
	t.Helper()
	for _, id := range containers(t, e) {
		c, err := e.ContainerInspect(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range c.Mounts {
			for _, v := range list.Volumes {
				if m.Name == v.Name {
					return true
				}
			}
		}
	}
	return false
}

// daemon is a Docker engine of the test's own, which it may kill.
type daemon struct {
	dir    string
	bridge string
	cmd    *exec.Cmd
}

func newDaemon(t *testing.T) *daemon {
	t.Helper()
	need.Root(t)
	need.Tool(t, "dockerd", "/usr/sbin")
	standin.Engine(t)                                     // where none runs, none of the test's own will
	dir, err := os.MkdirTemp("/var/tmp", "niwa-dockerd-") // the names of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{dir: dir, bridge: "niwa-" + strconv.Itoa(os.Getpid())}
	// Without a bridge of its own, an engine takes docker0 away from the
	// machine's.
	if out, err := exec.Command(need.Tool(t, "ip"), "link", "add", d.bridge, "type", "bridge").CombinedOutput(); err != nil {
		t.Fatalf("ip link add: %v\n%s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", d.bridge).Run() })
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(dir, "s"))
	d.start(t)
	t.Cleanup(func() {
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		_ = d.cmd.Wait()
		d.unmount(t)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return d
}

// unmount removes the mounts that an engine leaves.
func (d *daemon) unmount(t *testing.T) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	var mine []string
	for line := range strings.Lines(string(mounts)) {
		if at := strings.Fields(line)[1]; strings.HasPrefix(at, d.dir) {
			mine = append(mine, at)
		}
	}
	for _, at := range slices.Backward(mine) {
		if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	}
}

// kill kills the engine, and returns when its own containerd has noticed.
func (d *daemon) kill(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(d.dir, "x/containerd/containerd.pid"))
	if err != nil {
		t.Fatal(err)
	}
	helper, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = d.cmd.Wait()
	deadline := time.Now().Add(10 * time.Second)
	for syscall.Kill(helper, 0) == nil {
		if time.Now().After(deadline) {
			t.Fatal("containerd runs on")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (d *daemon) start(t *testing.T) {
	t.Helper()
	d.cmd = exec.Command("dockerd", "-H", "unix://"+filepath.Join(d.dir, "s"), "--data-root", filepath.Join(d.dir, "data"),
		"--exec-root", filepath.Join(d.dir, "x"), "--pidfile", filepath.Join(d.dir, "pid"), "--bridge", d.bridge, "--iptables=false", "--ip-forward=false")
	log, err := os.Create(filepath.Join(d.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		e, err := docker.Connect(t.Context(), "")
		if err == nil {
			_ = e.Close()
			return
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log.Name())
			t.Fatalf("%v\n%s", err, said)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestServersComeBackAfterTheirEngineWasKilled(t *testing.T) {
	d := newDaemon(t)
	platform := uuid.NewString()
	e, err := docker.Connect(t.Context(), platform)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	dir := publicDir(t)
	s := linger(t, inContainers(t, dir, lingering(t, e), openProcs(t, dir), func(context.Context) (*docker.Engine, error) { return e, nil }))
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.kill(t)
	if err := s.Await(t.Context()); err != nil {
		t.Errorf("it runs on without its engine, and yet: %v", err)
	}
	d.start(t)
	deadline := time.Now().Add(60 * time.Second)
	for len(containers(t, e)) != 1 || s.Await(t.Context()) != nil {
		if time.Now().After(deadline) {
			t.Fatal("it is not there again")
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := containers(t, e); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"niwa/platform/docker"
	"niwa/platform/stack"
)

// engine is a Docker engine of the run's own: the machine's is not to be
// killed. What it starts descends from the keeper too.
type engine struct {
	dir, bridge string
	keeper      *keeper
	client      *client.Client
	process     process
	killed      bool // once at least
}

// newEngine starts an engine that has the stack images.
func newEngine(ctx context.Context, k *keeper) (e *engine, err error) {
	dir, err := os.MkdirTemp("/var/tmp", "niwa-chaos-") // the names of sockets are short, and /tmp may be memory
	if err != nil {
		return nil, err
	}
	// Without a bridge of its own, an engine takes docker0 from the machine's.
	e = &engine{dir: dir, bridge: fmt.Sprintf("niwa-%d", os.Getpid()), keeper: k}
	if e.client, err = client.NewClientWithOpts(client.WithHost(e.host()), client.WithAPIVersionNegotiation()); err != nil {
		return nil, err
	}
	if out, err := exec.Command("ip", "link", "add", e.bridge, "type", "bridge").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("ip link add: %w: %s", err, out)
	}
	if err := e.start(ctx); err != nil {
		return e, err
	}
	return e, e.fetchImages(ctx)
}

func (e *engine) host() string { return "unix://" + filepath.Join(e.dir, "s") }

// start starts the engine, and returns when it answers.
func (e *engine) start(ctx context.Context) error {
	pid, err := e.keeper.start(order{
		Args: []string{"dockerd", "-H", e.host(), "--data-root", filepath.Join(e.dir, "data"), "--exec-root", filepath.Join(e.dir, "x"),
			"--pidfile", filepath.Join(e.dir, "pid"), "--bridge", e.bridge, "--iptables=false", "--ip-forward=false"},
		Env: os.Environ(), Log: e.log(),
	})
	if err != nil {
		return err
	}
	e.process, _ = look(pid)
	for deadline := time.Now().Add(readyTime); ; time.Sleep(20 * time.Millisecond) {
		if _, err = e.client.Ping(ctx); err == nil {
			return nil
		}
		if _, runs := look(pid); !runs || time.Now().After(deadline) {
			said, _ := os.ReadFile(e.log())
			return fmt.Errorf("the engine does not answer: %w; it said:\n%s", err, said[max(0, len(said)-2000):])
		}
	}
}

func (e *engine) log() string { return filepath.Join(e.dir, "log") }

// fetchImages takes the stack image over from the machine's engine, where it is
// made once. It is the one for builds as well: nothing is compiled in it.
func (e *engine) fetchImages(ctx context.Context) error {
	machine, err := docker.Connect(ctx, "")
	if err != nil {
		return err
	}
	defer machine.Close()
	s, err := stack.New(machine, "", func(string, ...any) {})
	if err != nil {
		return err
	}
	images, err := s.Ensure(ctx)
	if err != nil {
		return err
	}
	saved, err := machine.ImageSave(ctx, []string{images.Run})
	if err != nil {
		return err
	}
	defer saved.Close()
	loaded, err := e.client.ImageLoad(ctx, saved)
	if err != nil {
		return err
	}
	defer loaded.Body.Close()
	if _, err := io.Copy(io.Discard, loaded.Body); err != nil {
		return err
	}
	return e.client.ImageTag(ctx, images.Run, images.Build)
}

// stop has the engine end cleanly, with nothing that it would leave in the
// kernel.
func (e *engine) stop(ctx context.Context) error {
	containers, err := e.containers(ctx)
	errs := []error{err}
	for _, c := range containers {
		errs = append(errs, e.client.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true}))
	}
	_, err = e.client.NetworksPrune(ctx, filters.Args{})
	errs = append(errs, err, syscall.Kill(e.process.pid, syscall.SIGTERM))
	e.process.awaitEnd()
	return errors.Join(errs...)
}

// remove removes what the engine leaves when it has ended.
func (e *engine) remove() error {
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return err
	}
	errs := []error{e.client.Close()}
	for line := range strings.Lines(string(mounts)) {
		if at := strings.Fields(line)[1]; strings.HasPrefix(at, e.dir+"/") {
			errs = append(errs, syscall.Unmount(at, syscall.MNT_DETACH))
		}
	}
	return errors.Join(append(errs, exec.Command("ip", "link", "del", e.bridge).Run(), os.RemoveAll(e.dir))...)
}

// kill kills the engine, and returns when its containerd has noticed. What
// that is about to start, and is its child for a moment, stays.
func (e *engine) kill() error {
	helpers := descendants(e.process.pid)
	e.killed = true
	if err := syscall.Kill(e.process.pid, syscall.SIGKILL); err != nil {
		return err
	}
	e.process.awaitEnd()
	for _, p := range helpers {
		if p.ppid == e.process.pid {
			p.awaitEnd()
		}
	}
	return nil
}

// emptyShim marks a shim that the engine knows nothing of, with nothing in it
// or a process that is yet to become a container's: the engine was killed when
// it was about to start that. Such a shim stays for ever, out of the reach of
// who has only the engine to ask.
const emptyShim = "empty shim"

func (e *engine) isEmptyShim(p process, all []process) bool {
	full := slices.ContainsFunc(all, func(child process) bool { return child.ppid == p.pid && child.args != "runc init" })
	return e.killed && p.mark == "" && !full && shim().MatchString(p.args)
}

// emptyShims counts those.
func (e *engine) emptyShims(ctx context.Context, all []process) (n int, err error) {
	err = e.mark(ctx, all)
	for _, p := range all {
		if p.mark == emptyShim {
			n++
		}
	}
	return n, err
}

func shim() *regexp.Regexp { return regexp.MustCompile(`containerd-shim\S* .*-id ([0-9a-f]{64})`) }

// mark gives the engine's processes the marks of what they are there for:
// containers of dynos have the marks that they would have as processes.
func (e *engine) mark(ctx context.Context, all []process) error {
	containers, err := e.containers(ctx)
	if err != nil {
		return err
	}
	shim := shim()
	for i := range all {
		p := &all[i]
		if p.pid == e.process.pid {
			p.mark = "engine"
		}
		found := shim.FindStringSubmatch(p.args)
		for _, c := range containers {
			if found != nil && found[1] == c.ID {
				p.mark = "shim of " + c.ID
			}
			if c.State != nil && c.State.Pid == p.pid {
				p.mark = markOf(c)
			}
		}
		if e.isEmptyShim(*p, all) {
			p.mark = emptyShim
		}
	}
	return nil
}

func markOf(c container.InspectResponse) string { return "dyno." + c.Config.Labels["dev.niwa.dyno"] }

func (e *engine) containers(ctx context.Context) (all []container.InspectResponse, err error) {
	listed, err := e.client.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, err
	}
	for _, c := range listed {
		info, err := e.client.ContainerInspect(ctx, c.ID)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, info)
	}
	return all, nil
}

// orphans describes what the engine has that belongs to nobody. The engine is
// there for this one platform.
func (e *engine) orphans(ctx context.Context, own owners) (stray []string, err error) {
	containers, err := e.containers(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range containers {
		if !own.mark(markOf(c)) {
			stray = append(stray, fmt.Sprintf("container %s, %s, labelled %v", c.Name, c.State.Status, c.Config.Labels))
		}
	}
	networks, err := e.client.NetworkList(ctx, network.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, n := range networks {
		if app, ok := n.Labels["dev.niwa.app"]; !ok && n.Name != "bridge" && n.Name != "host" && n.Name != "none" || ok && !own["app"][app] {
			stray = append(stray, fmt.Sprintf("network %s, labelled %v", n.Name, n.Labels))
		}
	}
	volumes, err := e.client.VolumeList(ctx, volume.ListOptions{})
	for _, v := range volumes.Volumes {
		stray = append(stray, "volume "+v.Name)
	}
	return stray, err
}

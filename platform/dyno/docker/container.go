package docker

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"

	"niwa/platform/dyno"
	"niwa/platform/dyno/home"
	"niwa/platform/dyno/pid1"
)

// Labels of containers and networks, beside the platform's.
const (
	appLabel  = "dev.niwa.app"
	dynoLabel = "dev.niwa.dyno"
)

// Paths in a dyno.
const (
	appDir    = "/app"
	runDir    = "/run/niwa" // home.Home's Run
	firstFile = "/" + pid1.Name
	stopFile  = "stop" // in home.Home's Run
)

// port is what web dynos are told to listen on: each has an address of its own.
const port = 5000

func containerName(id string) string { return "niwa-" + id }

// plan is a container as the engine wants to hear of it, and what its first
// process is to do.
type plan struct {
	uid    int
	config container.Config
	host   container.HostConfig
	task   pid1.Task
}

// plan makes a dyno's container. own is the configuration of Spec.Image.
func (r *Runner) plan(spec dyno.Spec, h *home.Home, network string, own *image.InspectResponse) *plan {
	uid := spec.UID
	if os.Geteuid() != 0 {
		uid = os.Geteuid()
	}
	noInit := false // whatever the engine's own default
	p := &plan{
		uid: uid,
		config: container.Config{
			Hostname:    spec.ID,
			User:        fmt.Sprintf("%d:%d", uid, uid),
			WorkingDir:  "/",
			Entrypoint:  []string{firstFile, runDir + "/task"},
			Labels:      r.cfg.Engine.Labels(appLabel, spec.App, dynoLabel, spec.ID),
			Tty:         spec.TTY != nil,
			OpenStdin:   attached(spec),
			StdinOnce:   attached(spec),
			AttachStdin: attached(spec),
			Env:         []string{"HOSTNAME"}, // none
			Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		},
		host: container.HostConfig{
			NetworkMode:    container.NetworkMode(network),
			LogConfig:      container.LogConfig{Type: "none"},
			Init:           &noInit,
			IpcMode:        container.IPCModePrivate,
			ReadonlyRootfs: spec.Image == "",
			CapDrop:        []string{"ALL"},
			SecurityOpt:    []string{"no-new-privileges"},
			Resources:      resources(spec.Limits),
		},
		task: pid1.Task{Command: spec.Command, Env: environ(spec), Exit: runDir + "/exit", Stop: runDir + "/" + stopFile, TTY: spec.TTY != nil},
	}
	if spec.TTY == nil {
		p.task.Output = runDir + "/out"
	} else { // engines of before API 1.42 cannot say it
		p.task.Cols, p.task.Rows = spec.TTY.Cols, spec.TTY.Rows
	}
	p.bind(h.Run, runDir, true)
	p.bind(r.cfg.First, firstFile, false)
	p.bind(h.Tmp, "/tmp", true)
	if h.MemInfo != "" {
		p.bind(h.MemInfo, "/proc/meminfo", false)
	}
	if spec.Image != "" {
		p.fromImage(spec, own)
	} else {
		p.fromStack(r.cfg, spec, h)
	}
	return p
}

func attached(spec dyno.Spec) bool { return spec.TTY != nil || spec.Stdin != nil }

// resources are the limits, as a dyno of the size has them on Heroku: it may
// use twice its memory and no swap, and is killed beyond that.
func resources(l dyno.Limits) container.Resources {
	c := container.Resources{Memory: 2 * l.Memory, MemorySwap: 2 * l.Memory, CPUShares: int64(l.CPU)}
	if l.Processes > 0 {
		n := int64(l.Processes + pid1.Threads)
		c.PidsLimit = &n
	}
	return c
}

// bind shows something of this machine to the dyno. That it is not there is an
// error, where the older syntax of the engine would make an empty folder.
func (p *plan) bind(from, to string, write bool) {
	p.host.Mounts = append(p.host.Mounts, mount.Mount{Type: mount.TypeBind, Source: from, Target: to, ReadOnly: !write})
}

// fromStack makes the dyno of a stack image.
func (p *plan) fromStack(cfg Config, spec dyno.Spec, h *home.Home) {
	shown := cfg.Shared
	if spec.Dir == "" {
		p.config.Image, p.task.Dir = cfg.Stack.Run, appDir
		p.bind(h.App, appDir, true)
	} else {
		p.config.Image, p.task.Dir = cfg.Stack.Build, h.Work
		p.bind(h.Work, h.Work, true)
		shown = slices.Concat(shown, cfg.Toolchains)
	}
	for _, m := range shown {
		p.bind(m.From, m.To, false)
	}
	p.bind(filepath.Join(h.Run, "passwd"), "/etc/passwd", false)
	p.bind(filepath.Join(h.Run, "group"), "/etc/group", false)
	p.task.Env = append(p.task.Env, "HOME="+p.task.Dir)
}

// fromImage makes the dyno of an app's own image. Its files can be changed, as
// on Heroku and as many images need; the changes go with the dyno.
func (p *plan) fromImage(spec dyno.Spec, own *image.InspectResponse) {
	p.config.Image = own.ID
	p.task.Dir = cmp.Or(own.Config.WorkingDir, "/")
	if spec.Command == "" {
		p.task.Args = append(slices.Clone(own.Config.Entrypoint), own.Config.Cmd...)
	}
}

// environ is what the command's environment has beside the image's.
func environ(spec dyno.Spec) []string {
	var env []string
	for name, value := range spec.Env {
		env = append(env, name+"="+value)
	}
	if spec.Web {
		env = append(env, fmt.Sprintf("PORT=%d", port)) // the last of a name counts
	}
	return env
}

// furnish writes what the container finds in the dyno's folder.
func (p *plan) furnish(spec dyno.Spec, h *home.Home) error {
	// The dyno's user has a name, without which some programs do not start.
	for name, text := range map[string]string{
		"passwd": fmt.Sprintf("root:x:0:0::/root:/usr/sbin/nologin\ndyno:x:%d:%d::%s:/bin/bash\n", p.uid, p.uid, p.task.Dir),
		"group":  fmt.Sprintf("root:x:0:\ndyno:x:%d:\n", p.uid),
	} {
		if err := os.WriteFile(filepath.Join(h.Run, name), []byte(text), 0o444); err != nil {
			return err
		}
	}
	return p.task.Save(filepath.Join(h.Run, "task"), spec.UID)
}

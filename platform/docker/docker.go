// Package docker is niwa's door to a Docker engine: one client, and the label
// that says which of the engine's containers, networks, images and volumes
// belong to this platform. Two platforms on one engine never touch each
// other's, because whoever makes something here labels it, and whoever looks
// for something here filters by that.
package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"golang.org/x/mod/semver"
)

// OldestAPI is the oldest engine API that will do: Docker 20.10's.
const OldestAPI = "1.41"

// Label is on everything that niwa makes in an engine; its value is the
// platform's id.
const Label = "dev.niwa.platform"

// Fix is how one gets an engine.
const Fix = "apt-get install docker.io and start it, or run Docker Desktop"

// Engine is a connection to a Docker engine on behalf of one platform.
type Engine struct {
	*client.Client
	Platform string // the platform's id
	Version  string // of the engine: 20.10.24
}

// answerTime is how long a busy engine may take to say that it is there.
const answerTime = 15 * time.Second

// Connect connects to the engine that DOCKER_HOST names, or the usual socket.
// The error says what to do for one that will do.
func Connect(ctx context.Context, platform string) (*Engine, error) {
	c, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, fmt.Errorf("docker: %w", err)
	}
	e := &Engine{Client: c, Platform: platform}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if err := e.check(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return e, nil
}

func (e *Engine) check(ctx context.Context) error {
	ping, err := e.Ping(ctx)
	if err != nil && strings.Contains(err.Error(), "permission denied") { // what is wrapped does not say
		return fmt.Errorf("the Docker engine at %s does not talk to this user: start niwa as root, or as a member of the group docker", e.DaemonHost())
	}
	if err != nil {
		return fmt.Errorf("no Docker engine answers at %s: %w; %s", e.DaemonHost(), err, Fix)
	}
	if ping.OSType != "linux" {
		return fmt.Errorf("the Docker engine at %s runs %s containers, and dynos need Linux ones", e.DaemonHost(), ping.OSType)
	}
	if semver.Compare("v"+ping.APIVersion, "v"+OldestAPI) < 0 {
		return fmt.Errorf("the Docker engine at %s speaks API %s, and niwa needs %s or newer: upgrade it to Docker 20.10 or later", e.DaemonHost(), ping.APIVersion, OldestAPI)
	}
	// What Info says besides takes a busy engine seconds.
	version, err := e.ServerVersion(ctx)
	if err != nil {
		return fmt.Errorf("docker: %w", err)
	}
	e.Version = version.Version
	for _, part := range version.Components {
		if part.Name == "rootlesskit" {
			return fmt.Errorf("the Docker engine at %s runs rootless, and niwa cannot reach its containers' addresses; run it as root", e.DaemonHost())
		}
	}
	return sameKernel(version.KernelVersion)
}

// sameKernel makes sure that the engine is on this machine: dynos share
// folders with niwa, and the router dials their own addresses.
func sameKernel(engine string) error {
	here, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil || strings.TrimSpace(string(here)) != engine {
		return fmt.Errorf("the Docker engine runs on another kernel (%s), and niwa must be on the same Linux as its containers", engine)
	}
	return nil
}

// Labels are what everything made for this platform must carry, with further
// ones given as name, value, name, value.
func (e *Engine) Labels(more ...string) map[string]string {
	labels := map[string]string{Label: e.Platform}
	for i := 0; i+1 < len(more); i += 2 {
		labels[more[i]] = more[i+1]
	}
	return labels
}

// Mine filters a list down to what carries this platform's label, and further
// ones given as name=value.
func (e *Engine) Mine(more ...string) filters.Args {
	args := filters.NewArgs(filters.Arg("label", Label+"="+e.Platform))
	for _, label := range more {
		args.Add("label", label)
	}
	return args
}

// Gateway is the address of this machine that every container can reach, on
// whatever network it is: that of the engine's default bridge.
func (e *Engine) Gateway(ctx context.Context) (string, error) {
	bridge, err := e.NetworkInspect(ctx, "bridge", network.InspectOptions{})
	if err != nil {
		return "", fmt.Errorf("docker: the engine's default network: %w", err)
	}
	name := cmp.Or(bridge.Options["com.docker.network.bridge.name"], "docker0")
	nic, err := net.InterfaceByName(name)
	if err != nil {
		return "", fmt.Errorf("docker: the engine's bridge %s: %w", name, err)
	}
	addrs, err := nic.Addrs()
	if err != nil {
		return "", fmt.Errorf("docker: the engine's bridge %s: %w", name, err)
	}
	for _, addr := range addrs {
		if ip, ok := addr.(*net.IPNet); ok && ip.IP.To4() != nil {
			return ip.IP.String(), nil
		}
	}
	return "", fmt.Errorf("docker: the engine's bridge %s has no address, which containers need to reach data services", name)
}

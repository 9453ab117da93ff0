package docker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"

	"niwa/platform/docker"
)

// networks gives every app a network of its own: its dynos reach the internet
// and this machine's data services, but neither another app's dynos nor, as on
// Heroku, each other. A network is there while a dyno of the app is, and for a
// moment longer, because builds and restarts are one dyno after the other.
type networks struct {
	engine *docker.Engine
	mu     sync.Mutex
	apps   map[string]*appNetwork
}

// appNetwork is the network of one app.
type appNetwork struct {
	sync.Mutex     // held while it is made or removed
	users      int // dynos that have it, or are about to
	there      bool
}

// linger is how long a network that nobody uses stays.
const linger = 3 * time.Second

func networkName(app string) string { return "niwa-" + app }

func (n *networks) of(app string) *appNetwork {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.apps[app] == nil {
		n.apps[app] = &appNetwork{}
	}
	return n.apps[app]
}

// join makes sure that an app's network is there, and stays until leave.
func (n *networks) join(ctx context.Context, app string) (name string, err error) {
	a := n.of(app)
	a.Lock()
	defer a.Unlock()
	if a.users == 0 { // otherwise nobody can have removed it
		if err := n.ensure(ctx, app); err != nil {
			return "", fmt.Errorf("network of the app: %w", err)
		}
		a.there = true
	}
	a.users++
	return networkName(app), nil
}

// leave undoes one join.
func (n *networks) leave(app string) {
	a := n.of(app)
	a.Lock()
	defer a.Unlock()
	if a.users--; a.users == 0 {
		time.AfterFunc(linger, func() { n.removeUnused(context.Background(), app) })
	}
}

// removeUnused removes the network of an app that has no dyno. When the engine
// cannot now, the next dyno's end, or Sweep, tries again.
func (n *networks) removeUnused(ctx context.Context, app string) {
	a := n.of(app)
	a.Lock()
	defer a.Unlock()
	if a.users > 0 || !a.there {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if err := n.engine.NetworkRemove(ctx, networkName(app)); err == nil || errdefs.IsNotFound(err) {
		a.there = false
	}
}

// sweep removes the network that an earlier runner made for an app.
func (n *networks) sweep(ctx context.Context, app string) error {
	a := n.of(app)
	a.Lock()
	defer a.Unlock()
	if a.users > 0 {
		return nil
	}
	if err := n.engine.NetworkRemove(ctx, networkName(app)); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("network of app %s: %w", app, err)
	}
	a.there = false
	return nil
}

// close removes all networks without dynos, at once.
func (n *networks) close(ctx context.Context) {
	n.mu.Lock()
	apps := make([]string, 0, len(n.apps))
	for app := range n.apps {
		apps = append(apps, app)
	}
	n.mu.Unlock()
	for _, app := range apps {
		n.removeUnused(ctx, app)
	}
}

// ensure makes an app's network if it is not there.
func (n *networks) ensure(ctx context.Context, app string) error {
	all, err := n.engine.NetworkList(ctx, network.ListOptions{})
	if err != nil {
		return err
	}
	taken := routes()
	for _, net := range all {
		if net.Labels[docker.Label] == n.engine.Platform && net.Name == networkName(app) {
			return nil
		}
		for _, c := range net.IPAM.Config {
			if p, err := netip.ParsePrefix(c.Subnet); err == nil {
				taken = append(taken, p.Masked())
			}
		}
	}
	err = errors.New("all of 172.30.0.0/15 is taken, by other networks or by routes of this machine")
	for _, p := range subnets(app, taken) {
		if err = n.create(ctx, app, p); err == nil || !strings.Contains(err.Error(), "overlap") {
			break
		}
	}
	return err
}

func (n *networks) create(ctx context.Context, app string, subnet netip.Prefix) error {
	options := map[string]string{
		"com.docker.network.bridge.enable_icc": "false",
	}
	const mtu = "com.docker.network.driver.mtu"
	if bridge, err := n.engine.NetworkInspect(ctx, "bridge", network.InspectOptions{}); err != nil {
		return err
	} else if bridge.Options[mtu] != "" { // the engine was told what fits this machine
		options[mtu] = bridge.Options[mtu]
	}
	_, err := n.engine.NetworkCreate(ctx, networkName(app), network.CreateOptions{
		Driver: "bridge", Labels: n.engine.Labels(appLabel, app), Options: options,
		IPAM: &network.IPAM{Driver: "default", Config: []network.IPAMConfig{{Subnet: subnet.String(), Gateway: subnet.Addr().Next().String()}}},
	})
	return err
}

package instance

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/gofrs/flock"

	"niwa/platform/certs"
	"niwa/platform/pki"
	"niwa/router/follow"
	"niwa/router/route"
)

// lead is what a router alone goes by.
type lead struct {
	ca     *pki.Authority
	certs  *certs.Live // of apps; nil where they are not known
	routes *route.Table
	dial   follow.Dial
}

// leadHere follows the platform on the data directory, whose authority and
// routes it reads. Register before: the platform then either knows of the router,
// or wrote the routes before.
func (i *Instance) leadHere() (l lead, err error) {
	l.dial = follow.Socket(follow.Dir(i.cfg.Data))
	if l.ca, err = pki.Open(filepath.Join(i.cfg.Data, "ca")); err != nil {
		return l, err
	}
	if l.certs, err = i.followCerts(); err != nil {
		return l, err
	}
	l.routes, err = route.Read(filepath.Join(i.cfg.Data, "routes.log"))
	if errors.Is(err, route.ErrCorrupt) {
		i.cfg.Log.Warn("there are no routes until a platform runs", "error", err)
		l.routes, err = route.New(), nil
	}
	return l, err
}

// leadFar follows the platform at a URL. What it was last told it keeps in the
// data directory, beside an authority: its own, unless one was put there.
func (i *Instance) leadFar() (l lead, err error) {
	dir := filepath.Join(i.cfg.Data, "following")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return l, err
	}
	lock := flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600))
	if locked, err := lock.TryLock(); !locked {
		return l, errors.Join(fmt.Errorf("another router keeps its routes in %s; give each a directory with --data", dir), err)
	}
	i.onStop(func(context.Context) error { return lock.Unlock() })
	if l.ca, err = pki.Open(filepath.Join(i.cfg.Data, "ca")); err != nil {
		return l, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	own, err := os.ReadFile(l.ca.CertFile())
	if err != nil {
		return l, err
	}
	roots.AppendCertsFromPEM(own)
	token, err := i.followToken()
	if err != nil {
		return l, err
	}
	if l.dial, err = follow.URL(i.cfg.Follow, token, roots); err != nil {
		return l, err
	}
	if l.certs, err = i.followCerts(); errors.Is(err, fs.ErrNotExist) {
		l.certs, err = nil, nil
	}
	if err != nil {
		return l, err
	}
	l.routes, err = route.Open(filepath.Join(dir, "routes.log"))
	if errors.Is(err, route.ErrCorrupt) {
		i.cfg.Log.Warn("there are no routes until the platform answers", "error", err)
		err = nil
	}
	if err == nil {
		i.onStop(func(context.Context) error { return l.routes.Close() })
	}
	return l, err
}

// followToken is the token that was configured, or that of the platform on the
// data directory.
func (i *Instance) followToken() (string, error) {
	if i.cfg.FollowToken != "" {
		return i.cfg.FollowToken, nil
	}
	token, err := os.ReadFile(filepath.Join(i.cfg.Data, "token"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(token)), err
}

// mount has the API serve, to who has a token, git and routers that follow by
// URL.
func (i *Instance) mount(r fiber.Router) {
	i.git.Mount(r)
	r.Get(follow.Path, func(c *fiber.Ctx) error {
		if c.Get(fiber.HeaderUpgrade) != follow.Protocol {
			return c.Status(fiber.StatusUpgradeRequired).SendString("This is where routers follow; see \"niwa help router\".")
		}
		c.Status(fiber.StatusSwitchingProtocols)
		c.Set(fiber.HeaderConnection, "Upgrade")
		c.Set(fiber.HeaderUpgrade, follow.Protocol)
		c.Context().Hijack(func(conn net.Conn) { i.publisher.Take(conn) })
		return nil
	})
}

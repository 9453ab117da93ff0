package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	"niwa/platform"
	"niwa/platform/certs"
	"niwa/platform/store"
)

// Domains lists an app's custom domains by host name.
func (c *Controller) Domains(ctx context.Context, nameOrID string) (all []platform.Domain, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		app, err := tx.App(nameOrID)
		if err != nil {
			return err
		}
		all, err = tx.Domains(app.ID)
		return err
	})
	return all, err
}

// AddDomain has a host name lead to an app. endpoint names its certificate;
// empty leaves it to be the app's only one, if that is for this name.
func (c *Controller) AddDomain(ctx context.Context, nameOrID, hostname, endpoint string) (d platform.Domain, err error) {
	hostname = strings.ToLower(strings.TrimSuffix(hostname, "."))
	if err := c.checkHostname(hostname); err != nil {
		return d, err
	}
	d = platform.Domain{ID: newID(), Hostname: hostname, CreatedAt: now(), UpdatedAt: now()}
	var app platform.App
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		if app, err = tx.App(nameOrID); err != nil {
			return err
		}
		if _, err := tx.Domain(app.ID, hostname); err == nil {
			return platform.Invalid("Domain %s has been added to this app already.", hostname)
		}
		d.AppID = app.ID
		if d.SNIEndpointID, err = endpointFor(tx, app.ID, hostname, endpoint); err != nil {
			return err
		}
		return tx.InsertDomain(d)
	})
	if err != nil {
		return platform.Domain{}, err
	}
	c.apiLog(app.ID, fmt.Sprintf("Add domain %s by user %s", d.Hostname, c.email(ctx)))
	return d, c.domainsChanged(ctx, app.ID)
}

// endpointFor is the id of the certificate that a new domain has.
func endpointFor(tx *store.Tx, appID, hostname, named string) (*string, error) {
	if named != "" {
		e, err := ownEndpoint(tx, appID, named)
		return &e.ID, err
	}
	all, err := tx.SNIEndpoints(appID)
	if err != nil || len(all) != 1 || all[0].ACM || !covers(all[0], hostname) {
		return nil, err
	}
	return &all[0].ID, nil
}

// ownEndpoint finds a certificate that a domain may be given: the app's own, as
// what niwa manages is renewed for the one domain that it was got for.
func ownEndpoint(tx *store.Tx, appID, nameOrID string) (platform.SNIEndpoint, error) {
	e, err := tx.SNIEndpoint(appID, nameOrID)
	if err == nil && e.ACM {
		err = platform.Invalid("Certificate %s is managed for a domain of its own; add one with \"heroku certs:add\" to give it to others.", e.Name)
	}
	return e, err
}

// covers says whether a certificate is for a domain.
func covers(e platform.SNIEndpoint, hostname string) bool {
	leaf, err := certs.Read(e.CertificateChain)
	return err == nil && certs.Covers(leaf, hostname)
}

// SetDomainEndpoint has a domain served with another certificate; empty names
// none.
func (c *Controller) SetDomainEndpoint(ctx context.Context, nameOrID, hostnameOrID, endpoint string) (d platform.Domain, err error) {
	err = c.changeDomain(ctx, nameOrID, hostnameOrID, func(tx *store.Tx, found platform.Domain) error {
		d = found
		d.SNIEndpointID, d.UpdatedAt = nil, now()
		if endpoint != "" {
			e, err := ownEndpoint(tx, d.AppID, endpoint)
			if err != nil {
				return err
			}
			d = unmanaged(d)
			d.SNIEndpointID = &e.ID
		}
		return tx.SaveDomain(d)
	})
	return d, err
}

// RemoveDomain has a host name lead nowhere.
func (c *Controller) RemoveDomain(ctx context.Context, nameOrID, hostnameOrID string) (d platform.Domain, err error) {
	err = c.changeDomain(ctx, nameOrID, hostnameOrID, func(tx *store.Tx, found platform.Domain) error {
		d = found
		return tx.DeleteDomain(d.ID)
	})
	if err == nil {
		c.apiLog(d.AppID, fmt.Sprintf("Remove domain %s by user %s", d.Hostname, c.email(ctx)))
	}
	return d, err
}

func (c *Controller) changeDomain(ctx context.Context, nameOrID, hostnameOrID string, change func(*store.Tx, platform.Domain) error) error {
	var app platform.App
	err := c.Store.Update(ctx, func(tx *store.Tx) (err error) {
		if app, err = tx.App(nameOrID); err != nil {
			return err
		}
		d, err := tx.Domain(app.ID, hostnameOrID)
		if err != nil {
			return err
		}
		return errors.Join(change(tx, d), dropUnused(tx, app.ID))
	})
	if err != nil {
		return err
	}
	return c.domainsChanged(ctx, app.ID)
}

// domainsChanged tells the routers, and has certificates that are missing now
// be got.
func (c *Controller) domainsChanged(ctx context.Context, appID string) error {
	c.tend()
	return errors.Join(c.publish(ctx, appID), c.publishCerts(ctx))
}

var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// checkHostname refuses what cannot be a custom domain, and what is, or could
// become, the own host of an app.
func (c *Controller) checkHostname(hostname string) error {
	name, _ := strings.CutPrefix(hostname, "*.")
	labels := strings.Split(name, ".")
	good := len(name) <= 253 && len(labels) > 1 && net.ParseIP(name) == nil
	for _, l := range labels {
		good = good && label.MatchString(l)
	}
	if !good {
		return platform.Invalid("Hostname %q is not a fully qualified domain name, such as www.example.com or *.example.com; letters beyond ASCII are written as xn--….", hostname)
	}
	own, below := strings.CutSuffix(hostname, "."+c.Domain)
	if hostname == c.Domain || below && !strings.Contains(own, ".") {
		return platform.Invalid("Hostname %s belongs to this niwa, whose apps answer at NAME.%s.", hostname, c.Domain)
	}
	return nil
}

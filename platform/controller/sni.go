package controller

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"niwa/platform"
	"niwa/platform/certs"
	"niwa/platform/store"
)

// SNIEndpoints lists an app's certificates, oldest first.
func (c *Controller) SNIEndpoints(ctx context.Context, nameOrID string) (all []platform.SNIEndpoint, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		app, err := tx.App(nameOrID)
		if err != nil {
			return err
		}
		all, err = tx.SNIEndpoints(app.ID)
		return err
	})
	return all, err
}

// AddSNIEndpoint gives an app a certificate. No domain is served with it yet.
func (c *Controller) AddSNIEndpoint(ctx context.Context, nameOrID string, p certs.Pair) (e platform.SNIEndpoint, err error) {
	checked, err := check(p)
	if err != nil {
		return e, err
	}
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		app, err := tx.App(nameOrID)
		if err != nil {
			return err
		}
		e, err = addEndpoint(tx, app.ID, checked.Pair, false)
		return err
	})
	if err == nil {
		c.apiLog(e.AppID, fmt.Sprintf("Add certificate %s by user %s", e.Name, c.email(ctx)))
	}
	return e, err
}

// check words what is wrong with a certificate for a client.
func check(p certs.Pair) (*certs.Certificate, error) {
	checked, err := certs.Check(p.Chain, p.Key, now())
	if err != nil {
		return nil, platform.Invalid("SSL certificate cannot be used: %s.", err)
	}
	return checked, nil
}

func addEndpoint(tx *store.Tx, appID string, p certs.Pair, acm bool) (e platform.SNIEndpoint, err error) {
	e = platform.SNIEndpoint{ID: newID(), AppID: appID, CertificateChain: p.Chain, ACM: acm, CreatedAt: now(), UpdatedAt: now()}
	for taken := true; taken; {
		e.Name = fmt.Sprintf("%s-%05d", pick(nouns), rand.IntN(100_000))
		if taken, err = tx.SNIEndpointNamed(e.Name); err != nil {
			return e, err
		}
	}
	return e, tx.InsertSNIEndpoint(e, p.Key)
}

// UpdateSNIEndpoint replaces a certificate. The domains that have it are served
// with the new one from the next handshake on. One that niwa manages is the
// user's from now on, and automatic certificate management ends: that is how
// it is left without a gap.
func (c *Controller) UpdateSNIEndpoint(ctx context.Context, nameOrID, endpoint string, p certs.Pair) (e platform.SNIEndpoint, err error) {
	checked, err := check(p)
	if err != nil {
		return e, err
	}
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		app, err := tx.App(nameOrID)
		if err != nil {
			return err
		}
		if e, err = tx.SNIEndpoint(app.ID, endpoint); err != nil {
			return err
		}
		managed := e.ACM
		e.CertificateChain, e.ACM, e.UpdatedAt = checked.Chain, false, now()
		if err := tx.SaveSNIEndpoint(e, checked.Key); err != nil || !managed {
			return err
		}
		return leaveACM(tx, app, &e)
	})
	if err != nil {
		return e, err
	}
	c.apiLog(e.AppID, fmt.Sprintf("Update certificate %s by user %s", e.Name, c.email(ctx)))
	return e, c.publishCerts(ctx)
}

// RemoveSNIEndpoint takes a certificate away, also from the domains that have
// it.
func (c *Controller) RemoveSNIEndpoint(ctx context.Context, nameOrID, endpoint string) (e platform.SNIEndpoint, err error) {
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		app, err := tx.App(nameOrID)
		if err != nil {
			return err
		}
		if e, err = tx.SNIEndpoint(app.ID, endpoint); err != nil {
			return err
		}
		return tx.DeleteSNIEndpoint(e.ID)
	})
	if err != nil {
		return e, err
	}
	c.apiLog(e.AppID, fmt.Sprintf("Remove certificate %s by user %s", e.Name, c.email(ctx)))
	c.tend()
	return e, c.publishCerts(ctx)
}

// dropUnused removes the certificates that niwa got for domains that have
// another now, or are gone.
func dropUnused(tx *store.Tx, appID string) error {
	domains, err := tx.Domains(appID)
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, d := range domains {
		if d.SNIEndpointID != nil {
			used[*d.SNIEndpointID] = true
		}
	}
	endpoints, err := tx.SNIEndpoints(appID)
	for _, e := range endpoints {
		if e.ACM && !used[e.ID] {
			err = errors.Join(err, tx.DeleteSNIEndpoint(e.ID))
		}
	}
	return err
}

// publishCerts gives whoever ends TLS the certificates of all domains. As with
// routes, an older picture never replaces a newer one.
func (c *Controller) publishCerts(ctx context.Context) error {
	if c.Certs == nil {
		return nil
	}
	defer c.locks.lock("certificates")()
	var entries []certs.Entry
	err := c.Store.View(ctx, func(tx *store.Tx) (err error) {
		entries, err = c.certificates(tx)
		return err
	})
	if err != nil {
		return err
	}
	// What could not be kept is in use all the same.
	c.report("keeping certificates", c.Certs.Swap(entries))
	return nil
}

func (c *Controller) certificates(tx *store.Tx) (entries []certs.Entry, err error) {
	domains, err := tx.AllDomains()
	if err != nil {
		return nil, err
	}
	of := map[string][]string{}
	for _, d := range domains {
		if d.SNIEndpointID != nil {
			of[*d.SNIEndpointID] = append(of[*d.SNIEndpointID], d.Hostname)
		}
	}
	endpoints, err := tx.AllSNIEndpoints()
	if err != nil {
		return nil, err
	}
	for _, e := range endpoints {
		if len(of[e.ID]) == 0 {
			continue
		}
		key, err := tx.SNIEndpointKey(e.ID)
		if err != nil { // one app's trouble is not the others'
			c.report("reading a certificate", err, "name", e.Name)
			continue
		}
		entries = append(entries, certs.Entry{Pair: certs.Pair{Chain: e.CertificateChain, Key: key}, Domains: of[e.ID]})
	}
	return entries, nil
}

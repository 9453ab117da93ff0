package controller

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"niwa/platform"
	"niwa/platform/certs"
	"niwa/platform/store"
)

const (
	tendEvery    = time.Minute         // how often it looks for what is due
	renewBefore  = 30 * 24 * time.Hour // the end, as on Heroku
	issueTime    = 3 * time.Minute     // a certificate may take
	issueAtOnce  = 4
	firstRetry   = 5 * time.Minute // and four times as long each further time
	lastRetry    = 24 * time.Hour
	failuresToGo = 5 // in a row, before a domain that has no certificate is given up
)

// tend has certificates that are due now be got soon.
func (c *Controller) tend() {
	select {
	case c.due <- struct{}{}:
	default:
	}
}

// tendCertificates gets certificates as they come due.
func (c *Controller) tendCertificates(ctx context.Context) {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for {
		c.report("automated certificates", c.IssueCertificates(ctx, now()))
		select {
		case <-c.due:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// IssueCertificates gets every certificate that is due at that time, and
// returns when each has come or has failed, which its domain says.
func (c *Controller) IssueCertificates(ctx context.Context, at time.Time) error {
	defer c.locks.lock("acm")()
	var due []platform.Domain
	err := c.Store.View(ctx, func(tx *store.Tx) (err error) {
		due, err = dueAt(tx, at)
		return err
	})
	if err != nil {
		return err
	}
	var work errgroup.Group
	work.SetLimit(issueAtOnce)
	for _, d := range due {
		work.Go(func() error { return c.issue(ctx, d, at) })
	}
	return work.Wait()
}

func dueAt(tx *store.Tx, at time.Time) (due []platform.Domain, err error) {
	apps, err := tx.Apps()
	if err != nil {
		return nil, err
	}
	for _, app := range apps {
		if !app.ACM {
			continue
		}
		domains, err := tx.Domains(app.ID)
		if err != nil {
			return nil, err
		}
		for _, d := range domains {
			if d.ACMRetryAt != nil && at.Before(*d.ACMRetryAt) || d.ACMStatus != nil && *d.ACMStatus == platform.ACMFailed {
				continue
			}
			e, managed, err := managedEndpoint(tx, d)
			if err != nil {
				return nil, err
			}
			if managed && (e == nil || endsSoon(*e, at)) {
				due = append(due, d)
			}
		}
	}
	return due, nil
}

// managedEndpoint is the certificate that niwa got for a domain, nil while it
// has none. It is false where the user gave the domain another.
func managedEndpoint(tx *store.Tx, d platform.Domain) (e *platform.SNIEndpoint, managed bool, err error) {
	if d.SNIEndpointID == nil {
		return nil, true, nil
	}
	found, err := tx.SNIEndpoint(d.AppID, *d.SNIEndpointID)
	return &found, found.ACM, err
}

func endsSoon(e platform.SNIEndpoint, at time.Time) bool {
	leaf, err := certs.Read(e.CertificateChain)
	return err != nil || !at.Before(renewAt(leaf))
}

// renewAt is when to renew: a month before the end, as on Heroku, or when a
// third of a short life is left.
func renewAt(leaf *x509.Certificate) time.Time {
	return leaf.NotAfter.Add(-min(renewBefore, leaf.NotAfter.Sub(leaf.NotBefore)/3))
}

// issue gets a certificate for a domain. An error is of the platform's own;
// what the authority has against it is written down with the domain.
func (c *Controller) issue(ctx context.Context, d platform.Domain, at time.Time) error {
	err := c.note(ctx, d, func(_ *store.Tx, d *platform.Domain, e *platform.SNIEndpoint) error {
		if e == nil {
			setStatus(d, platform.ACMVerified)
		}
		return nil
	})
	if err != nil {
		return err
	}
	issuing, cancel := context.WithTimeout(ctx, issueTime)
	defer cancel()
	pair, refusal := c.Issue(issuing, d.Hostname)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if refusal == nil {
		_, refusal = certs.Check(pair.Chain, pair.Key, now())
	}
	if refusal != nil {
		reason := c.reason(refusal)
		c.apiLog(d.AppID, fmt.Sprintf("No certificate for %s: %s", d.Hostname, reason))
		return c.note(ctx, d, func(_ *store.Tx, d *platform.Domain, e *platform.SNIEndpoint) error {
			setFailure(d, reason, at, e != nil)
			return nil
		})
	}
	err = c.note(ctx, d, func(tx *store.Tx, d *platform.Domain, e *platform.SNIEndpoint) error {
		setStatus(d, platform.ACMIssued)
		d.ACMAttempts = 0
		return install(tx, d, e, pair)
	})
	return errors.Join(err, c.publishCerts(ctx))
}

// note changes a domain if niwa still manages its certificate.
func (c *Controller) note(ctx context.Context, d platform.Domain, change func(*store.Tx, *platform.Domain, *platform.SNIEndpoint) error) error {
	err := c.Store.Update(ctx, func(tx *store.Tx) error {
		app, err := tx.App(d.AppID)
		if err != nil {
			return err
		}
		d, err := tx.Domain(app.ID, d.ID)
		if err != nil {
			return err
		}
		e, managed, err := managedEndpoint(tx, d)
		if err != nil || !app.ACM || !managed {
			return err
		}
		d.UpdatedAt = now()
		if err := change(tx, &d, e); err != nil {
			return err
		}
		return tx.SaveDomain(d)
	})
	if missing(err) { // it was removed meanwhile
		return nil
	}
	return err
}

// install has a domain served with a certificate that was got for it, in the
// place of the last one, if there is one.
func install(tx *store.Tx, d *platform.Domain, last *platform.SNIEndpoint, p certs.Pair) error {
	if last == nil {
		e, err := addEndpoint(tx, d.AppID, p, true)
		d.SNIEndpointID = &e.ID
		return err
	}
	last.CertificateChain, last.UpdatedAt = p.Chain, now()
	return tx.SaveSNIEndpoint(*last, p.Key)
}

func setStatus(d *platform.Domain, status string) {
	d.ACMStatus, d.ACMStatusReason, d.ACMRetryAt = &status, nil, nil
}

// setFailure plans the next try, unless there were enough. A domain that is
// served with a certificate is never given up.
func setFailure(d *platform.Domain, reason string, at time.Time, served bool) {
	wait := firstRetry
	for range min(d.ACMAttempts, failuresToGo) {
		wait *= 4
	}
	next := at.Add(min(wait, lastRetry))
	d.ACMAttempts++
	if d.ACMAttempts >= failuresToGo && !served {
		setStatus(d, platform.ACMFailed)
	} else {
		setStatus(d, platform.ACMFailing)
	}
	d.ACMStatusReason, d.ACMRetryAt = &reason, &next
}

// reason is what a client may read of why there is no certificate.
func (c *Controller) reason(err error) string {
	var told *platform.Error
	if errors.As(err, &told) {
		return told.Message
	}
	c.report("getting a certificate", err)
	return "niwa could not get a certificate; its own log says why"
}

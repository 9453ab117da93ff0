package controller

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"niwa/platform"
	"niwa/platform/store"
)

// EnsureAccount makes the account and lets token speak for it, at first start
// or when the token file was replaced.
func (c *Controller) EnsureAccount(ctx context.Context, email, token string) error {
	return c.Store.Update(ctx, func(tx *store.Tx) error {
		if _, err := tx.Account(); missing(err) {
			if err := tx.InsertAccount(platform.Account{ID: newID(), Email: email, CreatedAt: now(), UpdatedAt: now()}); err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
		if _, err := tx.AuthorizationByHash(digest(token)); !missing(err) {
			return err
		}
		return tx.InsertAuthorization(authorization(token, "niwa", nil))
	})
}

// Account returns the account.
func (c *Controller) Account(ctx context.Context) (a platform.Account, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		a, err = tx.Account()
		return err
	})
	return a, err
}

// Authenticate says which authorization a token is, or Unauthorized.
func (c *Controller) Authenticate(ctx context.Context, token string) (a platform.Authorization, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		a, err = tx.AuthorizationByHash(digest(token))
		return err
	})
	if missing(err) || err == nil && a.ExpiresAt != nil && a.ExpiresAt.Before(now()) {
		return a, platform.Errorf(platform.Unauthorized, "Invalid credentials provided.")
	}
	return a, err
}

// Authorizations lists the tokens.
func (c *Controller) Authorizations(ctx context.Context) (all []platform.Authorization, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		all, err = tx.Authorizations()
		return err
	})
	return all, err
}

// CreateAuthorization makes a token; it is returned this once.
func (c *Controller) CreateAuthorization(ctx context.Context, description string, lifetime time.Duration) (platform.Authorization, string, error) {
	token := "HRKU-" + rand.Text() + rand.Text()
	var expires *time.Time
	if lifetime > 0 {
		at := now().Add(lifetime)
		expires = &at
	}
	a := authorization(token, description, expires)
	err := c.Store.Update(ctx, func(tx *store.Tx) error { return tx.InsertAuthorization(a) })
	return a, token, err
}

// DeleteAuthorization revokes a token.
func (c *Controller) DeleteAuthorization(ctx context.Context, id string) (gone platform.Authorization, err error) {
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		all, err := tx.Authorizations()
		if err != nil {
			return err
		}
		for _, a := range all {
			if a.ID == id {
				gone = a
				return tx.DeleteAuthorization(id)
			}
		}
		return platform.Missing("authorization")
	})
	return gone, err
}

func authorization(token, description string, expires *time.Time) platform.Authorization {
	return platform.Authorization{
		ID: newID(), TokenID: newID(), Description: description, Scope: []string{"global"},
		TokenHash: digest(token), Hint: token[len(token)-4:], ExpiresAt: expires, CreatedAt: now(), UpdatedAt: now(),
	}
}

// digest is how a token is kept. Tokens are long and random, so that a plain
// digest cannot be reversed.
func digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// missing says whether err is that something was not found.
func missing(err error) bool {
	var e *platform.Error
	return errors.As(err, &e) && e.ID == platform.NotFound
}

package api

import (
	"strings"
	"time"

	"niwa/platform"
)

type authorizationJSON struct {
	ID           string          `json:"id"`
	Description  string          `json:"description"`
	Scope        []string        `json:"scope"`
	AccessToken  accessTokenJSON `json:"access_token"`
	Client       *named          `json:"client"`
	Grant        *justID         `json:"grant"`
	RefreshToken *justID         `json:"refresh_token"`
	Session      *justID         `json:"session"`
	User         fullUser        `json:"user"`
	CreatedAt    string          `json:"created_at"`
	UpdatedAt    string          `json:"updated_at"`
}

type accessTokenJSON struct {
	ID        string `json:"id"`
	Token     string `json:"token"`
	ExpiresIn *int   `json:"expires_in"`
}

type fullUser struct {
	user
	FullName *string `json:"full_name"`
}

// encodeAuthorization hides the token, of which only a digest is kept, as
// Heroku does: ten asterisks and its end, by which the official CLI knows its
// own.
func (c *call) encodeAuthorization(a platform.Authorization) (any, error) {
	return c.authorizationJSON(a, strings.Repeat("*", 10)+a.Hint), nil
}

func (c *call) authorizationJSON(a platform.Authorization, token string) authorizationJSON {
	out := authorizationJSON{
		ID: a.ID, Description: a.Description, Scope: a.Scope, AccessToken: accessTokenJSON{ID: a.TokenID, Token: token},
		User:      fullUser{c.user(), orNull(c.account.Name)},
		CreatedAt: stamp(a.CreatedAt), UpdatedAt: stamp(a.UpdatedAt),
	}
	if a.ExpiresAt != nil {
		left := max(0, int(time.Until(*a.ExpiresAt).Seconds()))
		out.AccessToken.ExpiresIn = &left
	}
	return out
}

func (a *API) authorizationList(c *call) (any, error) {
	all, err := a.Controller.Authorizations(c.ctx)
	if err != nil {
		return nil, err
	}
	return paged(c, all, c.encodeAuthorization,
		key[platform.Authorization]{"created_at", func(a platform.Authorization) string { return sortable(a.CreatedAt) }},
		key[platform.Authorization]{"id", func(a platform.Authorization) string { return a.ID }})
}

// authorizationOf finds the authorization of the address. ~ is the token that
// niwa made for itself, which takes the place of Heroku's API key: logging out
// must not revoke it.
func (a *API) authorizationOf(c *call) (platform.Authorization, error) {
	all, err := a.Controller.Authorizations(c.ctx)
	if err != nil {
		return platform.Authorization{}, err
	}
	id := c.param("authorization")
	for _, auth := range all {
		if auth.ID == id || id == "~" && auth.Description == "niwa" && auth.ExpiresAt == nil {
			return auth, nil
		}
	}
	return platform.Authorization{}, platform.Missing("authorization")
}

func (a *API) authorizationInfo(c *call) (any, error) {
	auth, err := a.authorizationOf(c)
	if err != nil {
		return nil, err
	}
	return c.encodeAuthorization(auth)
}

func (a *API) authorizationDelete(c *call) (any, error) {
	auth, err := a.authorizationOf(c)
	if err != nil {
		return nil, err
	}
	if auth, err = a.Controller.DeleteAuthorization(c.ctx, auth.ID); err != nil {
		return nil, err
	}
	a.limits.forget(auth.ID)
	return c.encodeAuthorization(auth)
}

// maxLifetime bounds what a token may be asked to live, in seconds.
const maxLifetime = 10 * 365 * 24 * 60 * 60

// authorizationCreate makes a token. A client logs in with it: the user's
// password is a token that is there already.
func (a *API) authorizationCreate(c *call) (any, error) {
	var in struct {
		Description *string   `json:"description"`
		ExpiresIn   *int      `json:"expires_in"`
		Scope       []string  `json:"scope"`
		Client      *identity `json:"client"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	for _, scope := range in.Scope {
		if scope != "global" {
			return nil, platform.Invalid("Scope %q is not available; tokens here have the scope global.", scope)
		}
	}
	if in.Client != nil && *in.Client != "" {
		return nil, platform.Missing("client")
	}
	description, lifetime := "", time.Duration(0)
	if in.Description != nil {
		description = *in.Description
	}
	if err := tooLong("description", description, maxText); err != nil {
		return nil, err
	}
	if in.ExpiresIn != nil {
		if *in.ExpiresIn < 1 || *in.ExpiresIn > maxLifetime {
			return nil, platform.Invalid("Field expires_in must be from 1 to %d seconds.", maxLifetime)
		}
		lifetime = time.Duration(*in.ExpiresIn) * time.Second
	}
	auth, token, err := a.Controller.CreateAuthorization(c.ctx, description, lifetime)
	if err != nil {
		return nil, err
	}
	return c.authorizationJSON(auth, token), nil
}

// sessionDelete ends a browser's session; tokens are not bound to any.
func (a *API) sessionDelete(c *call) (any, error) { return nil, platform.Missing("session") }

package api

import (
	"niwa/platform"
)

type domainJSON struct {
	ID              string  `json:"id"`
	App             named   `json:"app"`
	Hostname        string  `json:"hostname"`
	Kind            string  `json:"kind"`
	CNAME           *string `json:"cname"`
	Status          string  `json:"status"`
	ACMStatus       *string `json:"acm_status"`
	ACMStatusReason *string `json:"acm_status_reason"`
	SNIEndpoint     *named  `json:"sni_endpoint"`
	CreatedAt       string  `json:"created_at"`
	UpdatedAt       string  `json:"updated_at"`
}

// ownDomain is the one that comes with an app.
func (c *call) ownDomain() (domainJSON, error) {
	app, err := c.api.Controller.App(c.ctx, c.param("app"))
	if err != nil {
		return domainJSON{}, err
	}
	return domainJSON{
		ID: stableID("domains", app.ID), App: appRef(app), Hostname: c.api.Controller.Host(app), Kind: "heroku", Status: "none",
		CreatedAt: stamp(app.CreatedAt), UpdatedAt: stamp(app.UpdatedAt),
	}, nil
}

func (a *API) domainList(c *call) (any, error) {
	d, err := c.ownDomain()
	if err != nil {
		return nil, err
	}
	return paged(c, []domainJSON{d}, func(d domainJSON) (any, error) { return d, nil },
		key[domainJSON]{"id", func(d domainJSON) string { return d.ID }},
		key[domainJSON]{"hostname", func(d domainJSON) string { return d.Hostname }})
}

func (a *API) domainInfo(c *call) (any, error) {
	d, err := c.ownDomain()
	if err != nil {
		return nil, err
	}
	return c.only("domain", c.param("domain"), named{d.ID, d.Hostname}, d)
}

func (a *API) domainCreate(c *call) (any, error) {
	d, err := c.ownDomain()
	if err != nil {
		return nil, err
	}
	return nil, platform.Invalid("Custom domains are not available yet; the app answers at %s.", d.Hostname)
}

type collaboratorJSON struct {
	ID          string           `json:"id"`
	App         named            `json:"app"`
	User        collaboratorUser `json:"user"`
	Role        string           `json:"role"`
	Permissions []permission     `json:"permissions"`
	CreatedAt   string           `json:"created_at"`
	UpdatedAt   string           `json:"updated_at"`
}

type collaboratorUser struct {
	user
	Federated bool `json:"federated"`
}

type permission struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// collaboratorList lists the owner: this niwa has one account.
func (a *API) collaboratorList(c *call) (any, error) {
	app, err := a.Controller.App(c.ctx, c.param("app"))
	if err != nil {
		return nil, err
	}
	owner := collaboratorJSON{
		ID: stableID("collaborators", app.ID+"/"+c.account.ID), App: appRef(app), User: collaboratorUser{user: c.user()}, Role: "owner",
		Permissions: []permission{
			{"deploy", "Can push code"}, {"manage", "Can manage the app"},
			{"operate", "Can scale and configure the app"}, {"view", "Can view the app"},
		},
		CreatedAt: stamp(app.CreatedAt), UpdatedAt: stamp(app.CreatedAt),
	}
	return []any{owner}, nil
}

package api

import (
	"niwa/platform"
)

// maxHostname is what DNS allows, and "*." before it.
const maxHostname = 255

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
func (c *call) ownDomain(app platform.App) domainJSON {
	return domainJSON{
		ID: stableID("domains", app.ID), App: appRef(app), Hostname: c.api.Controller.Host(app), Kind: "heroku", Status: "none",
		CreatedAt: stamp(app.CreatedAt), UpdatedAt: stamp(app.UpdatedAt),
	}
}

// encodeDomain gives a domain the app's own host to point at: it leads to the
// router wherever the other should.
func (c *call) encodeDomain(d platform.Domain) (domainJSON, error) {
	app, err := c.appOf(d.AppID)
	if err != nil {
		return domainJSON{}, err
	}
	target := c.api.Controller.Host(app)
	out := domainJSON{
		ID: d.ID, App: appRef(app), Hostname: d.Hostname, Kind: "custom", CNAME: &target, Status: platform.Succeeded,
		ACMStatus: d.ACMStatus, ACMStatusReason: d.ACMStatusReason, CreatedAt: stamp(d.CreatedAt), UpdatedAt: stamp(d.UpdatedAt),
	}
	if d.SNIEndpointID == nil {
		return out, nil
	}
	endpoints, err := c.api.Controller.SNIEndpoints(c.ctx, d.AppID)
	for _, e := range endpoints {
		if e.ID == *d.SNIEndpointID {
			out.SNIEndpoint = &named{e.ID, e.Name}
		}
	}
	return out, err
}

// domains lists an app's own domain and then its custom ones.
func (c *call) domains() ([]domainJSON, error) {
	app, err := c.api.Controller.App(c.ctx, c.param("app"))
	if err != nil {
		return nil, err
	}
	custom, err := c.api.Controller.Domains(c.ctx, app.ID)
	if err != nil {
		return nil, err
	}
	all := []domainJSON{c.ownDomain(app)}
	for _, d := range custom {
		encoded, err := c.encodeDomain(d)
		if err != nil {
			return nil, err
		}
		all = append(all, encoded)
	}
	return all, nil
}

func (a *API) domainList(c *call) (any, error) {
	all, err := c.domains()
	if err != nil {
		return nil, err
	}
	return paged(c, all, func(d domainJSON) (any, error) { return d, nil },
		key[domainJSON]{"id", func(d domainJSON) string { return d.ID }},
		key[domainJSON]{"hostname", func(d domainJSON) string { return d.Hostname }})
}

func (a *API) domainInfo(c *call) (any, error) {
	all, err := c.domains()
	if err != nil {
		return nil, err
	}
	for _, d := range all {
		if asked := c.param("domain"); asked == d.ID || asked == d.Hostname {
			return d, nil
		}
	}
	return nil, platform.Missing("domain")
}

func (a *API) domainCreate(c *call) (any, error) {
	var in struct {
		Hostname    string   `json:"hostname"`
		SNIEndpoint identity `json:"sni_endpoint"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.Hostname == "" {
		return nil, required("hostname")
	}
	if err := tooLong("hostname", in.Hostname, maxHostname); err != nil {
		return nil, err
	}
	d, err := a.Controller.AddDomain(c.ctx, c.param("app"), in.Hostname, string(in.SNIEndpoint))
	if err != nil {
		return nil, err
	}
	return c.encodeDomain(d)
}

func (a *API) domainUpdate(c *call) (any, error) {
	var in struct {
		SNIEndpoint *identity `json:"sni_endpoint"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	var endpoint identity // null, or nothing, takes the certificate away
	if in.SNIEndpoint != nil {
		endpoint = *in.SNIEndpoint
	}
	d, err := a.Controller.SetDomainEndpoint(c.ctx, c.param("app"), c.param("domain"), string(endpoint))
	if err != nil {
		return nil, err
	}
	return c.encodeDomain(d)
}

func (a *API) domainDelete(c *call) (any, error) {
	all, err := c.domains()
	if err != nil {
		return nil, err
	}
	for _, d := range all {
		if asked := c.param("domain"); asked == d.ID || asked == d.Hostname {
			if d.Kind != "custom" {
				return nil, platform.Invalid("%s is the app's own domain and cannot be removed.", d.Hostname)
			}
			_, err := a.Controller.RemoveDomain(c.ctx, d.App.ID, d.ID)
			return d, err
		}
	}
	return nil, platform.Missing("domain")
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

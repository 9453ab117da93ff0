package api

import (
	"niwa/addons"
	"niwa/platform/controller"
)

const postgresProvider = "postgres"

type databaseJSON struct {
	AddonID         string       `json:"addon_id"`
	Name            string       `json:"name"`
	Plan            string       `json:"plan"`
	PostgresVersion string       `json:"postgres_version,omitempty"`
	ResourceURL     string       `json:"resource_url"`
	Following       *string      `json:"following"`
	Leader          *string      `json:"leader"`
	Forks           []string     `json:"forks"`
	Followers       []string     `json:"followers"`
	Info            []addons.Row `json:"info"`
	Waiting         bool         `json:"waiting?"`
	CreatedAt       string       `json:"created_at"`
}

func (a *API) databaseInfo(c *call) (any, error) {
	addon, err := a.dataAddon(c, postgresProvider)
	if err != nil {
		return nil, err
	}
	info, err := a.Controller.AddonInfo(c.ctx, addon.ID)
	if err != nil {
		return nil, err
	}
	cred, err := a.Controller.Credential(c.ctx, addon.ID, addons.Default)
	if err != nil {
		return nil, err
	}
	out := databaseJSON{
		AddonID: addon.ID, Name: addon.Name, Plan: addon.Plan, ResourceURL: urlOf(cred),
		Forks: []string{}, Followers: []string{}, Info: info, CreatedAt: stamp(addon.CreatedAt),
	}
	for _, row := range info {
		if row.Name == "PG Version" && len(row.Values) > 0 {
			out.PostgresVersion = row.Values[0]
		}
	}
	return out, nil
}

func (a *API) databaseWait(c *call) (any, error) {
	addon, err := a.dataAddon(c, postgresProvider)
	if err != nil {
		return nil, err
	}
	return statusFor(addon), nil
}

type credentialJSON struct {
	Name        string   `json:"name"`
	State       string   `json:"state"`
	Database    string   `json:"database"`
	Host        string   `json:"host"`
	Port        int      `json:"port"`
	Credentials []secret `json:"credentials"`
}

type secret struct {
	User     string `json:"user"`
	Password string `json:"password"`
	State    string `json:"state"`
}

func encodeCredential(cred controller.Credential) (any, error) {
	at, err := endpointOf(cred)
	if err != nil {
		return nil, err
	}
	return credentialJSON{
		Name: cred.Name, State: "active", Database: at.database, Host: at.host, Port: at.port,
		Credentials: []secret{{at.user, at.password, "active"}},
	}, nil
}

func (a *API) credentialList(c *call) (any, error) {
	addon, err := a.dataAddon(c, postgresProvider)
	if err != nil {
		return nil, err
	}
	all, err := a.Controller.Credentials(c.ctx, addon.ID)
	if err != nil {
		return nil, err
	}
	return encodeAll(all, encodeCredential)
}

func (a *API) credentialInfo(c *call) (any, error) {
	addon, err := a.dataAddon(c, postgresProvider)
	if err != nil {
		return nil, err
	}
	cred, err := a.Controller.Credential(c.ctx, addon.ID, c.param("credential"))
	if err != nil {
		return nil, err
	}
	return encodeCredential(cred)
}

func (a *API) credentialCreate(c *call) (any, error) {
	var in struct {
		Name string `json:"name"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.Name == "" {
		return nil, required("name")
	}
	addon, err := a.dataAddon(c, postgresProvider)
	if err != nil {
		return nil, err
	}
	cred, err := a.Controller.CreateCredential(c.ctx, addon.ID, in.Name)
	if err != nil {
		return nil, err
	}
	return encodeCredential(cred)
}

func (a *API) credentialDelete(c *call) (any, error) {
	addon, err := a.dataAddon(c, postgresProvider)
	if err != nil {
		return nil, err
	}
	return nil, a.Controller.DestroyCredential(c.ctx, addon.ID, c.param("credential"))
}

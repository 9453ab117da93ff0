package client

import (
	"context"
	"net/http"
)

// Addon is what niwa's commands read of an add-on. State is one of
// platform's Addon states.
type Addon struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	State   string `json:"state"`
	Message string `json:"provision_message"`
	Service struct {
		Name string `json:"name"`
	} `json:"addon_service"`
}

// Attachment is what niwa's commands read of an attachment.
type Attachment struct {
	Name      string  `json:"name"`
	Namespace *string `json:"namespace"`
	Addon     struct {
		Name string `json:"name"`
	} `json:"addon"`
}

// Addons lists the add-ons that an app owns.
func (c *Client) Addons(ctx context.Context, app string) ([]Addon, error) {
	return list[Addon](ctx, c, pathOf("apps", app, "addons"))
}

// Addon finds an add-on by its name or id.
func (c *Client) Addon(ctx context.Context, addon string) (Addon, error) {
	var a Addon
	return a, c.call(ctx, http.MethodGet, pathOf("addons", addon), nil, &a,
		"X-Heroku-Legacy-Provider-Messages", "true")
}

// CreateAddon asks for a plan, such as heroku-redis:mini. The add-on may
// still be provisioning when it returns.
func (c *Client) CreateAddon(ctx context.Context, app, plan string) (Addon, error) {
	var a Addon
	return a, c.call(ctx, http.MethodPost, pathOf("apps", app, "addons"),
		map[string]any{"plan": map[string]string{"name": plan}}, &a)
}

// Attachments lists what is attached to an app.
func (c *Client) Attachments(ctx context.Context, app string) ([]Attachment, error) {
	return list[Attachment](ctx, c, pathOf("apps", app, "addon-attachments"))
}

// Attach attaches one credential of an add-on to an app under a name.
func (c *Client) Attach(ctx context.Context, app, addon, name, credential string) (Attachment, error) {
	var a Attachment
	return a, c.call(ctx, http.MethodPost, "/addon-attachments", map[string]any{
		"app":       map[string]string{"name": app},
		"addon":     map[string]string{"name": addon},
		"name":      name,
		"namespace": "credential:" + credential,
	}, &a)
}

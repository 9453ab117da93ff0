package client

import (
	"context"
	"net/http"
)

// App is what niwa's commands read of an app.
type App struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	WebURL string `json:"web_url"`
}

// Dyno is what niwa's commands read of a dyno.
type Dyno struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	State   string `json:"state"`
	Release struct {
		Version int `json:"version"`
	} `json:"release"`
}

// Apps lists every app of the account.
func (c *Client) Apps(ctx context.Context) ([]App, error) {
	return list[App](ctx, c, "/apps")
}

// App finds an app by its name or id.
func (c *Client) App(ctx context.Context, app string) (App, error) {
	var a App
	return a, c.call(ctx, http.MethodGet, pathOf("apps", app), nil, &a)
}

// CreateApp makes an app with the name.
func (c *Client) CreateApp(ctx context.Context, name string) (App, error) {
	var a App
	return a, c.call(ctx, http.MethodPost, "/apps", map[string]string{"name": name}, &a)
}

// Dynos lists an app's dynos.
func (c *Client) Dynos(ctx context.Context, app string) ([]Dyno, error) {
	return list[Dyno](ctx, c, pathOf("apps", app, "dynos"))
}

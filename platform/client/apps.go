package client

import (
	"context"
	"io"
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

// DestroyApp destroys an app with its add-ons.
func (c *Client) DestroyApp(ctx context.Context, app string) error {
	return c.call(ctx, http.MethodDelete, pathOf("apps", app), nil, nil)
}

// EnableFeature turns a feature of an app on.
func (c *Client) EnableFeature(ctx context.Context, app, feature string) error {
	return c.call(ctx, http.MethodPatch, pathOf("apps", app, "features", feature), map[string]bool{"enabled": true}, nil)
}

// Logs writes the last lines of a dyno's log to w, those of the platform.
func (c *Client) Logs(ctx context.Context, app, dyno string, lines int, w io.Writer) error {
	var session struct {
		URL string `json:"logplex_url"`
	}
	err := c.call(ctx, http.MethodPost, pathOf("apps", app, "log-sessions"),
		map[string]any{"dyno": dyno, "lines": lines, "source": "heroku"}, &session)
	if err != nil {
		return err
	}
	return c.Stream(ctx, session.URL, w)
}

// Dynos lists an app's dynos.
func (c *Client) Dynos(ctx context.Context, app string) ([]Dyno, error) {
	return list[Dyno](ctx, c, pathOf("apps", app, "dynos"))
}

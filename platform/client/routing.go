package client

import (
	"context"
	"net/http"
)

// Routing is how an app's requests are routed.
type Routing struct {
	Policy  string         `json:"policy"`
	Weights map[string]int `json:"weights"` // those that are not 1, by the names of dynos
	Dynos   []RoutedDyno   `json:"dynos"`
}

// RoutedDyno is a web dyno as the policy sees it.
type RoutedDyno struct {
	Name        string `json:"name"`
	Weight      int    `json:"weight"`
	InFlight    *int   `json:"in_flight"` // nil where no router tells
	Quarantined bool   `json:"quarantined"`
}

// Routing tells how an app's requests are routed.
func (c *Client) Routing(ctx context.Context, app string) (Routing, error) {
	var r Routing
	return r, c.call(ctx, http.MethodGet, pathOf("niwa", "apps", app, "routing"), nil, &r)
}

// SetRouting sets the policy of an app, unless it is empty, and the weights of
// the dynos that are named.
func (c *Client) SetRouting(ctx context.Context, app, policy string, weights map[string]int) (Routing, error) {
	in := map[string]any{"weights": weights}
	if policy != "" {
		in["policy"] = policy
	}
	var r Routing
	return r, c.call(ctx, http.MethodPatch, pathOf("niwa", "apps", app, "routing"), in, &r)
}

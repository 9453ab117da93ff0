package api

import "niwa/platform/controller"

type routingJSON struct {
	App     named            `json:"app"`
	Policy  string           `json:"policy"`
	Weights map[string]int   `json:"weights"`
	Dynos   []routedDynoJSON `json:"dynos"`
}

type routedDynoJSON struct {
	Name        string `json:"name"`
	Weight      int    `json:"weight"`
	InFlight    *int   `json:"in_flight"`
	Quarantined bool   `json:"quarantined"`
}

// routingInfo and routingUpdate are no links of the Platform API: Heroku has
// one policy.
func (a *API) routingInfo(c *call) (any, error) {
	app, dynos, err := a.Controller.Routing(c.ctx, c.param("app"))
	if err != nil {
		return nil, err
	}
	out := routingJSON{App: appRef(app), Policy: app.Routing.Policy, Weights: app.Routing.Weights, Dynos: []routedDynoJSON{}}
	if out.Weights == nil {
		out.Weights = map[string]int{}
	}
	for _, d := range dynos {
		out.Dynos = append(out.Dynos, routedDynoJSON(d))
	}
	return out, nil
}

func (a *API) routingUpdate(c *call) (any, error) {
	var in struct {
		Policy  *string        `json:"policy"`
		Weights map[string]int `json:"weights"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	err := a.Controller.UpdateRouting(c.ctx, c.param("app"), controller.RoutingUpdate{Policy: in.Policy, Weights: in.Weights})
	if err != nil {
		return nil, err
	}
	return a.routingInfo(c)
}

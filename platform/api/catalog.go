package api

import (
	"niwa/addons/catalog"
	"niwa/platform"
)

type serviceJSON struct {
	ID                            string  `json:"id"`
	Name                          string  `json:"name"`
	HumanName                     string  `json:"human_name"`
	State                         string  `json:"state"`
	CLIPluginName                 *string `json:"cli_plugin_name"`
	SupportedGenerations          []named `json:"supported_generations"`
	SupportsMultipleInstallations bool    `json:"supports_multiple_installations"`
	SupportsSharing               bool    `json:"supports_sharing"`
	CreatedAt                     string  `json:"created_at"`
	UpdatedAt                     string  `json:"updated_at"`
}

// encodeService dates services, as all that the catalog holds, from the day
// this niwa was first started.
func (c *call) encodeService(s catalog.Service) serviceJSON {
	return serviceJSON{
		ID: s.ID, Name: s.Slug, HumanName: s.Name, State: "ga", SupportedGenerations: []named{generationRef()},
		SupportsMultipleInstallations: true, SupportsSharing: true,
		CreatedAt: stamp(c.account.CreatedAt), UpdatedAt: stamp(c.account.CreatedAt),
	}
}

type priceJSON struct {
	Cents    int    `json:"cents"`
	Contract bool   `json:"contract"`
	Unit     string `json:"unit"`
}

// planPriceJSON adds what the official CLI reads beyond the published schema.
type planPriceJSON struct {
	priceJSON
	Metered bool `json:"metered"`
}

func price(p catalog.Plan) planPriceJSON {
	return planPriceJSON{priceJSON: priceJSON{Cents: p.Cents, Unit: "month"}}
}

type planJSON struct {
	ID                               string        `json:"id"`
	Name                             string        `json:"name"`
	HumanName                        string        `json:"human_name"`
	Description                      string        `json:"description"`
	AddonService                     named         `json:"addon_service"`
	Price                            planPriceJSON `json:"price"`
	Default                          bool          `json:"default"`
	State                            string        `json:"state"`
	Visible                          bool          `json:"visible"`
	Compliance                       []string      `json:"compliance"`
	InstallableInsidePrivateNetwork  bool          `json:"installable_inside_private_network"`
	InstallableOutsidePrivateNetwork bool          `json:"installable_outside_private_network"`
	SpaceDefault                     bool          `json:"space_default"`
	CreatedAt                        string        `json:"created_at"`
	UpdatedAt                        string        `json:"updated_at"`
}

func (c *call) encodePlan(p catalog.Plan, s catalog.Service) planJSON {
	return planJSON{
		ID: p.ID, Name: p.Name, HumanName: p.HumanName, Description: s.Name + " " + p.HumanName,
		AddonService: serviceRef(s), Price: price(p), Default: p.Default, State: "ga", Visible: true,
		InstallableOutsidePrivateNetwork: true,
		CreatedAt:                        stamp(c.account.CreatedAt), UpdatedAt: stamp(c.account.CreatedAt),
	}
}

func (a *API) serviceList(c *call) (any, error) {
	return paged(c, a.Catalog.Services(), func(s catalog.Service) (any, error) { return c.encodeService(s), nil },
		key[catalog.Service]{"name", func(s catalog.Service) string { return s.Slug }},
		key[catalog.Service]{"id", func(s catalog.Service) string { return s.ID }})
}

func (a *API) service(c *call) (catalog.Service, error) {
	if s, ok := a.Catalog.Service(c.param("service")); ok {
		return s, nil
	}
	return catalog.Service{}, platform.Missing("add_on service")
}

func (a *API) serviceInfo(c *call) (any, error) {
	s, err := a.service(c)
	if err != nil {
		return nil, err
	}
	return c.encodeService(s), nil
}

func (a *API) planList(c *call) (any, error) {
	s, err := a.service(c)
	if err != nil {
		return nil, err
	}
	return encodeAll(s.Plans, func(p catalog.Plan) (any, error) { return c.encodePlan(p, s), nil })
}

// planInfo finds a plan by its full name or id, or within a service by the
// short one.
func (a *API) planInfo(c *call) (any, error) {
	name, within := c.param("plan"), c.param("service")
	p, s, ok := a.Catalog.Plan(name)
	if !ok && within != "" {
		p, s, ok = a.Catalog.Plan(within + ":" + name)
	}
	if !ok || within != "" && within != s.Slug && within != s.ID {
		return nil, platform.Missing("plan")
	}
	return c.encodePlan(p, s), nil
}

package api

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"niwa/addons/catalog"
	"niwa/platform"
)

type addonJSON struct {
	ID               string        `json:"id"`
	Name             string        `json:"name"`
	App              named         `json:"app"`
	AddonService     any           `json:"addon_service"`
	Plan             any           `json:"plan"`
	BillingEntity    billingEntity `json:"billing_entity"`
	BilledPrice      *priceJSON    `json:"billed_price"`
	ConfigVars       []string      `json:"config_vars"`
	State            string        `json:"state"`
	ProviderID       string        `json:"provider_id"`
	WebURL           string        `json:"web_url"`
	Actions          []struct{}    `json:"actions"`
	ProvisionMessage *string       `json:"provision_message,omitempty"`
	CreatedAt        string        `json:"created_at"`
	UpdatedAt        string        `json:"updated_at"`
}

type billingEntity struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"`
}

func (c *call) encodeAddon(a platform.Addon) (any, error) { return c.addonJSON(a) }

// addonJSON gives the whole service and plan when the client asks for it with
// Accept-Expansion.
func (c *call) addonJSON(a platform.Addon) (addonJSON, error) {
	app, err := c.appOf(a.AppID)
	if err != nil {
		return addonJSON{}, err
	}
	vars, err := c.varsOf(a)
	if err != nil {
		return addonJSON{}, err
	}
	out := addonJSON{
		ID: a.ID, Name: a.Name, App: appRef(app), BillingEntity: billingEntity{app.ID, app.Name, "app"},
		ConfigVars: vars, State: a.State, ProviderID: a.ID, WebURL: c.addonURL(a), Actions: []struct{}{},
		CreatedAt: stamp(a.CreatedAt), UpdatedAt: stamp(a.UpdatedAt),
		// A plan that is no longer in the catalog is still what the add-on has.
		AddonService: named{stableID("addon-services", a.Service), a.Service},
		Plan:         named{stableID("plans", a.Plan), a.Plan},
	}
	if plan, service, ok := c.api.Catalog.Plan(a.Plan); ok {
		price := price(plan)
		out.BilledPrice = &price.priceJSON
		out.AddonService, out.Plan = serviceRef(service), planRef(plan)
		if c.wants("Accept-Expansion", "addon_service") {
			out.AddonService = c.encodeService(service)
		}
		if c.wants("Accept-Expansion", "plan") {
			out.Plan = c.encodePlan(plan, service)
		}
	}
	if c.Get("X-Heroku-Legacy-Provider-Messages") == "true" {
		out.ProvisionMessage = &a.ProvisionMessage
	}
	return out, nil
}

// varsOf names the config vars that an add-on sets in the app that owns it.
func (c *call) varsOf(a platform.Addon) ([]string, error) {
	all, err := c.api.Controller.Attachments(c.ctx, "", a.ID)
	names := []string{}
	for _, t := range all {
		if t.AppID != a.AppID {
			continue
		}
		vars, err := c.api.Controller.AttachmentVars(c.ctx, t)
		if err != nil {
			return nil, err
		}
		names = append(names, slices.Sorted(maps.Keys(vars))...)
	}
	return names, err
}

const addonPath = "/addon-pages/"

// addonURL is the page of an add-on.
func (c *call) addonURL(a platform.Addon) string {
	return c.api.sign.url(c.api.BaseURL, http.MethodGet, addonPath+a.ID, nil, lasting(time.Now()))
}

type attachmentJSON struct {
	ID          string      `json:"id"`
	Name        string      `json:"name"`
	Addon       attachedRef `json:"addon"`
	App         named       `json:"app"`
	Namespace   *string     `json:"namespace"`
	ConfigVars  *[]string   `json:"config_vars,omitempty"`
	WebURL      string      `json:"web_url"`
	LogInputURL *string     `json:"log_input_url"`
	CreatedAt   string      `json:"created_at"`
	UpdatedAt   string      `json:"updated_at"`
}

type attachedRef struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	App  named  `json:"app"`
	Plan *named `json:"plan,omitempty"`
}

// encodeAttachment adds what the client asks for with Accept-Inclusion.
func (c *call) encodeAttachment(t platform.Attachment) (any, error) {
	addon, err := c.api.Controller.Addon(c.ctx, t.AddonID)
	if err != nil {
		return nil, err
	}
	owner, err := c.appOf(addon.AppID)
	if err != nil {
		return nil, err
	}
	app, err := c.appOf(t.AppID)
	if err != nil {
		return nil, err
	}
	out := attachmentJSON{
		ID: t.ID, Name: t.Name, Addon: attachedRef{ID: addon.ID, Name: addon.Name, App: appRef(owner)},
		App: appRef(app), Namespace: t.Namespace, WebURL: c.addonURL(addon),
		CreatedAt: stamp(t.CreatedAt), UpdatedAt: stamp(t.UpdatedAt),
	}
	if c.wants("Accept-Inclusion", "addon:plan") {
		out.Addon.Plan = &named{stableID("plans", addon.Plan), addon.Plan}
		if plan, _, ok := c.api.Catalog.Plan(addon.Plan); ok {
			ref := planRef(plan)
			out.Addon.Plan = &ref
		}
	}
	if c.wants("Accept-Inclusion", "config_vars") {
		vars, err := c.api.Controller.AttachmentVars(c.ctx, t)
		if err != nil {
			return nil, err
		}
		names := append([]string{}, slices.Sorted(maps.Keys(vars))...)
		out.ConfigVars = &names
	}
	return out, nil
}

func serviceRef(s catalog.Service) named { return named{s.ID, s.Slug} }
func planRef(p catalog.Plan) named       { return named{p.ID, p.Name} }

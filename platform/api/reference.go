package api

import (
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"niwa/platform"
	"niwa/platform/controller"
)

// What there are few or none of here, but clients ask for: regions, stacks,
// generations, dyno sizes, features, teams.

type regionJSON struct {
	named
	Country        string         `json:"country"`
	Description    string         `json:"description"`
	Locale         string         `json:"locale"`
	PrivateCapable bool           `json:"private_capable"`
	Provider       regionProvider `json:"provider"`
	CreatedAt      string         `json:"created_at"`
	UpdatedAt      string         `json:"updated_at"`
}

type regionProvider struct {
	Name   string `json:"name"`
	Region string `json:"region"`
}

// region is this machine, under the name and in the place that clients expect.
func (c *call) region() regionJSON {
	return regionJSON{
		named: regionRef(), Country: "United States", Description: "United States (this machine)", Locale: "this machine",
		Provider: regionProvider{"niwa", "us-east-1"}, CreatedAt: stamp(c.account.CreatedAt), UpdatedAt: stamp(c.account.CreatedAt),
	}
}

func (a *API) regionList(c *call) (any, error) { return []any{c.region()}, nil }

func (a *API) regionInfo(c *call) (any, error) {
	return c.only("region", c.param("region"), c.region().named, c.region())
}

// only is the one thing there is of its kind.
func (c *call) only(kind, asked string, ref named, thing any) (any, error) {
	if asked != ref.ID && asked != ref.Name {
		return nil, platform.Missing(kind)
	}
	return thing, nil
}

type stackJSON struct {
	named
	Default   bool   `json:"default"`
	State     string `json:"state"`
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
}

func (c *call) encodeStack(name string) (any, error) {
	return stackJSON{stackRef(name), name == platform.DefaultStack, "public", stamp(c.account.CreatedAt), stamp(c.account.CreatedAt)}, nil
}

func (a *API) stackList(c *call) (any, error) {
	if app := c.param("app"); app != "" {
		if _, err := a.Controller.App(c.ctx, app); err != nil {
			return nil, err
		}
	}
	return encodeAll(controller.Stacks(), c.encodeStack)
}

func (a *API) stackInfo(c *call) (any, error) {
	name := stackNamed(c.param("stack"))
	if !slices.Contains(controller.Stacks(), name) {
		return nil, platform.Missing("stack")
	}
	return c.encodeStack(name)
}

type generationJSON struct {
	named
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
}

func (c *call) generation() generationJSON {
	return generationJSON{generationRef(), stamp(c.account.CreatedAt), stamp(c.account.CreatedAt)}
}

func (a *API) generationList(c *call) (any, error) { return []any{c.generation()}, nil }

func (a *API) generationInfo(c *call) (any, error) {
	return c.only("generation", c.param("generation"), c.generation().named, c.generation())
}

type sizeJSON struct {
	named
	Architecture     string   `json:"architecture"`
	Compute          int      `json:"compute"`
	Cost             sizeCost `json:"cost"`
	Dedicated        bool     `json:"dedicated"`
	Generation       named    `json:"generation"`
	Memory           float64  `json:"memory"` // GB
	DynoUnits        float64  `json:"precise_dyno_units"`
	PrivateSpaceOnly bool     `json:"private_space_only"`
}

type sizeCost struct {
	Cents int    `json:"cents"`
	Unit  string `json:"unit"`
}

func encodeSize(s platform.DynoSize) (any, error) {
	return sizeJSON{
		named: named{s.ID, s.Name}, Architecture: "x86_64", Compute: s.Compute, Cost: sizeCost{s.Cents, "month"},
		Dedicated: s.Dedicated, Generation: generationRef(), Memory: float64(s.MemoryMB) / 1024, DynoUnits: s.Units,
	}, nil
}

func (a *API) sizeList(c *call) (any, error) {
	if app := c.param("app"); app != "" {
		if _, err := a.Controller.App(c.ctx, app); err != nil {
			return nil, err
		}
	}
	return encodeAll(platform.DynoSizes(), encodeSize)
}

func (a *API) sizeInfo(c *call) (any, error) {
	for _, s := range platform.DynoSizes() {
		if s.ID == c.param("size") || strings.EqualFold(s.Name, c.param("size")) {
			return encodeSize(s)
		}
	}
	return nil, platform.Missing("dyno_size")
}

// none lists what there is none of, in an app when the address names one.
func (a *API) none(c *call) (any, error) {
	if app := c.param("app"); app != "" {
		if _, err := a.Controller.App(c.ctx, app); err != nil {
			return nil, err
		}
	}
	return []any{}, nil
}

// noSuch says that there is none of a kind.
func (a *API) noSuch(kind string) func(*call) (any, error) {
	return func(c *call) (any, error) {
		if _, err := a.none(c); err != nil {
			return nil, err
		}
		return nil, platform.Missing(kind)
	}
}

// currentStatus is status.heroku.com's answer: whoever gets it sees that niwa
// answers.
func (a *API) currentStatus(f *fiber.Ctx) error {
	type system struct {
		System string `json:"system"`
		Status string `json:"status"`
	}
	return sendJSON(f, 200, map[string]any{
		"status":    []system{{"Apps", "green"}, {"Data", "green"}, {"Tools", "green"}},
		"incidents": []any{}, "scheduled": []any{},
	})
}

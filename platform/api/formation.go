package api

import (
	"niwa/platform"
	"niwa/platform/controller"
)

type formationJSON struct {
	ID        string `json:"id"`
	App       named  `json:"app"`
	Type      string `json:"type"`
	Command   string `json:"command"`
	Quantity  int    `json:"quantity"`
	Size      string `json:"size"`
	DynoSize  named  `json:"dyno_size"`
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
}

func (c *call) encodeFormation(f platform.Formation) (any, error) {
	app, err := c.appOf(f.AppID)
	if err != nil {
		return nil, err
	}
	return formationJSON{
		ID: f.ID, App: appRef(app), Type: f.Type, Command: f.Command, Quantity: f.Quantity, Size: f.Size,
		DynoSize: sizeRef(f.Size), CreatedAt: stamp(f.CreatedAt), UpdatedAt: stamp(f.UpdatedAt),
	}, nil
}

func (a *API) formationList(c *call) (any, error) {
	all, err := a.Controller.Formation(c.ctx, c.param("app"))
	if err != nil {
		return nil, err
	}
	return encodeAll(all, c.encodeFormation)
}

func (a *API) formationInfo(c *call) (any, error) {
	all, err := a.Controller.Formation(c.ctx, c.param("app"))
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		if f.Type == c.param("type") || f.ID == c.param("type") {
			return c.encodeFormation(f)
		}
	}
	return nil, platform.Missing("formation")
}

// formationUpdate is what a client may change of a process type.
type formationUpdate struct {
	Quantity *quantity `json:"quantity"`
	Size     *identity `json:"size"`
	DynoSize *identity `json:"dyno_size"` // what newer clients send for size
}

func (u formationUpdate) verb(processType string) controller.FormationUpdate {
	out := controller.FormationUpdate{Type: processType, Quantity: (*string)(u.Quantity)}
	size := u.Size
	if size == nil {
		size = u.DynoSize
	}
	if size != nil {
		name := sizeNamed(string(*size))
		out.Size = &name
	}
	return out
}

// sizeNamed turns the id of a dyno size into its name.
func sizeNamed(nameOrID string) string {
	for _, s := range platform.DynoSizes() {
		if s.ID == nameOrID {
			return s.Name
		}
	}
	return nameOrID
}

func (a *API) formationUpdate(c *call) (any, error) {
	var in formationUpdate
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	changed, err := a.Controller.UpdateFormation(c.ctx, c.param("app"), []controller.FormationUpdate{in.verb(c.param("type"))})
	if err != nil {
		return nil, err
	}
	return c.encodeFormation(changed[0])
}

func (a *API) formationBatch(c *call) (any, error) {
	var in struct {
		Updates []struct {
			Type     string    `json:"type"`
			Process  *string   `json:"process"` // what older clients send for type
			Quantity *quantity `json:"quantity"`
			Size     *identity `json:"size"`
			DynoSize *identity `json:"dyno_size"`
		} `json:"updates"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if len(in.Updates) == 0 {
		return nil, required("updates")
	}
	var updates []controller.FormationUpdate
	for _, u := range in.Updates {
		if u.Type == "" && u.Process != nil {
			u.Type = *u.Process
		}
		if u.Type == "" {
			return nil, required("updates.type")
		}
		updates = append(updates, formationUpdate{u.Quantity, u.Size, u.DynoSize}.verb(u.Type))
	}
	changed, err := a.Controller.UpdateFormation(c.ctx, c.param("app"), updates)
	if err != nil {
		return nil, err
	}
	return encodeAll(changed, c.encodeFormation)
}

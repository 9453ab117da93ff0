package api

import (
	"regexp"

	"niwa/platform"
	"niwa/platform/controller"
)

type dynoJSON struct {
	ID        string     `json:"id"`
	App       named      `json:"app"`
	Name      string     `json:"name"`
	Type      string     `json:"type"`
	State     string     `json:"state"`
	Size      string     `json:"size"`
	Command   string     `json:"command"`
	AttachURL *string    `json:"attach_url"`
	Release   releaseRef `json:"release"`
	CreatedAt string     `json:"created_at"`
	UpdatedAt string     `json:"updated_at"`
}

type releaseRef struct {
	ID      string `json:"id"`
	Version int    `json:"version"`
}

func (c *call) encodeDyno(d platform.Dyno) (any, error) {
	app, err := c.appOf(d.AppID)
	if err != nil {
		return nil, err
	}
	return dynoJSON{
		ID: d.ID, App: appRef(app), Name: d.Name, Type: d.Type, State: d.State, Size: d.Size, Command: d.Command,
		AttachURL: orNull(d.AttachURL), Release: releaseRef{d.ReleaseID, d.Version},
		CreatedAt: stamp(d.CreatedAt), UpdatedAt: stamp(d.UpdatedAt),
	}, nil
}

func (a *API) dynoList(c *call) (any, error) {
	all, err := a.Controller.Dynos(c.ctx, c.param("app"))
	if err != nil {
		return nil, err
	}
	return encodeAll(all, c.encodeDyno)
}

func (a *API) dynoInfo(c *call) (any, error) {
	d, err := a.Controller.Dyno(c.ctx, c.param("app"), c.param("dyno"))
	if err != nil {
		return nil, err
	}
	return c.encodeDyno(d)
}

const maxCommand = 32 << 10

func (a *API) dynoCreate(c *call) (any, error) {
	var in struct {
		Command    string            `json:"command"`
		Attach     bool              `json:"attach"`
		Env        map[string]scalar `json:"env"` // the official CLI sends COLUMNS as a number
		ForceNoTTY *bool             `json:"force_no_tty"`
		Size       *identity         `json:"size"`
		Type       *string           `json:"type"`
		TimeToLive *int              `json:"time_to_live"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.Command == "" {
		return nil, required("command")
	}
	if in.TimeToLive != nil {
		return nil, platform.Invalid("time_to_live is not available; stop the dyno when it is no longer needed.")
	}
	if err := tooLong("command", in.Command, maxCommand); err != nil {
		return nil, err
	}
	req := controller.RunRequest{
		Command: in.Command, Attach: in.Attach, Env: map[string]string{}, ForceNoTTY: in.ForceNoTTY != nil && *in.ForceNoTTY,
	}
	for name, value := range in.Env {
		req.Env[name] = string(value)
	}
	if in.Size != nil {
		req.Size = sizeNamed(string(*in.Size))
	}
	if in.Type != nil {
		req.Type = *in.Type
	}
	if err := checkRun(req); err != nil {
		return nil, err
	}
	d, err := a.Controller.Run(c.ctx, c.param("app"), req)
	if err != nil {
		return nil, err
	}
	return c.encodeDyno(d)
}

var (
	envName     = regexp.MustCompile(`^\w+$`)
	processType = regexp.MustCompile(`^[-\w]{1,128}$`)
)

func checkRun(req controller.RunRequest) error {
	size := 0
	for name, value := range req.Env {
		size += len(name) + len(value)
		if !envName.MatchString(name) {
			return platform.Invalid("Names in env hold letters, digits and underscores; %q does not.", name)
		}
	}
	if size > maxCommand {
		return platform.Invalid("Field env may hold %d bytes, not %d.", maxCommand, size)
	}
	if req.Type != "" && !processType.MatchString(req.Type) {
		return platform.Invalid("Field type holds up to 128 letters, digits, dashes and underscores.")
	}
	return nil
}

// dynoInside would run a command in a dyno that runs already.
func (a *API) dynoInside(c *call) (any, error) {
	if _, err := a.Controller.Dyno(c.ctx, c.param("app"), c.param("dyno")); err != nil {
		return nil, err
	}
	return nil, platform.Invalid("Commands cannot be run inside a running dyno here. Use \"heroku run\", which starts a dyno of its own with the same slug and config vars.")
}

// dynoRestart stops dynos, which makes the platform start them anew: all of
// the app, one by name, or those of a type. Stopping means the same for a
// place of the formation; a one-off dyno ends.
func (a *API) dynoRestart(c *call) (any, error) {
	which := c.param("dyno")
	if which == "" {
		which = c.param("type")
	}
	return nil, a.Controller.Restart(c.ctx, c.param("app"), which)
}

package api

import "niwa/platform"

type featureJSON struct {
	ID            string `json:"id"`
	Name          string `json:"name"`
	DisplayName   string `json:"display_name"`
	Description   string `json:"description"`
	DocURL        string `json:"doc_url"`
	FeedbackEmail string `json:"feedback_email"`
	Enabled       bool   `json:"enabled"`
	State         string `json:"state"`
	CreatedAt     string `json:"created_at"`
	UpdatedAt     string `json:"updated_at"`
}

// encodeFeature tells apart what the official client lists as features and what
// as labs: there the state is anything but general.
func (c *call) encodeFeature(f platform.Feature) (any, error) {
	state := "general"
	if f.Labs {
		state = "public"
	}
	return featureJSON{
		ID: f.ID, Name: f.Name, DisplayName: f.DisplayName, Description: f.Description, DocURL: f.DocURL, FeedbackEmail: c.user().Email,
		Enabled: f.Enabled, State: state, CreatedAt: stamp(f.CreatedAt), UpdatedAt: stamp(f.UpdatedAt),
	}, nil
}

func (a *API) featureList(c *call) (any, error) {
	all, err := a.Controller.Features(c.ctx, c.param("app"))
	if err != nil {
		return nil, err
	}
	return paged(c, all, c.encodeFeature,
		key[platform.Feature]{"name", func(f platform.Feature) string { return f.Name }},
		key[platform.Feature]{"id", func(f platform.Feature) string { return f.ID }})
}

func (a *API) featureInfo(c *call) (any, error) {
	f, err := a.Controller.Feature(c.ctx, c.param("app"), c.param("feature"))
	if err != nil {
		return nil, err
	}
	return c.encodeFeature(f)
}

func (a *API) featureUpdate(c *call) (any, error) {
	var in struct {
		Enabled *bool `json:"enabled"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.Enabled == nil {
		return nil, platform.Invalid("Field enabled is required: true or false.")
	}
	f, err := a.Controller.SetFeature(c.ctx, c.param("app"), c.param("feature"), *in.Enabled)
	if err != nil {
		return nil, err
	}
	return c.encodeFeature(f)
}

package api

import "niwa/platform"

// maxText bounds texts for people: descriptions, versions.
const maxText = 1024

type releaseJSON struct {
	ID                  string     `json:"id"`
	App                 named      `json:"app"`
	Version             int        `json:"version"`
	Description         string     `json:"description"`
	Status              string     `json:"status"`
	Current             bool       `json:"current"`
	EligibleForRollback bool       `json:"eligible_for_rollback"`
	Slug                *justID    `json:"slug"`
	Artifacts           []artifact `json:"artifacts"`
	AddonPlanNames      []string   `json:"addon_plan_names"`
	OutputStreamURL     *string    `json:"output_stream_url"`
	User                user       `json:"user"`
	CreatedAt           string     `json:"created_at"`
	UpdatedAt           string     `json:"updated_at"`
}

type artifact struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

func (c *call) encodeRelease(r platform.Release) (any, error) {
	app, err := c.appOf(r.AppID)
	if err != nil {
		return nil, err
	}
	out := releaseJSON{
		ID: r.ID, App: appRef(app), Version: r.Version, Description: r.Description, Status: r.Status,
		Current: r.Current, EligibleForRollback: r.EligibleForRollback, Artifacts: []artifact{},
		AddonPlanNames: r.AddonPlanNames, User: c.user(),
		CreatedAt: stamp(r.CreatedAt), UpdatedAt: stamp(r.UpdatedAt),
	}
	if r.SlugID != nil {
		out.Slug = &justID{*r.SlugID}
		out.Artifacts = []artifact{{"slug", *r.SlugID}}
	}
	if r.HasOutput {
		out.OutputStreamURL = orNull(c.outputURL(r.ID))
	}
	return out, nil
}

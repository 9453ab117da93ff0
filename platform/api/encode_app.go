package api

import (
	"niwa/platform"
	"niwa/platform/controller"
)

// The one region and the one generation of apps.
const (
	regionName     = "us"
	generationName = "cedar"
)

// stackNamed turns the id of a stack into its name.
func stackNamed(nameOrID string) string {
	for _, name := range controller.Stacks() {
		if nameOrID == stableID("stacks", name) {
			return name
		}
	}
	return nameOrID
}

func stackRef(name string) named      { return named{stableID("stacks", name), name} }
func regionRef() named                { return named{stableID("regions", regionName), regionName} }
func generationRef() named            { return named{stableID("generations", generationName), generationName} }
func appRef(a platform.App) named     { return named{a.ID, a.Name} }
func sizeRef(name string) (ref named) { s, _ := platform.SizeNamed(name); return named{s.ID, s.Name} }

type appJSON struct {
	ID                           string  `json:"id"`
	Name                         string  `json:"name"`
	Owner                        user    `json:"owner"`
	Region                       named   `json:"region"`
	Stack                        named   `json:"stack"`
	BuildStack                   named   `json:"build_stack"`
	Generation                   named   `json:"generation"`
	WebURL                       string  `json:"web_url"`
	GitURL                       string  `json:"git_url"`
	Maintenance                  bool    `json:"maintenance"`
	ACM                          bool    `json:"acm"`
	BuildpackProvidedDescription *string `json:"buildpack_provided_description"`
	RepoSize                     *int64  `json:"repo_size"`
	SlugSize                     *int64  `json:"slug_size"`
	InternalRouting              *bool   `json:"internal_routing"`
	Space                        *named  `json:"space"`
	Team                         *named  `json:"team"`
	Organization                 *named  `json:"organization"`
	ArchivedAt                   *string `json:"archived_at"`
	CreatedAt                    string  `json:"created_at"`
	ReleasedAt                   *string `json:"released_at"`
	UpdatedAt                    string  `json:"updated_at"`

	// Not in the published schema, but read by the official CLI.
	CreateStatus string `json:"create_status"`
	ProcessTier  string `json:"process_tier"`
	Locked       bool   `json:"locked"`
}

func (c *call) encodeApp(a platform.App) (any, error) {
	return appJSON{
		ID: a.ID, Name: a.Name, Owner: c.user(), Region: regionRef(), Generation: generationRef(),
		Stack: stackRef(a.Stack), BuildStack: stackRef(a.BuildStack),
		WebURL: c.api.Controller.WebURL(a), GitURL: c.api.Controller.GitURL(a.Name), Maintenance: a.Maintenance, ACM: a.ACM,
		BuildpackProvidedDescription: a.BuildpackProvidedDescription, RepoSize: a.RepoSize, SlugSize: a.SlugSize,
		CreatedAt: stamp(a.CreatedAt), UpdatedAt: stamp(a.UpdatedAt), ReleasedAt: maybeStamp(a.ReleasedAt),
		CreateStatus: "complete", ProcessTier: "production",
	}, nil
}

package api

import (
	"cmp"

	"niwa/platform"
)

type buildJSON struct {
	ID              string          `json:"id"`
	App             justID          `json:"app"`
	Status          string          `json:"status"`
	Stack           string          `json:"stack"`
	Buildpacks      []buildpackJSON `json:"buildpacks"`
	SourceBlob      sourceBlob      `json:"source_blob"`
	OutputStreamURL string          `json:"output_stream_url"`
	Slug            *justID         `json:"slug"`
	Release         *justID         `json:"release"`
	User            user            `json:"user"`
	CreatedAt       string          `json:"created_at"`
	UpdatedAt       string          `json:"updated_at"`
}

type sourceBlob struct {
	URL                string  `json:"url"`
	Version            *string `json:"version"`
	VersionDescription *string `json:"version_description"`
	Checksum           *string `json:"checksum"`
}

// encodeBuild gives the repository as the source of a build that was pushed.
func (c *call) encodeBuild(b platform.Build) (any, error) {
	app, err := c.appOf(b.AppID)
	if err != nil {
		return nil, err
	}
	out := buildJSON{
		ID: b.ID, App: justID{b.AppID}, Status: b.Status, Stack: b.Stack, Buildpacks: []buildpackJSON{},
		SourceBlob: sourceBlob{
			URL:     cmp.Or(b.SourceURL, c.api.Controller.GitURL(app.Name)),
			Version: orNull(b.SourceVersion), Checksum: orNull(b.SourceChecksum),
		},
		OutputStreamURL: c.outputURL(b.ID), User: c.user(),
		CreatedAt: stamp(b.CreatedAt), UpdatedAt: stamp(b.UpdatedAt),
	}
	for _, text := range b.Buildpacks {
		out.Buildpacks = append(out.Buildpacks, buildpackOf(text))
	}
	if b.SlugID != nil {
		out.Slug = &justID{*b.SlugID}
	}
	if b.ReleaseID != nil {
		out.Release = &justID{*b.ReleaseID}
	}
	return out, nil
}

type slugJSON struct {
	ID                           string            `json:"id"`
	Blob                         blob              `json:"blob"`
	BuildpackProvidedDescription *string           `json:"buildpack_provided_description"`
	Checksum                     *string           `json:"checksum"`
	Commit                       *string           `json:"commit"`
	CommitDescription            *string           `json:"commit_description"`
	ProcessTypes                 map[string]string `json:"process_types"`
	Size                         int64             `json:"size"`
	Stack                        named             `json:"stack"`
	CreatedAt                    string            `json:"created_at"`
	UpdatedAt                    string            `json:"updated_at"`
}

type blob struct {
	Method string `json:"method"`
	URL    string `json:"url"`
}

func (c *call) encodeSlug(s platform.Slug) (any, error) {
	out := slugJSON{
		ID: s.ID, Blob: blob{"get", c.slugURL(s)}, BuildpackProvidedDescription: s.BuildpackProvidedDescription,
		Checksum: orNull(s.Checksum), Commit: s.Commit, CommitDescription: s.CommitDescription,
		ProcessTypes: s.ProcessTypes, Size: s.Size, Stack: stackRef(s.Stack),
		CreatedAt: stamp(s.CreatedAt), UpdatedAt: stamp(s.UpdatedAt),
	}
	if out.ProcessTypes == nil {
		out.ProcessTypes = map[string]string{}
	}
	return out, nil
}

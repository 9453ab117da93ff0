package image

import (
	"context"
	"io"
	"slices"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/pkg/jsonmessage"
)

// Save writes the images of builds as the engine writes them to a file: what
// several share is there once. Nothing is written where they have none.
func (b *Builder) Save(ctx context.Context, builds []string, w io.Writer) error {
	all, err := b.engine.ImageList(ctx, image.ListOptions{Filters: b.engine.Mine(buildLabel)})
	if err != nil {
		return err
	}
	var names []string
	for _, found := range all {
		if slices.Contains(builds, found.Labels[buildLabel]) {
			names = append(names, found.RepoTags...)
		}
	}
	if len(names) == 0 {
		return nil
	}
	saved, err := b.engine.ImageSave(ctx, names)
	if err != nil {
		return err
	}
	defer saved.Close()
	_, err = io.Copy(w, saved)
	return err
}

// Load takes back what Save wrote. Images have the ids that they had.
func (b *Builder) Load(ctx context.Context, r io.Reader) error {
	response, err := b.engine.ImageLoad(ctx, r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return jsonmessage.DisplayJSONMessagesStream(response.Body, io.Discard, 0, false, nil)
}

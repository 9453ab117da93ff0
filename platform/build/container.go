package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"niwa/platform"
	"niwa/platform/build/image"
	"niwa/platform/build/manifest"
)

// discardTime bounds the removal of what a failed build has made.
const discardTime = 30 * time.Second

// doImages is the build proper on the container stack: heroku.yml says which
// Dockerfiles to build, and no program runs but in the engine.
func (j *job) doImages(ctx context.Context) (_ Result, err error) {
	if j.cfg.Images == nil {
		return Result{}, reject("Push rejected, this niwa can neither build nor run container images: its dynos are processes.\n"+
			"Start it with \"niwa up --runtime docker\" where a Docker engine answers (\"niwa doctor\" says whether one does),\n"+
			"or go back to buildpacks: heroku stack:set %s", platform.DefaultStack)
	}
	j.out.line("", "=== Fetching app code")
	if err := j.receive(ctx); err != nil {
		return Result{}, err
	}
	src, err := j.root.OpenRoot("build")
	if err != nil {
		return Result{}, err
	}
	defer src.Close()
	m, of, err := readManifest(src)
	if err != nil {
		return Result{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.Discard(ctx, j.req.ID))
		}
	}()
	built, err := j.buildImages(ctx, src, m)
	if err != nil {
		return Result{}, err
	}
	result := Result{Config: m.Config, Setup: m.Addons}
	if result.ProcessTypes, result.Images, err = processes(m, built); err != nil {
		return Result{}, err
	}
	for _, i := range built {
		result.Size += i.Size
	}
	j.out.line("", "")
	j.out.step("Discovering process types")
	j.out.detail("%s declares types -> %s", of, typeList(result.ProcessTypes))
	j.out.detail("Done: %s", sizeText(result.Size))
	return result, nil
}

// readManifest reads heroku.yml; where there is none, a Dockerfile will do.
func readManifest(src *os.Root) (_ manifest.Manifest, of string, err error) {
	text, err := readRegular(src, manifest.File, manifest.MaxSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := src.Stat("Dockerfile"); err == nil {
			return manifest.OfDockerfile(), "Dockerfile", nil
		}
		return manifest.Manifest{}, "", reject("Your app does not include a heroku.yml build manifest. To deploy your app, either create a heroku.yml: https://devcenter.heroku.com/articles/build-docker-images-heroku-yml\n"+
			"Or add a Dockerfile, which then is its web process.\n"+
			"Or change your stack by running: 'heroku stack:set %s'", platform.DefaultStack)
	case err != nil:
		return manifest.Manifest{}, "", reject("Push rejected, %s cannot be read: %v.", manifest.File, err)
	}
	m, err := manifest.Parse(text)
	if err != nil {
		return m, "", reject("Push rejected, %s has a mistake: %v.\nSee: https://devcenter.heroku.com/articles/build-docker-images-heroku-yml", manifest.File, err)
	}
	return m, manifest.File, nil
}

// buildImages builds each Dockerfile once, however many images are made of it.
// What the builds before this one left in the cache, and it had no use for,
// goes.
func (j *job) buildImages(ctx context.Context, src *os.Root, m manifest.Manifest) (map[manifest.Dockerfile]image.Image, error) {
	built := map[manifest.Dockerfile]image.Image{}
	var layers []string
	for _, name := range slices.Sorted(maps.Keys(m.Images)) {
		d := m.Images[name]
		if _, done := built[d]; done {
			continue
		}
		j.doing = fmt.Sprintf("building %s (%s)", name, d.Path)
		j.out.line("", "\n=== Building %s (%s)", name, d.Path)
		i, err := j.cfg.Images.Build(ctx, image.Request{
			App: j.req.AppID, Build: j.req.ID, Name: name, Source: src,
			Dockerfile: d.Path, Target: d.Target, Args: m.Args, Output: j.out,
		})
		var fault image.Fault
		if errors.As(err, &fault) {
			return nil, reject("Push rejected, failed to build %s (%s): %v", name, d.Path, fault)
		}
		if err != nil {
			return nil, err
		}
		built[d] = i
		layers = append(layers, i.Layers...)
	}
	return built, j.cfg.Images.Trim(ctx, j.req.AppID, layers)
}

// processes works out what each process type runs, and what that looks like.
func processes(m manifest.Manifest, built map[manifest.Dockerfile]image.Image) (types map[string]string, images map[string]platform.Image, err error) {
	used := map[string]bool{} // by a process type of another name
	for name, p := range m.Processes {
		used[p.Image] = used[p.Image] || p.Image != name
	}
	types, images = map[string]string{}, map[string]platform.Image{}
	for _, name := range slices.Sorted(maps.Keys(m.Processes)) {
		p := m.Processes[name]
		i := built[m.Images[p.Image]]
		types[name], images[name] = p.Command, platform.Image{ID: i.ID, Command: p.Command}
		if p.Command != "" {
			continue
		}
		if types[name] = i.Command; i.Command != "" {
			continue
		}
		if !p.Implied || !used[p.Image] {
			return nil, nil, reject("Push rejected, there is nothing to run as %s: its image has no CMD.\nAdd a CMD to %s, or a command to the run section of %s.", name, m.Images[p.Image].Path, manifest.File)
		}
		delete(types, name)
		delete(images, name)
	}
	return types, images, nil
}

// Discard removes the images of a build that came to nothing.
func (b *Builder) Discard(ctx context.Context, buildID string) error {
	if b.cfg.Images == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTime)
	defer cancel()
	return b.cfg.Images.RemoveBuild(ctx, buildID)
}

// SweepImages removes images of apps and of builds that nobody knows. known is
// asked after it has been seen which images there are, so that nothing made in
// between is taken for an orphan.
func (b *Builder) SweepImages(ctx context.Context, known func() (apps, builds map[string]bool, err error)) error {
	if b.cfg.Images == nil {
		return nil
	}
	all, err := b.cfg.Images.List(ctx)
	if err != nil {
		return err
	}
	apps, builds, err := known()
	if err != nil {
		return err
	}
	return b.cfg.Images.Remove(ctx, slices.DeleteFunc(all, func(made image.Made) bool {
		return apps[made.App] && (made.Build == "" || builds[made.Build])
	})...)
}

// hintOfContainers tells whoever pushed a Dockerfile to be built by buildpacks
// how to have it built.
func (j *job) hintOfContainers() string {
	var found []string
	for _, name := range []string{manifest.File, "Dockerfile"} {
		if _, err := j.root.Stat("build/" + name); err == nil {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		return ""
	}
	return fmt.Sprintf("\nHINT: it has a %s; to build that, set its stack: heroku stack:set %s", strings.Join(found, " and a "), platform.ContainerStack)
}

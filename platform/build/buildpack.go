package build

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// pack is a buildpack in the job's folder.
type pack struct {
	ref   ref
	n     int    // its folder is buildpacks/N
	title string // what its bin/detect calls the app; empty before it has said so
}

// detectOrder is Heroku's
// (https://devcenter.heroku.com/articles/buildpacks#buildpack-detect-order),
// then the one for what only has a Procfile.
func detectOrder() []string {
	return []string{"ruby", "nodejs", "clojure", "python", "java", "gradle", "scala", "php", "go", "procfile"}
}

// choose installs buildpacks and returns those to apply, each as the ones among
// which it is the first that detects the app: those that were set, each alone, or
// all that are here.
func (j *job) choose(ctx context.Context) ([][]pack, error) {
	j.doing = "fetching the buildpacks"
	wanted := j.wanted()
	var packs []pack
	if len(wanted) == 0 {
		j.out.step("Determining which buildpack to use for this app")
		for n, id := range builtins(j.cfg.Buildpacks) {
			packs = append(packs, pack{ref: ref{kind: builtin, id: id, name: "heroku/" + id}, n: n})
		}
		return [][]pack{packs}, j.install(ctx, packs)
	}
	for n, text := range wanted {
		r, err := parseRef(text)
		if err != nil {
			return nil, err
		}
		packs = append(packs, pack{ref: r, n: n})
	}
	if len(packs) == 1 {
		j.out.step("Using buildpack: %s", packs[0].ref.name)
	} else {
		j.out.step("Using buildpacks:")
		for _, p := range packs {
			j.out.detail("%d. %s", p.n+1, p.ref.name)
		}
	}
	return slices.Collect(slices.Chunk(packs, 1)), j.install(ctx, packs)
}

// wanted are the buildpacks that were set.
func (j *job) wanted() []string {
	if url := j.req.Env["BUILDPACK_URL"]; len(j.req.Buildpacks) == 0 && url != "" {
		return []string{url} // the older way to set one
	}
	return j.req.Buildpacks
}

// apply has the first of the buildpacks that detects the app compile it, and
// returns which that is and what its bin/release says.
func (j *job) apply(ctx context.Context, among []pack) (pack, release, error) {
	j.doing = "detecting the language"
	code, err := j.run(ctx, fmt.Sprintf("build %d %d", among[0].n, among[len(among)-1].n), nil)
	p, told := j.detected(among)
	if p.title != "" {
		j.doing = fmt.Sprintf("compiling %s app", p.title)
	}
	if err := cmp.Or(err, told); err != nil {
		return pack{}, release{}, err
	}
	if p.title == "" {
		return pack{}, release{}, j.undetected(among)
	}
	r, err := j.released(p, code)
	return p, r, err
}

// detected is the one of the buildpacks that detected the app, with its title;
// none, without one, where none did.
func (j *job) detected(among []pack) (pack, error) {
	for _, p := range among {
		text, asked, err := j.said("detect", p)
		if err != nil {
			return pack{}, reject("Push rejected, the output of bin/detect of %s cannot be read: %v.", p.ref.name, err)
		}
		if asked {
			p.title, _, _ = strings.Cut(strings.TrimSpace(strings.ToValidUTF8(string(text), "")), "\n")
			p.title = cmp.Or(p.title, p.ref.name)
			return p, nil
		}
	}
	return pack{}, nil
}

func (j *job) undetected(among []pack) error {
	if len(j.wanted()) > 0 {
		return reject("Push rejected, failed to detect set buildpack %s.\nThe app has none of the files that this buildpack looks for; set another one, or clear it (heroku buildpacks:clear).", among[0].ref.name)
	}
	return reject("No default language could be detected for this app.\n"+
		"HINT: an app has a file that says what it is at its root, such as go.mod, package.json or a Procfile (buildpacks here: %s).\n"+
		"See https://devcenter.heroku.com/articles/buildpacks%s", strings.Join(builtins(j.cfg.Buildpacks), ", "), j.hintOfContainers())
}

// released is what bin/release says of an app; code is how its buildpack ended.
func (j *job) released(p pack, code int) (release, error) {
	text, asked, err := j.said("release", p)
	switch {
	case code != 0 && asked:
		return release{}, reject("Push rejected, bin/release of %s failed with status %d.", p.ref.name, code)
	case code != 0:
		return release{}, reject("Push rejected, failed to compile %s app.", p.title)
	case err == nil && !asked:
		return release{}, nil
	}
	if err == nil {
		var r release
		if r, err = parseRelease(text); err == nil {
			return r, nil
		}
	}
	return release{}, reject("Push rejected, bin/release of %s did not write the YAML it should: %v.", p.ref.name, err)
}

func (p pack) dir() string { return fmt.Sprintf("buildpacks/%d", p.n) }

// builtins lists the built-in buildpacks that there are, in detection order.
func builtins(buildpacks fs.FS) []string {
	return slices.DeleteFunc(detectOrder(), func(id string) bool {
		_, err := fs.Stat(buildpacks, id+"/bin/detect")
		return err != nil
	})
}

package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// pack is a buildpack in the job's folder.
type pack struct {
	ref   ref
	n     int    // its folder is buildpacks/N
	title string // what its bin/detect calls the app; empty before it ran
}

// detectOrder is Heroku's
// (https://devcenter.heroku.com/articles/buildpacks#buildpack-detect-order),
// then the one for what only has a Procfile.
func detectOrder() []string {
	return []string{"ruby", "nodejs", "clojure", "python", "java", "gradle", "scala", "php", "go", "procfile"}
}

// choose returns the buildpacks to apply: those that were set, or the first
// that detects the app.
func (j *job) choose(ctx context.Context) ([]pack, error) {
	j.doing = "fetching the buildpacks"
	wanted := j.req.Buildpacks
	if len(wanted) == 0 && j.req.Env["BUILDPACK_URL"] != "" {
		wanted = []string{j.req.Env["BUILDPACK_URL"]} // the older way to set one
	}
	if len(wanted) == 0 {
		return j.detectAny(ctx)
	}
	packs := make([]pack, len(wanted))
	for n, text := range wanted {
		r, err := parseRef(text)
		if err != nil {
			return nil, err
		}
		packs[n] = pack{ref: r, n: n}
	}
	if len(packs) == 1 {
		j.out.step("Using buildpack: %s", packs[0].ref.name)
	} else {
		j.out.step("Using buildpacks:")
		for _, p := range packs {
			j.out.detail("%d. %s", p.n+1, p.ref.name)
		}
	}
	return packs, j.install(ctx, packs)
}

func (j *job) detectAny(ctx context.Context) ([]pack, error) {
	j.out.step("Determining which buildpack to use for this app")
	var packs []pack
	for n, id := range builtins(j.cfg.Buildpacks) {
		packs = append(packs, pack{ref: ref{kind: builtin, id: id, name: "heroku/" + id}, n: n})
	}
	if err := j.install(ctx, packs); err != nil {
		return nil, err
	}
	if found, err := j.detect(ctx, packs); err != nil || found != nil {
		return found, err
	}
	return nil, reject("No default language could be detected for this app.\n"+
		"HINT: an app has a file that says what it is at its root, such as go.mod, package.json or a Procfile (buildpacks here: %s).\n"+
		"See https://devcenter.heroku.com/articles/buildpacks%s", strings.Join(builtins(j.cfg.Buildpacks), ", "), j.hintOfContainers())
}

// apply runs one buildpack, which learns its title, and returns what its
// bin/release says.
func (j *job) apply(ctx context.Context, p *pack) (release, error) {
	if p.title == "" {
		found, err := j.detect(ctx, []pack{*p})
		if err != nil {
			return release{}, err
		}
		if found == nil {
			return release{}, reject("Push rejected, failed to detect set buildpack %s.\nThe app has none of the files that this buildpack looks for; set another one, or clear it (heroku buildpacks:clear).", p.ref.name)
		}
		*p = found[0]
	}
	return j.compile(ctx, *p)
}

// detect asks buildpacks, one after the other, whether the app is for them,
// and returns the first that says so, which has its title then; or none.
func (j *job) detect(ctx context.Context, packs []pack) (found []pack, err error) {
	j.doing = "detecting the language"
	code, err := j.run(ctx, fmt.Sprintf("detect %d %d", packs[0].n, packs[len(packs)-1].n), nil)
	if err != nil || code != 0 {
		return nil, err
	}
	for _, p := range packs {
		text, asked, err := j.said("detect", p)
		if err != nil {
			return nil, reject("Push rejected, the output of bin/detect of %s cannot be read: %v.", p.ref.name, err)
		}
		if asked {
			p.title, _, _ = strings.Cut(strings.TrimSpace(strings.ToValidUTF8(string(text), "")), "\n")
			p.title = cmp.Or(p.title, p.ref.name)
			return []pack{p}, nil
		}
	}
	return nil, errors.New("a buildpack has detected the app, but what it said of it is gone")
}

func (j *job) compile(ctx context.Context, p pack) (release, error) {
	j.out.step("%s app detected", p.title)
	j.doing = fmt.Sprintf("compiling %s app", p.title)
	code, err := j.run(ctx, fmt.Sprintf("compile %d", p.n), nil)
	if err != nil {
		return release{}, err
	}
	text, asked, err := j.said("release", p)
	switch {
	case code != 0 && asked:
		return release{}, reject("Push rejected, bin/release of %s failed with status %d.", p.ref.name, code)
	case code != 0:
		return release{}, reject("Push rejected, failed to compile %s app.", p.title)
	case !asked:
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

package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
)

// install brings the buildpacks into the job's folder and hands it to the
// app's user, who clones those that are git repositories.
func (j *job) install(ctx context.Context, packs []pack) error {
	for _, p := range packs {
		if err := j.root.Mkdir(p.dir(), 0o755); err != nil {
			return err
		}
		var err error
		switch p.ref.kind {
		case builtin:
			err = j.installBuiltin(p)
		case tarball:
			err = j.installTarball(ctx, p)
		}
		if err != nil {
			return err
		}
	}
	if err := j.installShared(packs); err != nil {
		return err
	}
	if err := j.handOver(); err != nil {
		return err
	}
	for _, p := range packs {
		if p.ref.kind == gitRepo {
			if err := j.clone(ctx, p); err != nil {
				return err
			}
		}
		if err := j.checkPack(p); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) installBuiltin(p pack) error {
	tree, err := fs.Sub(j.cfg.Buildpacks, p.ref.id)
	if err != nil {
		return err
	}
	if _, err := fs.Stat(tree, "bin/detect"); err != nil {
		return reject("Push rejected, %s is not among the buildpacks here (%s).\nSet its git URL or tarball URL instead.",
			p.ref.name, strings.Join(builtins(j.cfg.Buildpacks), ", "))
	}
	return j.copyTree(tree, p.dir())
}

// installShared puts what the built-in buildpacks share beside them.
func (j *job) installShared(packs []pack) error {
	tree, err := fs.Sub(j.cfg.Buildpacks, "lib")
	if err != nil {
		return err
	}
	_, err = fs.Stat(tree, ".")
	if errors.Is(err, fs.ErrNotExist) || !slices.ContainsFunc(packs, func(p pack) bool { return p.ref.kind == builtin }) {
		return nil
	}
	const dir = "buildpacks/lib"
	if err := j.root.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return j.copyTree(tree, dir)
}

// copyTree copies files of the platform's own into a folder of the job.
func (j *job) copyTree(tree fs.FS, dir string) error {
	return fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		to := path.Join(dir, name)
		if d.IsDir() {
			return j.root.Mkdir(to, 0o755)
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		// An embedded tree has no execute bits.
		return j.root.WriteFile(to, text, 0o755)
	})
}

func (j *job) installTarball(ctx context.Context, p pack) error {
	err := j.fetchTarball(ctx, p)
	var tooLarge *http.MaxBytesError
	switch cause := context.Cause(ctx); {
	case err == nil:
		return hoist(j.root, p.dir())
	case cause != nil:
		return cause
	case errors.As(err, &tooLarge):
		return reject("Push rejected, the buildpack %s is larger than %s.", p.ref.name, sizeText(tooLarge.Limit))
	default:
		return reject("Push rejected, the buildpack %s cannot be fetched: %v.", p.ref.name, err)
	}
}

func (j *job) fetchTarball(ctx context.Context, p pack) error {
	body, err := j.download(ctx, p.ref.url)
	if err != nil {
		return err
	}
	defer body.Close()
	root, err := j.root.OpenRoot(p.dir())
	if err != nil {
		return err
	}
	defer root.Close()
	limit := j.cfg.Limits.Buildpack
	return unpack(ctx, http.MaxBytesReader(nil, body, limit), root, limit, j.cfg.Limits.Files)
}

// download opens what a URL serves. Its errors do not hold the URL, which may
// hold a password.
func (j *job) download(ctx context.Context, u *url.URL) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("the URL is malformed")
	}
	resp, err := j.http.Do(req)
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		err = urlErr.Err
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("the server answers %s", resp.Status)
	}
	if resp.ContentLength > j.cfg.Limits.Buildpack {
		resp.Body.Close()
		return nil, &http.MaxBytesError{Limit: j.cfg.Limits.Buildpack}
	}
	return resp.Body, nil
}

// hoist moves a buildpack up that lies in the only folder of its archive, as
// in those that code hosts make of a branch.
func hoist(root *os.Root, dir string) error {
	entries, err := fs.ReadDir(root.FS(), dir)
	if err != nil || len(entries) != 1 || !entries[0].IsDir() || entries[0].Name() == "bin" {
		return err
	}
	if err := root.Rename(path.Join(dir, entries[0].Name()), dir+".inner"); err != nil {
		return err
	}
	if err := root.Remove(dir); err != nil {
		return err
	}
	return root.Rename(dir+".inner", dir)
}

func (j *job) clone(ctx context.Context, p pack) error {
	u := *p.ref.url
	u.User = nil
	env := map[string]string{"FETCH_URL": u.String(), "FETCH_REF": p.ref.rev}
	if user := p.ref.url.User; user != nil {
		env["FETCH_USER"] = user.Username()
		env["FETCH_PASSWORD"], _ = user.Password()
	}
	code, err := j.run(ctx, fmt.Sprintf("fetch %d", p.n), env)
	if err != nil {
		return err
	}
	if code != 0 {
		return reject("Push rejected, the buildpack %s cannot be fetched with git.", p.ref.name)
	}
	return nil
}

// checkPack says what a folder lacks to be a buildpack.
func (j *job) checkPack(p pack) error {
	for _, name := range []string{"bin/detect", "bin/compile"} {
		info, err := j.root.Stat(path.Join(p.dir(), name))
		if err != nil || !info.Mode().IsRegular() {
			return reject("Push rejected, %s is not a buildpack: it has no %s.", p.ref.name, name)
		}
		if info.Mode()&0o111 == 0 {
			return reject("Push rejected, %s of the buildpack %s is not executable; set its mode to 755.", name, p.ref.name)
		}
	}
	return nil
}

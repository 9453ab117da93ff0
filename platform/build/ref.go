package build

import (
	"net/url"
	"path"
	"regexp"
	"strings"
)

// Kinds of buildpack references.
const (
	builtin = iota
	tarball
	gitRepo
)

// ref says where a buildpack comes from.
type ref struct {
	kind int
	// name is what people are shown: heroku/go, or a URL without its password.
	name string
	id   string   // builtin: the folder, go
	url  *url.URL // tarball, gitRepo: without fragment
	rev  string   // gitRepo: a branch, tag or commit
}

const registry = "https://buildpack-registry.s3.amazonaws.com/buildpacks/"

var (
	slugRef = regexp.MustCompile(`^([a-z0-9][a-z0-9_-]*)/([a-z0-9][a-z0-9_-]*)$`)
	gitRev  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]*$`)
)

// parseRef reads a buildpack as it is set for an app. Heroku's own come in
// three spellings and are the built-in ones; other names of the registry are
// its tarballs.
func parseRef(text string) (ref, error) {
	name := strings.TrimPrefix(text, "urn:buildpack:")
	for _, host := range []string{registry, "https://codon-buildpacks.s3.amazonaws.com/buildpacks/"} {
		if rest, ok := strings.CutPrefix(name, host); ok {
			name = strings.TrimSuffix(rest, ".tgz")
		}
	}
	if m := slugRef.FindStringSubmatch(name); m != nil {
		if m[1] == "heroku" {
			return ref{kind: builtin, name: name, id: m[2]}, nil
		}
		u, err := url.Parse(registry + name + ".tgz")
		return ref{kind: tarball, name: name, url: u}, err
	}
	u, err := url.Parse(name)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "git") {
		return ref{}, reject("Push rejected, %q is not a buildpack: use a name like heroku/go, or an https:// URL of a git repository or a .tgz.", redact(text))
	}
	rev := u.Fragment
	u.Fragment, u.RawFragment = "", ""
	r := ref{url: u, rev: rev, name: redact(name)}
	if u.Scheme != "git" && (path.Ext(u.Path) == ".tgz" || path.Ext(u.Path) == ".tar" || strings.HasSuffix(u.Path, ".tar.gz")) {
		r.kind = tarball
		return r, nil
	}
	r.kind = gitRepo
	if r.rev == "" {
		r.rev = "HEAD"
	}
	if !gitRev.MatchString(r.rev) {
		return ref{}, reject("Push rejected, %q is not a branch, tag or commit of the buildpack %s.", rev, u.Redacted())
	}
	return r, nil
}

// redact hides the password of a URL, and all of what is none but has room
// for one.
func redact(text string) string {
	if u, err := url.Parse(text); err == nil {
		return u.Redacted()
	}
	if strings.Contains(text, "@") {
		return "..." + text[strings.LastIndex(text, "@"):]
	}
	return text
}

package siege

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"niwa/platform/platformtest"
	"niwa/platform/platformtest/escape"
)

// trick is what a buildpack does to have niwa read or write on its behalf what
// the build itself cannot: it leaves links where niwa expects what it made.
type trick struct{ name, script string }

func tricks() []trick {
	return []trick{
		{inBuild, `for name in TARGETS DATABASE_URL REDIS_URL; do export "$name=$(cat "$3/$name")"; done; HOME=$1 "$1/attacker"`},
		{"a build replaces its source by a link to the platform's directory", `cd / && rm -rf "$1" && ln -s "$DATA" "$1"`},
		{linksInSlug, `for f in token key niwa.db ca; do ln -s "$DATA/$f" "$1/$f"; done
			ln -s ../../../token "$1/relative"; ln "$DATA/token" "$1/hard" || true`},
		{"a build replaces its cache by a link to another app's", `rm -rf "$2" && ln -s "$DATA/cache/$THEIRS" "$2"`},
		{linkedCache, `echo changed >"$2/secret.txt"; echo new >"$2/new"`},
		{"a build replaces what it reports by links to secrets", `top=$(dirname "$1"); rm -rf "$top/out"; ln -s "$DATA" "$top/out"
			rm -rf "$top/env"; ln -s "$DATA/ca" "$top/env"; rm -f "$1/Procfile"; ln -s "$DATA/token" "$1/Procfile"`},
		{"a build leaves pipes and endless files to be read", `rm -f "$1/Procfile"; mkfifo "$1/Procfile"; ln -s /dev/zero "$1/.slugignore"`},
	}
}

// inBuild is no trick: it is all that is tried at once in a dyno.
const inBuild = "all that again in a build"

// builds has mallory's builds play tricks on niwa. A trick has succeeded when
// a secret is in what the build printed or made, or when something that is
// not mallory's has changed.
func (s *siege) builds(t *testing.T, before []escape.Attempt) (all []escape.Attempt) {
	t.Helper()
	var now trick
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(s.buildpack(t, now)) }))
	defer server.Close()
	s.Do(t, "PUT", s.mallory.Path()+"/buildpack-installations", map[string]any{"updates": []any{map[string]any{"buildpack": server.URL + "/trick.tgz"}}})
	s.tell(t)
	as := s.fingerprints(t)
	for _, now = range tricks() {
		a := escape.Attempt{Name: now.name}
		cmd := exec.Command("git", "push", "-q", s.mallory.Repository(), "main")
		platformtest.Git(t, s.mallory.Dir, os.Environ(), "commit", "-q", "--allow-empty", "-m", now.name)
		cmd.Dir, cmd.Env = s.mallory.Dir, s.Environment(t)
		out, err := cmd.CombinedOutput()
		a.Outcome, a.Untried = "the build ends, and nothing is given away", !strings.Contains(string(out), tricked)
		if err != nil {
			a.Outcome = "the build fails: " + complaint(string(out))
		}
		if now.name == inBuild {
			a.Succeeded, a.Outcome = more(before, heard(t, string(out)))
		}
		if leaked := s.leaked(t, string(out)); leaked != "" {
			a.Succeeded, a.Outcome = true, leaked
		}
		after := s.fingerprints(t)
		for path, was := range as {
			if after[path] != was {
				a.Succeeded, a.Outcome = true, fmt.Sprintf("%s was %s and is %s", path, was, after[path])
			}
		}
		as = after
		all = append(all, a)
	}
	return all
}

// more says whether something is open in a build that is not in a dyno.
func more(inDyno, inBuild []escape.Attempt) (bool, string) {
	open := map[string]bool{}
	for _, a := range inDyno {
		open[a.Name] = a.Succeeded
	}
	n := 0
	for _, a := range inBuild {
		switch {
		case a.Succeeded && !open[a.Name] || a.Untried:
			return true, a.Name + ": " + a.Outcome
		case a.Succeeded:
			n++
		}
	}
	return false, fmt.Sprintf("of %d attempts %d succeed, as they do in a dyno", len(inBuild), n)
}

// complaint is what a build fails for: the first line with an exclamation mark
// of its own.
func complaint(out string) string {
	for line := range strings.Lines(out) {
		if text, found := strings.CutPrefix(strings.TrimSpace(line), "remote:  !"); found && strings.TrimSpace(text) != "" {
			return strings.TrimSpace(text)
		}
	}
	return out
}

// tricked is what a buildpack prints when it has played its trick.
const tricked = "the trick is played"

// buildpack is a tarball that plays a trick.
func (s *siege) buildpack(t *testing.T, now trick) []byte {
	var packed bytes.Buffer
	compressed := gzip.NewWriter(&packed)
	w := tar.NewWriter(compressed)
	for name, text := range map[string]string{
		"bin/detect":  "#!/bin/sh\necho Trick\n",
		"bin/compile": fmt.Sprintf("#!/bin/sh\nDATA=%s THEIRS=%s\n%s\nrm -f \"$1/attacker\"\necho %s\n", s.Data, s.id(t, s.Path()), now.script, tricked),
		"bin/release": "#!/bin/sh\necho '--- {}'\n",
	} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text))}); err != nil {
			t.Error(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Error(err)
		}
	}
	w.Close()
	compressed.Close()
	return packed.Bytes()
}

// fingerprints are the content, owner and mode of what no build of mallory's
// is to touch and nothing else changes.
func (s *siege) fingerprints(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, top := range []string{"token", "key", "ca", "cache/" + s.id(t, s.Path()), "repos"} {
		err := filepath.WalkDir(filepath.Join(s.Data, top), func(path string, e fs.DirEntry, err error) error {
			if err != nil || strings.Contains(path, s.id(t, s.mallory.Path())) {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			print := fmt.Sprintf("%v of %d", info.Mode(), info.Sys().(*syscall.Stat_t).Uid)
			if info.Mode().IsRegular() {
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				print += fmt.Sprintf(", %x", sha256.Sum256(text))
			}
			all[path] = print
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// leaked says where a secret is: in what was printed, or in mallory's last slug.
func (s *siege) leaked(t *testing.T, printed string) string {
	t.Helper()
	if strings.Contains(printed, s.Token) || strings.Contains(printed, s.secret) {
		return "the output has a secret"
	}
	var releases []struct {
		Slug    *struct{ ID string }
		Current bool
	}
	s.Call(t, "GET", s.mallory.Path()+"/releases", nil, &releases)
	for _, r := range releases {
		if !r.Current || r.Slug == nil {
			continue
		}
		if name := s.inSlug(t, r.Slug.ID); name != "" {
			return "the slug has a secret in " + name
		}
	}
	return ""
}

func (s *siege) inSlug(t *testing.T, id string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.Data, "slugs", id+"*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("the slug %s is not one file: %v", id, found)
	}
	f, err := os.Open(found[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if err == io.EOF {
			return ""
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte(s.Token)) || bytes.Contains(text, []byte(s.secret)) {
			return h.Name
		}
	}
}

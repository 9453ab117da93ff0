package api

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"niwa/platform"
)

func TestASourceIsUploadedAndFetched(t *testing.T) {
	t.Parallel()
	s := open(t)
	source := s.do("POST", "/sources", nil).want(201)
	put, get := source.text("source_blob", "put_url"), source.text("source_blob", "get_url")
	s.send("GET", get, nil).fails(404, map[string]any{"id": "not_found"})
	tarball := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB, more than a JSON request may have
	s.send("PUT", put, tarball).want(200)
	got := s.send("GET", get, nil).want(200)
	if !bytes.Equal(got.body, tarball) {
		t.Errorf("%d bytes came back as %d", len(tarball), len(got.body))
	}
	for name, request := range map[string][2]string{
		"the other's method":  {"PUT", get},
		"the other's address": {"GET", put},
		"a changed address":   {"GET", strings.Replace(get, sourcePath, sourcePath+"0", 1)},
		"a longer life":       {"GET", strings.Replace(get, "expires=1", "expires=2", 1)},
		"no signature":        {"GET", strings.Split(get, "&signature")[0]},
	} {
		t.Run(name, func(t *testing.T) {
			s.send(request[0], request[1], nil).fails(404, map[string]any{"id": "not_found"})
		})
	}
	info, err := os.Stat(s.api.SourcesDir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder of sources: %v %v", info.Mode(), err)
	}
}

func TestSourcesGoWhenTheirUrlsHaveExpired(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.send("PUT", s.do("POST", "/sources", nil).want(201).text("source_blob", "put_url"), "tar").want(200)
	old, err := filepath.Glob(filepath.Join(s.api.SourcesDir, "*.tgz"))
	if err != nil || len(old) != 1 {
		t.Fatal(old, err)
	}
	then := time.Now().Add(-2 * sourceLife)
	if err := os.Chtimes(old[0], then, then); err != nil {
		t.Fatal(err)
	}
	s.do("POST", "/sources", nil).want(201)
	if _, err := os.Stat(old[0]); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestABuildIsMadeAndFollowed(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.mayLog = "cannot be fetched"
	s.app("garden")
	source := s.do("POST", "/apps/garden/sources", nil).want(201) // nothing is ever uploaded
	b := s.do("POST", "/apps/garden/builds", map[string]any{
		"source_blob": map[string]any{"url": source.text("source_blob", "get_url"), "version": "v1", "version_description": nil, "checksum": nil},
		"buildpacks":  []any{map[string]any{"url": "https://github.com/x/y"}, map[string]any{"name": "heroku/go"}},
	}).want(201)
	if b.text("status") != platform.Pending || b.text("source_blob", "version") != "v1" || b.text("buildpacks", 1, "name") != "heroku/go" {
		t.Errorf("created: %s", b.body)
	}
	output := s.send("GET", b.text("output_stream_url"), nil).want(200)
	if !strings.Contains(string(output.body), "The source cannot be fetched") {
		t.Errorf("output: %s", output.body)
	}
	s.until("/apps/garden/builds/"+b.text("id"), func(a answer) bool { return a.text("status") == platform.Failed })
	listed := s.do("GET", "/apps/garden/builds", nil, "Range", "created_at ..; max=10, order=desc").want(200)
	if diff := cmp.Diff([]string{b.text("id")}, listed.names("id")); diff != "" {
		t.Error(diff)
	}
	s.do("GET", "/apps/garden/builds/nothing", nil).fails(404, map[string]any{"resource": "build"})
	s.do("POST", "/apps/garden/builds", map[string]any{}).fails(422, map[string]any{"message": "Field source_blob.url is required."})
	s.do("POST", "/apps/garden/builds", map[string]any{"source_blob": map[string]any{"url": "file:///etc/passwd"}}).fails(422, map[string]any{"id": "invalid_params"})
	s.do("DELETE", "/apps/garden/build-cache", nil).want(200)
}

func TestASlugIsFetched(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	slug := s.deploy("garden", map[string]string{"web": "serve"})
	url := s.do("GET", "/apps/garden/slugs/"+slug.ID, nil).want(200).text("blob", "url")
	s.send("GET", url, nil).fails(404, map[string]any{"resource": "slug"}) // it was never built
	if err := os.MkdirAll(filepath.Join(s.dir, "slugs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "slugs", slug.ID+".tgz"), []byte("slug"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := s.send("GET", url, nil).want(200); string(got.body) != "slug" || got.header.Get("Content-Type") != "application/gzip" {
		t.Errorf("slug: %q %v", got.body, got.header)
	}
}

func TestBuildpacksAreSetAndLookedUp(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	found := s.send("GET", "/buildpacks/heroku%2Fgo", nil).want(200)
	set := s.do("PUT", "/apps/garden/buildpack-installations", map[string]any{"updates": []any{
		map[string]any{"buildpack": found.text("blob_url")}, map[string]any{"buildpack": "https://github.com/x/y"},
	}}, "Range", "").want(200)
	if set.text(0, "buildpack", "name") != "heroku/go" || set.at(1, "ordinal") != 1.0 {
		t.Errorf("set: %s", set.body)
	}
	if diff := cmp.Diff(string(set.body), string(s.do("GET", "/apps/garden/buildpack-installations", nil).want(200).body)); diff != "" {
		t.Error(diff)
	}
	s.do("PUT", "/apps/garden/buildpack-installations", map[string]any{"updates": []any{}}).want(200)
	s.do("PUT", "/apps/garden/buildpack-installations", map[string]any{}).fails(422, map[string]any{"message": "Field updates is required."})
	s.do("PUT", "/apps/garden/buildpack-installations", map[string]any{"updates": []any{map[string]any{"buildpack": "a b"}}}).fails(422, map[string]any{"id": "invalid_params"})

	for path, want := range map[string][]string{
		"/buildpacks?in[namespace][]=heroku":               {"go", "nodejs", "procfile"},
		"/buildpacks?in[name][]=go":                        {"go"},
		"/buildpacks?in[name][]=go&in[name][]=nodejs":      {"go", "nodejs"},
		"/buildpacks?in[namespace][]=acme":                 {},
		"/buildpacks?like[description]=no-such-thing-here": {},
	} {
		names := s.send("GET", path, nil).want(200).names("name")
		for _, name := range want {
			if !strings.Contains(strings.Join(names, " "), name) {
				t.Errorf("%s: %v, want %v", path, names, want)
			}
		}
		if len(want) == 0 && len(names) > 0 {
			t.Errorf("%s: %v", path, names)
		}
	}
	if s.send("GET", "/buildpacks/heroku%2Fgo/revisions", nil).want(200).text(0, "status") != "published" {
		t.Error("no published revision")
	}
	s.send("GET", "/buildpacks/heroku%2Fgo/readme", nil).want(200).text("content")
	s.send("GET", "/buildpacks/acme%2Fgo", nil).fails(http.StatusNotFound, map[string]any{"id": "not_found"})
}

package platformtest_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/docker/docker/api/types/image"

	"niwa/platform/build/image/imagetest"
	"niwa/platform/platformtest"
	"niwa/platform/platformtest/need"
)

func TestABackupHasTheImagesThatAppsAreMadeOf(t *testing.T) {
	need.Tool(t, "git")
	engine := imagetest.Engine(t)
	base := imagetest.Base(t, engine)
	t.Cleanup(func() { nothingIn(t, engine) })
	data := platformtest.Dir(t)
	p := platformtest.Up(t, platformtest.Build(t), data, "--runtime", "docker", "--engines", "native")
	engine.Platform = platformOf(t, data)
	garden := p.Create(t, "garden")
	garden.Do(t, "PATCH", garden.Path(), map[string]any{"build_stack": "container"})
	for name, text := range map[string]string{
		"heroku.yml": "build:\n  docker:\n    web: Dockerfile\nrun:\n  web: httpd -f -p $PORT -h /www\n",
		"Dockerfile": fmt.Sprintf("FROM %s\nRUN mkdir /www && echo good day > /www/index.html\nCMD [\"httpd\", \"-f\"]\n", base),
	} {
		garden.Write(t, name, text)
	}
	garden.Push(t)
	answers := func(p *platformtest.Program) {
		t.Helper()
		platformtest.Await(t, "an answer", func() (string, bool) {
			resp, body, err := p.Get("garden", "/")
			if err != nil {
				return err.Error(), false
			}
			return resp.Status + " " + body, resp.StatusCode == http.StatusOK && body == "good day\n"
		})
	}
	answers(p)
	file := filepath.Join(t.TempDir(), "backup")
	niwa(t, p.Binary, data, 0, "backup", file)
	p.Stop(t)

	// As on a machine that never had them.
	all, err := engine.ImageList(t.Context(), image.ListOptions{Filters: engine.Mine("dev.niwa.build")})
	if err != nil || len(all) == 0 {
		t.Fatalf("%d images, %v", len(all), err)
	}
	for _, found := range all {
		if _, err := engine.ImageRemove(t.Context(), found.ID, image.RemoveOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
	}
	elsewhere := filepath.Join(platformtest.Dir(t), "new")
	niwa(t, p.Binary, elsewhere, 0, "restore", "--engines", "native", file)
	again := platformtest.Up(t, p.Binary, elsewhere, "--runtime", "docker", "--engines", "native")
	answers(again)
	ok(t, again.Call(t, "DELETE", "/apps/garden", nil, nil), 200)
	platformtest.Await(t, "the images to be gone", func() (string, bool) {
		finished, rest := inEngine(t, engine)
		return fmt.Sprint(finished, rest), finished == 0
	})
}

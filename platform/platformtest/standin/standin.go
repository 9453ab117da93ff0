// Package standin makes images that stand in for public ones where no registry
// answers: from Debian's packages, with the entry points, volumes and variables
// that the public ones have, as far as anybody here relies on them. They are
// made once for each engine; their names tell what they were made from.
package standin

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gofrs/flock"
	"github.com/google/uuid"

	"niwa/platform/docker"
	"niwa/platform/platformtest/need"
)

//go:embed entrypoint.sh
var entrypoint string

// packages are all that any of the images needs.
const packages = "postgresql,redis-server,git,curl,ca-certificates,python3"

// Images are the names of the images.
type Images struct {
	Postgres string // postgres:17
	Redis    string // redis:7
	Tools    string // both servers' clients, bash, git, curl and python3
}

// Engine connects to the engine of this machine on behalf of a platform of
// the test's own.
func Engine(t testing.TB) *docker.Engine {
	t.Helper()
	e, err := docker.Connect(t.Context(), uuid.NewString())
	if err != nil {
		need.Reason(t, "needs a running Docker engine: "+err.Error())
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// Make returns the images, and makes those that are not there.
func Make(t testing.TB) Images {
	t.Helper()
	need.Root(t)
	need.Tool(t, "docker")
	// Packages are tested at the same time, and one of them makes the images.
	lock := flock.New(filepath.Join(os.TempDir(), "niwa-test-images.lock"))
	if err := lock.Lock(); err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	images := Images{}
	base := "niwa-test/debian:" + digest(packages)
	if !exists(t, base) {
		bootstrap(t, base)
	}
	images.Tools = build(t, "tools", base, "")
	images.Postgres = build(t, "postgres", base, `
ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PGDATA=/var/lib/postgresql/data
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
CMD ["postgres"]`)
	images.Redis = build(t, "redis", base, `
RUN install -d -o redis -g redis /data
WORKDIR /data
VOLUME /data
CMD ["redis-server"]`)
	return images
}

// bootstrap makes a Debian with the packages, as an image.
func bootstrap(t testing.TB, name string) {
	t.Helper()
	debootstrap := need.Tool(t, "debootstrap", "/usr/sbin")
	// Not in /tmp, which may be memory or forbid devices.
	dir, err := os.MkdirTemp("/var/tmp", "niwa-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	t.Logf("making %s, once", name)
	run(t, "", debootstrap, "--variant=minbase", "--include="+packages, "bookworm", dir+"/root")
	// What Debian started in there is not what the public images hold.
	for _, path := range []string{"var/lib/postgresql/15", "etc/postgresql/15", "var/cache/apt/archives", "usr/share/doc"} {
		if err := os.RemoveAll(filepath.Join(dir, "root", path)); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "", "sh", "-c", "tar -C "+dir+"/root -c . | docker import - "+name)
}

// build adds the entry point and more to the base, and names the result.
func build(t testing.TB, what, base, more string) string {
	t.Helper()
	recipe := "FROM " + base + "\nCOPY entrypoint.sh /usr/local/bin/docker-entrypoint.sh\nENTRYPOINT [\"docker-entrypoint.sh\"]\n" + more + "\n"
	name := "niwa-test/" + what + ":" + digest(recipe, entrypoint)
	if exists(t, name) {
		return name
	}
	dir := t.TempDir()
	for file, text := range map[string]string{"Dockerfile": recipe, "entrypoint.sh": entrypoint} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run(t, dir, "docker", "build", "-q", "-t", name, ".")
	return name
}

func exists(t testing.TB, image string) bool {
	t.Helper()
	return exec.CommandContext(t.Context(), "docker", "image", "inspect", image).Run() == nil
}

func run(t testing.TB, dir, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "DOCKER_BUILDKIT=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out[max(0, len(out)-2000):])
	}
}

func digest(parts ...string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(parts, "\x00"))))[:12]
}

package siege

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"niwa/platform/platformtest"
	"niwa/platform/platformtest/load"
)

// garden is an app that serves, on a niwa of its own.
type garden struct {
	*platformtest.App
	programs string // where they are, see programs
	releases int
}

const gardenName = "garden"

func newGarden(t *testing.T, programs, data, runtime string) *garden {
	t.Helper()
	niwa := platformtest.Up(t, filepath.Join(programs, "niwa"), data, "--runtime", runtime)
	g := &garden{App: niwa.Create(t, gardenName), programs: programs}
	g.bring(t, "echo", g.Dir)
	return g
}

// built is the environment variable that says where programs are already.
const built = "NIWA_SIEGE_PROGRAMS"

// programs builds niwa, echo and attacker, where there is a network, and
// returns the folder they are in, which goes with the test.
func programs(t *testing.T) (dir string) {
	t.Helper()
	if dir := os.Getenv(built); dir != "" {
		return dir
	}
	dir = filepath.Dir(platformtest.Build(t))
	for _, program := range []string{"echo", "attacker"} {
		platformtest.Compile(t, "./platform/platformtest/"+program, filepath.Join(dir, program))
	}
	t.Setenv(built, dir)
	return dir
}

// bring copies a program to where an app is pushed from.
func (g *garden) bring(t *testing.T, program, dir string) {
	t.Helper()
	binary, err := os.ReadFile(filepath.Join(g.programs, program))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, program), binary, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// push deploys the garden anew. Its dynos leave their secret wherever a dyno
// can leave something, say it, and the third takes its time to start.
func (g *garden) push(t *testing.T) {
	t.Helper()
	g.releases++
	before := "for dir in /tmp /var/tmp /dev/shm; do cp secret.txt $dir/escape-theirs; done; cat secret.txt; [ $DYNO != web.3 ] || sleep 1;"
	g.Write(t, "Procfile", fmt.Sprintf("web: %s exec ./echo --version %d\n", before, g.releases))
	g.Push(t)
}

// visitors are a few that come again and again, each after a pause, so that
// nobody is kept from work by them.
func (g *garden) visitors(clients, requests int) *load.Load {
	return load.Start(load.Config{
		Addr: strings.TrimPrefix(g.Router, "http://"), Host: gardenName + "." + g.Domain, Clients: clients, Requests: requests,
		Check: func(time.Time, http.Header) error { time.Sleep(5 * time.Millisecond); return nil },
	}, "at rest")
}

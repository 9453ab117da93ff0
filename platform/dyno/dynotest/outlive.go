package dynotest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"niwa/platform/dyno"
)

// Platform is what has a runner in it, over a place: an empty folder, or one
// where another platform was killed.
type Platform struct {
	dyno.Runner
	Close func(context.Context) error // ends it as a platform ends that is not killed
}

// Opener opens a platform. It is the same in Main and in Outlive.
type Opener func(place string) (Platform, error)

// placeVar tells a test program that it is to be a platform that gets killed.
const placeVar = "NIWA_TEST_DYNO_PLACE"

// Main is called in TestMain, before the tests are run.
func Main(open Opener) {
	if place := os.Getenv(placeVar); place != "" {
		fmt.Fprintln(os.Stderr, victim(open, place))
		os.Exit(1)
	}
}

// victim starts the dynos that specs.json names, has each one's output in a
// file, prints their addresses, and waits for its end.
func victim(open Opener, place string) error {
	data, err := os.ReadFile(filepath.Join(place, "specs.json"))
	if err != nil {
		return err
	}
	var orders []order
	if err := json.Unmarshal(data, &orders); err != nil {
		return err
	}
	p, err := open(place)
	if err != nil {
		return err
	}
	for _, o := range orders {
		spec := dyno.Spec{ID: o.ID, App: o.App, UID: o.UID, Slug: o.Slug, Dir: o.Dir, Command: o.Command, Web: o.Web, Limits: o.Limits}
		if spec.Output, err = os.Create(outputOf(place, spec)); err != nil {
			return err
		}
		addr, err := p.Start(context.Background(), spec)
		if err != nil {
			return err
		}
		fmt.Printf("%q\n", addr)
	}
	select {}
}

// order is what can be written down of a spec.
type order struct {
	ID, App, Slug, Dir, Command string
	UID                         int
	Web                         bool
	Limits                      dyno.Limits
}

func outputOf(place string, spec dyno.Spec) string {
	return filepath.Join(place, "output-"+spec.ID)
}

// scene is a place with a platform that is killed.
type scene struct {
	*bench
	open  Opener
	place string
}

// Outlive tests that dynos outlive a platform that is killed, and that the
// next one takes them back. Left, when it is not nil, says what is left at a
// place when all has ended.
func Outlive(t *testing.T, open Opener, left func(t *testing.T, place string), opts Options) {
	for name, test := range map[string]func(*testing.T, *scene){
		"a dyno that is adopted goes on as before":                 adoptRunning,
		"a dyno that ended while nobody watched is adopted":        adoptEnded,
		"a dyno waits with what nobody reads":                      adoptFull,
		"a dyno that uses twice its memory is killed":              adoptExhausted,
		"what is not adopted is swept":                             sweep,
		"what cannot be adopted is said, and swept":                adoptNone,
		"a dyno that was killed while nobody watched is no dyno":   adoptKilled,
		"a dyno with a terminal or input ends with its platform":   adoptAttached,
		"a platform that has not been killed has nothing to adopt": adoptClean,
	} {
		t.Run(name, func(t *testing.T) {
			s := &scene{bench: &bench{app: uuid.NewString(), Options: opts}, open: open, place: Dir(t)}
			if left != nil {
				t.Cleanup(func() { left(t, s.place) })
			}
			test(t, s)
		})
	}
}

// crash starts dynos in a platform and kills it once each has said "up". It
// returns their addresses.
func (s *scene) crash(t *testing.T, specs ...*dyno.Spec) (addrs []string) {
	t.Helper()
	var orders []order
	for _, spec := range specs {
		s.fill(t, spec)
		orders = append(orders, order{spec.ID, spec.App, spec.Slug, spec.Dir, spec.Command, spec.UID, spec.Web, spec.Limits})
	}
	data, err := json.Marshal(orders)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.place, "specs.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	platform := exec.Command(os.Args[0])
	platform.Env = append(os.Environ(), placeVar+"="+s.place)
	platform.Stderr = os.Stderr
	said, err := platform.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := platform.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { // a test that fails ends here
		_ = platform.Process.Kill()
		_ = platform.Wait()
	}()
	lines := bufio.NewScanner(said)
	for range specs {
		var addr string
		if !lines.Scan() {
			t.Fatal("the platform has ended by itself")
		} else if _, err := fmt.Sscanf(lines.Text(), "%q", &addr); err != nil {
			t.Fatalf("the platform says %q: %v", lines.Text(), err)
		}
		addrs = append(addrs, addr)
	}
	for _, spec := range specs {
		eventually(t, "it says up", func() bool { return strings.Contains(s.before(t, spec), "up\n") })
	}
	return addrs
}

// before is what the platform that was killed has had of a dyno's output.
func (s *scene) before(t *testing.T, spec *dyno.Spec) string {
	t.Helper()
	text, err := os.ReadFile(outputOf(s.place, *spec))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// reopen opens the next platform, for as long as the test.
func (s *scene) reopen(t *testing.T) {
	t.Helper()
	p, err := s.open(s.place)
	if err != nil {
		t.Fatal(err)
	}
	s.runner = p.Runner
	t.Cleanup(func() {
		if err := p.Close(within(t)); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

// adopt adopts a dyno as the platform does: by what it has on record.
func (s *scene) adopt(t *testing.T, spec *dyno.Spec) (*run, string) {
	t.Helper()
	r := &run{bench: s.bench, id: spec.ID, out: newOutput()}
	addr, err := s.runner.Adopt(within(t), dyno.Spec{ID: spec.ID, App: spec.App, UID: spec.UID, Command: spec.Command,
		Web: spec.Web, Limits: spec.Limits, Dir: spec.Dir, Output: r.out})
	if err != nil {
		t.Fatalf("adopt: %v", err)
	}
	r.endsWith(t)
	return r, addr
}

func eventually(t *testing.T, what string, true func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !true(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// stage is a directory for a dyno that waits there until it is told to go on.
func stage(t *testing.T) (dir string, goOn func()) {
	t.Helper()
	dir = Dir(t)
	if err := syscall.Mkfifo(filepath.Join(dir, "go"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, func() {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "go"), []byte("go\n"), 0); err != nil {
			t.Fatal(err)
		}
	}
}

func adoptRunning(t *testing.T, s *scene) {
	dir, goOn := stage(t)
	life := newLifeline(t, dir)
	spec := &dyno.Spec{Dir: dir, Web: true, Limits: dyno.Limits{Memory: 256 * mega, Processes: 100},
		Command: `exec 8<>go 9>lifeline; echo $PORT; echo up; read line <&8; echo unwatched; read line <&8; echo watched
			trap 'echo asked; exit 6' TERM; setsid sleep 600 & echo waiting; while :; do sleep 0.02; done`}
	addrs := s.crash(t, spec)
	goOn()
	s.reopen(t)
	r, addr := s.adopt(t, spec)
	if err := s.runner.Sweep(within(t)); err != nil {
		t.Fatalf("sweep: %v", err)
	}
	r.out.expect(t, "unwatched\n")
	if addr == "" || addr != addrs[0] {
		t.Errorf("its address is %q, and was %q", addr, addrs[0])
	}
	if used := s.memory(t, r); used < mega/2 || used > 64*mega {
		t.Errorf("it uses %d bytes", used)
	}
	goOn()
	r.out.expect(t, "waiting\n")
	r.stop(t, limit)
	if exit := r.wait(t); exit != (dyno.Exit{Code: 6}) {
		t.Errorf("ended as %+v", exit)
	}
	said := strings.ReplaceAll(r.out.String(), "Terminated\n", "") // a shell's word on its sleep
	if all := s.before(t, spec) + said; !strings.HasSuffix(all, "\nup\nunwatched\nwatched\nwaiting\nasked\n") {
		t.Errorf("the two platforms read %q and %q", s.before(t, spec), r.out.String())
	}
	life.cut(t)
}

func adoptEnded(t *testing.T, s *scene) {
	for name, tt := range map[string]struct {
		end  string
		want dyno.Exit
	}{
		"with a status": {"exit 7", dyno.Exit{Code: 7}},
		"by a signal":   {"kill -TERM $$", dyno.Exit{Code: 143, Signal: "SIGTERM"}},
	} {
		t.Run(name, func(t *testing.T) {
			s.place = Dir(t)
			dir, goOn := stage(t)
			life := newLifeline(t, dir)
			spec := &dyno.Spec{Dir: dir, Command: `exec 8<>go 9>lifeline; echo up; read line <&8; (sleep 600 &); echo last words; ` + tt.end}
			s.crash(t, spec)
			goOn()
			eventually(t, "the command ends", life.loose)
			s.reopen(t)
			r, _ := s.adopt(t, spec)
			if exit := r.wait(t); exit != tt.want || r.out.String() != "last words\n" {
				t.Errorf("ended as %+v with %q", exit, r.out.String())
			}
		})
	}
}

// adoptExhausted has a dyno use too much while nobody watches, or just after.
func adoptExhausted(t *testing.T, s *scene) {
	dir, goOn := stage(t)
	spec := &dyno.Spec{Dir: dir, Limits: dyno.Limits{Memory: 64 * mega}, Command: `exec 8<>go; echo up; read line <&8; ` + hog(200*mega) + `; sleep 600`}
	s.crash(t, spec)
	goOn()
	s.reopen(t)
	r, _ := s.adopt(t, spec)
	if exit := r.wait(t); exit != (dyno.Exit{Code: 137, Signal: "SIGKILL", Exhausted: true}) {
		t.Errorf("ended as %+v", exit)
	}
}

func adoptFull(t *testing.T, s *scene) {
	const lines = 50_000 // of 100 bytes: far more than a pipe holds
	dir, goOn := stage(t)
	spec := &dyno.Spec{Dir: dir, Command: fmt.Sprintf(`exec 8<>go; echo up; read line <&8
		awk 'BEGIN { for (n = 0; n < %d; n++) { printf "%%099d\n", n; fflush() } }'; exit 3`, lines)}
	s.crash(t, spec)
	goOn()
	s.reopen(t)
	r, _ := s.adopt(t, spec)
	if exit := r.wait(t); exit.Code != 3 {
		t.Errorf("ended as %+v", exit)
	}
	n := 0
	for line := range strings.Lines(r.out.String()) {
		if line != fmt.Sprintf("%099d\n", n) {
			t.Fatalf("line %d is %q", n, line)
		}
		n++
	}
	if n != lines {
		t.Errorf("%d lines arrived, want %d", n, lines)
	}
}

func sweep(t *testing.T, s *scene) {
	var specs []*dyno.Spec
	var lives []lifeline
	for _, command := range []string{
		"echo up; sh -c 'sleep 600; true' & wait",
		"trap '' TERM HUP; setsid sh -c 'echo up; sleep 600; true' & wait; sleep 600",
		"echo up; exit 1",
	} {
		dir := Dir(t)
		lives = append(lives, newLifeline(t, dir))
		specs = append(specs, &dyno.Spec{Dir: dir, Command: "exec 9>lifeline; " + command})
	}
	specs = append(specs, &dyno.Spec{Command: "echo up; sleep 600"}) // of a slug
	s.crash(t, specs...)
	s.reopen(t)
	if err := s.runner.Sweep(within(t)); err != nil {
		t.Fatalf("sweep: %v", err)
	}
	for _, life := range lives {
		life.cut(t)
	}
	for _, spec := range specs {
		if _, err := s.runner.Adopt(within(t), dyno.Spec{ID: spec.ID, App: spec.App, UID: spec.UID, Dir: spec.Dir, Output: newOutput()}); err == nil {
			t.Error("what has been swept was adopted")
		}
	}
	specs[0].Command = "exit 2" // the name and the directory are free
	if exit, out := s.result(t, *specs[0]); exit.Code != 2 {
		t.Errorf("ended as %+v with %q", exit, out)
	}
}

func adoptNone(t *testing.T, s *scene) {
	spec := &dyno.Spec{Command: "echo up; sleep 600"}
	s.crash(t, spec)
	s.reopen(t)
	if _, err := s.runner.Adopt(within(t), dyno.Spec{ID: uuid.NewString(), App: spec.App, UID: spec.UID, Output: newOutput()}); err == nil {
		t.Error("a dyno that never was has been adopted")
	}
	r, _ := s.adopt(t, spec)
	if _, err := s.runner.Adopt(within(t), dyno.Spec{ID: spec.ID, App: spec.App, UID: spec.UID, Output: newOutput()}); err == nil {
		t.Error("a dyno was adopted twice")
	}
	r.stop(t, 0)
	if exit := r.wait(t); exit.Code <= 128 { // SIGTERM may be in time
		t.Errorf("ended as %+v", exit)
	}
}

// adoptKilled has a dyno that nothing is left of but its folder.
func adoptKilled(t *testing.T, s *scene) {
	dir, goOn := stage(t)
	life := newLifeline(t, dir)
	spec := &dyno.Spec{Dir: dir, Command: `exec 8<>go 9>lifeline; echo up; read line <&8; kill -KILL $PPID; kill -KILL $$`}
	s.crash(t, spec)
	goOn()
	eventually(t, "the command ends", life.loose)
	s.reopen(t)
	// It may take the first process with it or not, and is then told of.
	addr, err := s.runner.Adopt(within(t), dyno.Spec{ID: spec.ID, App: spec.App, UID: spec.UID, Dir: dir, Output: newOutput()})
	if err == nil {
		if exit, err := s.runner.Wait(within(t), spec.ID); err != nil || exit.Signal != "SIGKILL" || addr != "" {
			t.Errorf("ended as %+v, %v", exit, err)
		}
	}
	if err := s.runner.Sweep(within(t)); err != nil {
		t.Fatalf("sweep: %v", err)
	}
}

func adoptAttached(t *testing.T, s *scene) {
	s.reopen(t)
	for name, spec := range map[string]dyno.Spec{
		"a terminal": {TTY: &dyno.TTY{Window: dyno.Window{Cols: 80, Rows: 24}}},
		"input":      {Stdin: strings.NewReader("")},
	} {
		spec.ID, spec.App, spec.UID, spec.Output = uuid.NewString(), uuid.NewString(), s.UID, newOutput()
		if _, err := s.runner.Adopt(within(t), spec); err == nil {
			t.Errorf("a dyno with %s was adopted", name)
		}
	}
}

func adoptClean(t *testing.T, s *scene) {
	s.reopen(t)
	if err := s.runner.Sweep(within(t)); err != nil {
		t.Errorf("sweep of nothing: %v", err)
	}
	if exit, _ := s.result(t, dyno.Spec{Command: "exit 3"}); exit.Code != 3 {
		t.Errorf("ended as %+v", exit)
	}
	if err := s.runner.Sweep(within(t)); err != nil {
		t.Errorf("sweep of what has ended: %v", err)
	}
}

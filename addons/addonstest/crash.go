package addonstest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"niwa/addons"
	"niwa/addons/engine"
	"niwa/platform/docker"
	"niwa/platform/pki"
	"niwa/platform/proc"
)

// victimEnv tells a test binary to be a niwa that gets killed.
const victimEnv = "NIWA_TEST_VICTIM"

// Victim is a niwa that gets killed: a process with a provider that takes one
// step after the other, says when each begins and ends, and then waits.
type Victim struct {
	Dir, Host, Platform string
	Choice              engine.Choice
	ID                  string // of the add-on
	Plan                addons.Plan
	Steps               []string

	said *bufio.Reader
	cmd  *exec.Cmd
}

// Main runs the tests of a package, or is the victim of one of them.
func Main(m *testing.M, open func(context.Context, engine.Config) (Provider, error)) {
	job := os.Getenv(victimEnv)
	if job == "" {
		os.Exit(m.Run())
	}
	var v Victim
	err := json.Unmarshal([]byte(job), &v)
	if err == nil {
		err = v.live(open)
	}
	fmt.Println("failed", err)
	os.Exit(1)
}

func (v *Victim) live(open func(context.Context, engine.Config) (Provider, error)) error {
	home, err := openHome(v.Dir)
	if err != nil {
		return err
	}
	ctx := context.Background()
	p, err := open(ctx, home.complete(engine.Config{Choice: v.Choice, Host: v.Host, Docker: func(ctx context.Context) (*docker.Engine, error) {
		return docker.Connect(ctx, v.Platform)
	}}))
	if err != nil {
		return err
	}
	for _, step := range v.Steps {
		fmt.Println("begin", step)
		url, err := v.take(ctx, p, step)
		if err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
		fmt.Println("end", step, url)
	}
	select {}
}

func (v *Victim) take(ctx context.Context, p Provider, step string) (url string, err error) {
	var config map[string]string
	switch step {
	case "provision":
		var resource addons.Resource
		resource, err = p.Provision(ctx, addons.Request{ID: v.ID, Name: "curved-14721", Plan: v.Plan})
		config = resource.Config
	case "create":
		config, err = p.(addons.CredentialCreator).CreateCredential(ctx, v.ID, "readonly")
	case "rotate":
		config, err = p.(addons.Rotator).Rotate(ctx, v.ID, addons.Default)
	case "deprovision":
		err = p.Deprovision(ctx, v.ID)
	}
	return config["URL"], err
}

// Start starts a victim.
func (v *Victim) Start(t *testing.T) {
	t.Helper()
	job, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	v.cmd = exec.Command(os.Args[0])
	v.cmd.Env = append(os.Environ(), victimEnv+"="+string(job))
	v.cmd.Stderr = os.Stderr
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	v.said = bufio.NewReader(out)
}

// Await returns once the victim begins or ends a step, with the URL that it
// then has.
func (v *Victim) Await(t *testing.T, event, step string) (url string) {
	t.Helper()
	for {
		line, err := v.said.ReadString('\n')
		words := append(strings.Fields(line), "", "", "")
		if err != nil || words[0] == "failed" {
			t.Fatalf("before the victim could %s %s: %q, %v", event, step, line, err)
		}
		if words[0] == event && words[1] == step {
			return words[2]
		}
	}
}

// Kill ends the victim, and nothing that it has started.
func (v *Victim) Kill(t *testing.T) {
	t.Helper()
	if err := v.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = v.cmd.Wait() // it was killed
}

// openHome opens what a dead niwa had open.
func openHome(dir string) (*Home, error) {
	procs, procsErr := proc.Open(filepath.Join(dir, "procs"))
	ca, caErr := pki.Open(filepath.Join(dir, "ca"))
	return &Home{Dir: dir, CA: ca, Procs: procs, Log: slog.Default()}, errors.Join(procsErr, caErr)
}

// crashes kills niwa in the midst of every step, and wants the next one to
// find everything, and to be able to remove it. The provider that has served
// until now is closed meanwhile: of a platform there is one.
func crashes(t *testing.T, f *fixture) {
	if err := f.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer f.reopen(t)
	dir := filepath.Join(NewHome(t).Dir, "niwa")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	took := map[string]time.Duration{}
	// The first makes what all add-ons share, and is itself killed in the
	// midst of that.
	f.crash(t, dir, "provision", 300*time.Millisecond)
	v := f.victim(t, dir)
	v.Start(t)
	for _, step := range v.Steps {
		v.Await(t, "begin", step)
		began := time.Now()
		v.Await(t, "end", step)
		took[step] = time.Since(began)
	}
	v.Kill(t)
	f.succeed(t, dir, v.ID, "deprovision")
	there := files(t, dir)
	for _, step := range v.Steps {
		f.crash(t, dir, step, took[step]/2)
		if diff := cmp.Diff(there, files(t, dir)); diff != "" {
			t.Errorf("after a kill in the midst of %s, files differ: %s", step, diff)
		}
	}
}

// victim is one for a new add-on of the suite.
func (f *fixture) victim(t *testing.T, dir string) *Victim {
	t.Helper()
	c := f.Suite.Config
	v := &Victim{Dir: dir, Host: c.Host, Choice: c.Choice, ID: uuid.NewString(), Plan: f.Plan,
		Steps: []string{"provision", "create", "rotate", "deprovision"}}
	if c.Docker != nil {
		e, err := c.Docker(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		v.Platform = e.Platform
	}
	return v
}

// crash kills a niwa some time after it began a step, and has another succeed
// it.
func (f *fixture) crash(t *testing.T, dir, step string, after time.Duration) {
	t.Helper()
	v := f.victim(t, dir)
	v.Steps = v.Steps[:slices.Index(v.Steps, step)+1]
	v.Start(t)
	v.Await(t, "begin", step)
	time.Sleep(after)
	v.Kill(t)
	f.succeed(t, dir, v.ID, step)
}

// succeed opens the directory of a niwa that was killed in the midst of a
// step: every credential on record works, and nothing is left afterwards.
func (f *fixture) succeed(t *testing.T, dir, id, step string) {
	t.Helper()
	home, err := openHome(dir)
	if err != nil {
		t.Fatal(err)
	}
	next := &fixture{Suite: f.Suite, Home: home}
	next.reopen(t)
	if swept, err := home.Procs.Sweep(""); err != nil || len(swept) > 0 {
		t.Errorf("%s: nobody took back %v, %v", step, swept, err)
	}
	all, err := next.Provider.(addons.CredentialLister).Credentials(t.Context(), id)
	if err != nil && (!isNotFound(err) || step != "provision" && step != "deprovision") {
		t.Errorf("%s: %v", step, err)
	}
	for name, config := range all {
		if step != "deprovision" {
			eventually(t, fmt.Sprintf("%s: the credential %s works", step, name), func() error {
				client, err := f.Dial(t.Context(), config)
				if err == nil {
					client.Close()
				}
				return err
			})
		}
	}
	if err := next.Deprovision(t.Context(), id); err != nil {
		t.Errorf("%s: %v", step, err)
	}
	next.nothingOf(t, id)
	if err := next.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := home.Procs.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// files lists what a provider keeps, down to what is the servers' own.
func files(t *testing.T, dir string) (all []string) {
	t.Helper()
	root := (&Home{Dir: dir}).EngineDir()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if entry.IsDir() && (name == "cluster" || strings.HasPrefix(name, "embedded")) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, ".old") {
			all = append(all, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

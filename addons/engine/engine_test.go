package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"niwa/addons/engine"
	"niwa/platform/platformtest/need"
)

func TestModes(t *testing.T) {
	for _, mode := range []engine.Mode{engine.Auto, engine.External, engine.Docker, engine.Native, engine.Embedded} {
		if got, err := engine.ParseMode(string(mode)); err != nil || got != mode {
			t.Errorf("ParseMode(%q) = %q, %v", mode, got, err)
		}
	}
	for _, text := range []string{"", "Native", "cloud"} {
		if _, err := engine.ParseMode(text); err == nil || !strings.Contains(err.Error(), "external docker native") {
			t.Errorf("ParseMode(%q): %v", text, err)
		}
	}
}

func TestTheOrderOfEngines(t *testing.T) {
	for name, c := range map[string]struct {
		choice    engine.Choice
		last      engine.Mode
		want      string
		elsewhere bool
	}{
		"what is installed comes before a container": {engine.Choice{Mode: engine.Auto}, "", "[native docker embedded]", false},
		"data stay with who wrote them":              {engine.Choice{Mode: engine.Auto}, engine.Docker, "[docker native embedded]", false},
		"one that is asked for is the only one":      {engine.Choice{Mode: engine.Native}, engine.Docker, "[native]", false},
		"a URL is for new add-ons":                   {engine.Choice{Mode: engine.Auto, URL: "x"}, engine.Native, "[native docker embedded]", true},
		"external is nowhere here":                   {engine.Choice{Mode: engine.External, URL: "x"}, engine.Native, "[]", true},
		"a URL is ignored where it is not allowed":   {engine.Choice{Mode: engine.Native, URL: "x"}, "", "[native]", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fmt.Sprint(c.choice.Here(c.last)); got != c.want || c.choice.Elsewhere() != c.elsewhere {
				t.Errorf("got %s, elsewhere %v", got, c.choice.Elsewhere())
			}
		})
	}
}

func TestTheURLOfAServerElsewhere(t *testing.T) {
	for text, want := range map[string]string{
		"postgres://admin:geheim@db.example": "db.example:5432", "postgresql://a:b@[::1]:7/x?sslmode=require": "[::1]:7",
	} {
		if u, err := engine.PostgresURL(text); err != nil || u.Host != want {
			t.Errorf("%v, %v", u, err)
		}
	}
	if u, err := engine.RedisURL("rediss://:geheim@cache.example"); err != nil || u.Host != "cache.example:6379" {
		t.Errorf("%v, %v", u, err)
	}
	for _, text := range []string{"redis://:geheim@x", "postgres://a:geheim@", "postgres://geheim%zz@x", "geheim", "postgres://a:geheim@x,y", "postgres://geheim@x:y"} {
		if _, err := engine.PostgresURL(text); err == nil || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// fakePostgres makes a directory of programs that say they are a version.
func fakePostgres(t *testing.T, version string) string {
	t.Helper()
	bin, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\necho 'postgres (PostgreSQL) %s'\n", version)
	for _, name := range []string{"postgres", "initdb"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

func TestAnInstallationTellsItsVersion(t *testing.T) {
	for text, want := range map[string]engine.Postgres{
		"15.20 (Debian 15.20-0+deb12u1)": {Major: 15, Version: "15.20"},
		"18beta1":                        {Major: 18, Version: "18"},
		"9.6.24":                         {Major: 9, Version: "9.6.24"},
	} {
		want.Bin = fakePostgres(t, text)
		got, ok := engine.PostgresIn(want.Bin)
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("%s: %v %s", text, ok, diff)
		}
	}
	for _, dir := range []string{t.TempDir(), "/nowhere", fakePostgres(t, "of no version")} {
		if got, ok := engine.PostgresIn(dir); ok {
			t.Errorf("found %+v", got)
		}
	}
}

func TestTheNewestInstallationComesFirstAndOldOnesNot(t *testing.T) {
	newest := fakePostgres(t, "99.1")
	t.Setenv("PATH", newest+":"+os.Getenv("PATH"))
	if found := engine.FindPostgres(); len(found) == 0 || found[0].Bin != newest {
		t.Errorf("found %+v", found)
	}
	old := fakePostgres(t, "13.9")
	t.Setenv("PATH", old)
	for _, p := range engine.FindPostgres() {
		if p.Bin == old {
			t.Errorf("version %s is too old", p.Version)
		}
	}
}

func TestDoctorSaysWhatRunsAndWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
	closed, open := "postgres://admin:geheim@127.0.0.1:1", listening(t)
	for _, c := range []engine.Choice{
		{Mode: engine.Auto}, {Mode: engine.Native}, {Mode: engine.Docker, Image: "postgres:17"}, {Mode: engine.Embedded},
		{Mode: engine.External}, {Mode: engine.External, URL: closed}, {Mode: engine.Auto, URL: open}, {Mode: engine.External, URL: "geheim"},
	} {
		for _, r := range engine.Probe(t.Context(), c, c)[:1] {
			if r.Engine != "" && !c.Mode.Allows(r.Engine) || (r.Engine == engine.External) != (c.URL == closed || c.URL == open) {
				t.Errorf("%+v: %+v", c, r)
			}
			if (r.Engine == "") != (r.Detail == "") || (r.Missing == "") != (r.Fix == "") || r.Engine == "" && r.Missing == "" {
				t.Errorf("%+v: half a report: %+v", c, r)
			}
			if strings.Contains(fmt.Sprint(r), "geheim") {
				t.Errorf("it tells the secret: %+v", r)
			}
			if c.URL == open && r.Missing != "" || c.URL == closed && r.Missing == "" {
				t.Errorf("whether it answers: %+v", r)
			}
		}
	}
	for _, r := range engine.Probe(t.Context(), engine.Choice{Mode: engine.Embedded}, engine.Choice{Mode: engine.Embedded}) {
		if r.Engine != engine.Embedded {
			t.Errorf("%+v", r)
		}
	}
}

// listening is the URL of something that answers.
func listening(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return "postgres://admin:geheim@" + l.Addr().String()
}

func TestARedisThatIsTooOldIsNone(t *testing.T) {
	bin := t.TempDir()
	for version, want := range map[string]bool{"6.0.16": false, "6.2.0": true, "7.0.15": true} {
		script := fmt.Sprintf("#!/bin/sh\necho 'Redis server v=%s sha=00000000:0 malloc=jemalloc bits=64'\n", version)
		if err := os.WriteFile(filepath.Join(bin, "redis-server"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", bin)
		found, ok := engine.FindRedis()
		if ok && strings.HasPrefix(found.Path, bin) != want {
			t.Errorf("%s: %+v", version, found)
		}
		if !ok && want {
			t.Errorf("%s was not found", version)
		}
	}
}

func TestAPortInUseIsTold(t *testing.T) {
	hosts := []string{"127.0.0.1", "127.0.0.2"}
	port, err := engine.FreePort(hosts...)
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.CheckPort(port, hosts...); err != nil {
		t.Error(err)
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, hosts := range [][]string{hosts, {"127.0.0.1"}} {
		if err := engine.CheckPort(port, hosts...); !errors.Is(err, engine.ErrPortTaken) || !strings.Contains(err.Error(), fmt.Sprint(port)) {
			t.Errorf("got %v", err)
		}
	}
}

func TestLocksKeepOneKeyApartAndOthersTogether(t *testing.T) {
	var locks engine.Locks
	counts := map[string]*int{"a": new(int), "b": new(int)} // the race detector sees a lock that is none
	var wg sync.WaitGroup
	for range 50 {
		for key, n := range counts {
			wg.Go(func() {
				unlock, err := locks.Lock(t.Context(), key)
				if err != nil {
					t.Error(err)
					return
				}
				defer unlock()
				*n++
			})
		}
	}
	wg.Wait()
	if *counts["a"] != 50 || *counts["b"] != 50 {
		t.Errorf("lost a count: %d, %d", *counts["a"], *counts["b"])
	}
	unlock, err := locks.Lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, key := range []string{"a", "free"} {
		if _, err := locks.Lock(ctx, key); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestRecordsAreWholeAndPrivate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "record.json")
	var got map[string]string
	if err := engine.Load(file, &got); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := engine.Save(file, map[string]string{"password": "x"}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := engine.Load(file, &got); err != nil || got["password"] != "x" {
		t.Errorf("got %v, %v", got, err)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := engine.Load(file, &got); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("got %v", err)
	}
}

func TestNamesAreHerokusAndStable(t *testing.T) {
	name := engine.Name("d", "database", "6a6b8a4e-0000-4000-8000-000000000001")
	if !regexp.MustCompile(`^d[a-z2-7]{14}$`).MatchString(name) {
		t.Errorf("got %q", name)
	}
	if engine.Name("d", "a", "b") == engine.Name("d", "ab") || name != engine.Name("d", "database", "6a6b8a4e-0000-4000-8000-000000000001") {
		t.Error("names are mixed up")
	}
	if p := engine.Password(); len(p) != 64 || p == engine.Password() {
		t.Errorf("a password of %d characters", len(p))
	}
}

func TestADirectoryThatTheServersUserCannotReachIsNamed(t *testing.T) {
	need.Root(t)
	user, err := engine.ServerUser()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	closed := filepath.Join(dir, "closed")
	if err := os.MkdirAll(filepath.Join(closed, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := user.CheckReach(filepath.Join(closed, "data")); err == nil || !strings.Contains(err.Error(), closed) {
		t.Errorf("got %v", err)
	}
}

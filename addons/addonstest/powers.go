package addonstest

import (
	"bytes"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"niwa/addons"
	"niwa/addons/engine"
)

func information(t *testing.T, f *fixture) {
	informer := f.Provider.(addons.Informer)
	id, config := f.provision(t)
	put(t, f.dial(t, config), "kept", "yes")
	rows, err := informer.Info(t.Context(), id, f.Plan)
	if err != nil {
		t.Fatal(err)
	}
	facts := map[string]string{}
	for _, row := range rows {
		facts[row.Name] = strings.Join(row.Values, " ")
	}
	for _, name := range []string{"Plan", "Status", "Created", "Connections", "Engine"} {
		if facts[name] == "" {
			t.Errorf("there is no row %q in %v", name, facts)
		}
	}
	if facts["Plan"] != engine.HumanPlan(f.Plan.Name) || !strings.HasPrefix(facts["Connections"], "1/") {
		t.Errorf("with one connection open: %v", facts)
	}
	if f.Unlimited != strings.Contains(facts["Connections"], "not enforced") {
		t.Errorf("whether connections are limited: %q", facts["Connections"])
	}
	for name, value := range facts {
		if strings.Contains(value, secret(t, config)) {
			t.Errorf("the row %q holds the secret", name)
		}
	}
}

func readOnlyCredential(t *testing.T, f *fixture) {
	creator := f.Provider.(addons.CredentialCreator)
	id, owner := f.provision(t)
	config, err := creator.CreateCredential(t.Context(), id, "readonly")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := creator.CreateCredential(t.Context(), id, "readonly"); err != nil || !cmp.Equal(again, config) {
		t.Errorf("making it twice gives another: %v", err)
	}
	put(t, f.dial(t, owner), "kept", "yes") // after it was made: rights reach what comes later
	reader := f.dial(t, config)
	wantValue(t, reader, "kept", "yes")
	if err := reader.Put(t.Context(), "kept", "no"); !f.WriteRefused(err) {
		t.Errorf("it may write: %v", err)
	}
	wantValue(t, f.dial(t, owner), "kept", "yes")

	all, err := f.Provider.(addons.CredentialLister).Credentials(t.Context(), id)
	want := map[string]map[string]string{addons.Default: owner, "readonly": config}
	if err != nil || !cmp.Equal(all, want) {
		t.Errorf("%d credentials are listed, %v", len(all), err)
	}
	destroyer := f.Provider.(addons.CredentialDestroyer)
	if err := destroyer.DestroyCredential(t.Context(), id, addons.Default); err == nil {
		t.Error("the default credential was destroyed")
	}
	for range 2 {
		if err := destroyer.DestroyCredential(t.Context(), id, "readonly"); err != nil {
			t.Fatal(err)
		}
	}
	f.refused(t, config, "its credential was destroyed")
	if _, err := reader.Get(t.Context(), "kept"); err == nil {
		t.Error("a connection of the destroyed credential still works")
	}
	for _, name := range []string{"", "a b", "x'; drop role postgres; --", strings.Repeat("x", 200)} {
		if _, err := creator.CreateCredential(t.Context(), id, name); err == nil {
			t.Errorf("made a credential called %q", name)
		}
	}
}

func statistics(t *testing.T, f *fixture) {
	resetter := f.Provider.(addons.StatsResetter)
	id, _ := f.provision(t)
	if err := resetter.ResetStats(t.Context(), id); err != nil {
		t.Error(err)
	}
}

// secrecy looks where any user of the machine can look.
func secrecy(t *testing.T, f *fixture) {
	_, config := f.provision(t)
	needle := []byte(secret(t, config))
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		data, err := os.ReadFile(line)
		if err == nil && bytes.Contains(data, needle) { // one may have ended
			t.Errorf("%s holds the secret", line)
		}
	}
	err = filepath.WalkDir(f.Dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a server removed it meanwhile
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		isLog := strings.Contains(filepath.Base(path), "server.log")
		if info.Mode().Perm()&0o077 == 0 && !isLog || info.Size() > 1<<20 {
			return nil
		}
		if data, err := os.ReadFile(path); err == nil && bytes.Contains(data, needle) {
			t.Errorf("%s, mode %v, holds the secret", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func killed(t *testing.T, f *fixture) {
	id, config := f.provision(t)
	put(t, f.dial(t, config), "kept", "yes")
	f.Kill(t, f.Home, id)
	eventually(t, "the same config works again", func() error {
		client, err := f.Dial(t.Context(), config)
		if err != nil {
			return err
		}
		defer client.Close()
		return client.Put(t.Context(), "again", "yes")
	})
	if f.Durable {
		wantValue(t, f.dial(t, config), "kept", "yes")
	}
	if diff := cmp.Diff(config, f.provisionAs(t, id)); diff != "" {
		t.Error("the config changed")
	}
}

func restart(t *testing.T, f *fixture) {
	var configs []map[string]string
	for range 3 {
		_, config := f.provision(t)
		put(t, f.dial(t, config), "kept", "yes")
		configs = append(configs, config)
	}
	if err := f.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !f.Elsewhere {
		f.refused(t, configs[0], "the provider is closed")
	}
	if _, err := f.Provision(t.Context(), f.request("8c3a9e3e-57b8-4fd2-b2ad-3d1b4e7ec5a0")); err == nil {
		t.Error("a closed provider provisions")
	}
	f.reopen(t)
	for _, config := range configs {
		client := f.dial(t, config)
		if f.Durable {
			wantValue(t, client, "kept", "yes")
		}
		put(t, client, "more", "yes")
	}
}

// moved opens the provider as a niwa does on whose runtime apps reach this
// machine at another address.
func moved(t *testing.T, f *fixture) {
	const other = "127.0.0.2"
	if l, err := net.Listen("tcp", other+":0"); err != nil {
		t.Skip("this system has one address of its own: ", err)
	} else if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	id, config := f.provision(t)
	put(t, f.dial(t, config), "kept", "yes")
	if err := f.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	was := f.Suite.Config.Host
	f.Suite.Config.Host = other
	f.reopen(t)
	all, err := f.Provider.(addons.CredentialLister).Credentials(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	now := all[addons.Default]
	if u := parse(t, now); u.Hostname() != other || u.Port() != parse(t, config).Port() || secret(t, now) != secret(t, config) {
		t.Errorf("more has changed than the host, which is %s", u.Hostname())
	}
	if f.Durable {
		wantValue(t, f.dial(t, now), "kept", "yes")
	}
	for _, host := range []string{other, "127.0.0.1"} { // where niwa itself goes in
		u := parse(t, now)
		u.Host = net.JoinHostPort(host, u.Port())
		put(t, f.dial(t, map[string]string{"URL": u.String()}), "more", "yes")
	}
	if err := f.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.Suite.Config.Host = was
	f.reopen(t)
}

package addonstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"niwa/addons"
	"niwa/platform"
)

// Run runs the contract, and what a provider's powers promise. Resources of
// one provider serve all of its tests, since that is how they live. The
// package's TestMain is Main.
func Run(t *testing.T, s Suite) {
	f := s.open(t)
	run := func(name string, test func(*testing.T, *fixture)) {
		t.Run(name, func(t *testing.T) { test(t, f) })
	}
	run("provisioning twice gives the same resource", provisionTwice)
	run("two resources cannot read each other", isolation)
	run("the plan limits connections", connectionLimit)
	run("deprovisioning twice leaves nothing", deprovision)
	run("many can be provisioned at the same time", concurrency)
	run("a cancelled call can be made again", cancellation)
	run("a resource that does not exist is told so", missing)
	run("what is no uuid is refused", hostileIDs)
	run("an unknown option is refused", unknownOption)
	run("no secret is in a process list or a readable file", secrecy)
	if _, ok := f.Provider.(addons.Informer); ok {
		run("the facts are under Heroku's names, without secrets", information)
	}
	if _, ok := f.Provider.(addons.Rotator); ok {
		run("a rotated secret replaces the old one", rotation)
	}
	if _, ok := f.Provider.(addons.CredentialCreator); ok {
		run("a read-only credential cannot write", readOnlyCredential)
	}
	if _, ok := f.Provider.(addons.StatsResetter); ok {
		run("statistics can be reset", statistics)
	}
	if s.Kill != nil {
		run("a killed server comes back", killed)
	}
	run("a killed niwa leaves nothing that the next does not find", crashes)
	run("a restart keeps config and data", restart)
	if _, ok := f.Provider.(addons.CredentialLister); ok && !s.Elsewhere {
		run("at another address it is the same", moved)
	}
	if _, ok := f.Provider.(addons.Backuper); ok {
		run("there is no backup of what is not there", backupOfNothing)
		run("a backup makes the same resource elsewhere", backup)
	}
}

func provisionTwice(t *testing.T, f *fixture) {
	id, config := f.provision(t)
	put(t, f.dial(t, config), "kept", "yes")
	if diff := cmp.Diff(config, f.provisionAs(t, id)); diff != "" {
		t.Error("the second call gave another config")
	}
	client := f.dial(t, config)
	wantValue(t, client, "kept", "yes")
	if secure, err := client.Secure(t.Context()); err != nil || !secure {
		t.Errorf("the connection is not encrypted: %v", err)
	}
	want := "127.0.0.1"
	if host := f.Suite.Config.Host; host != "" {
		want = host
	}
	if host := parse(t, config).Hostname(); host != want && !f.Elsewhere {
		t.Errorf("the URL names the host %s, and apps reach %s", host, want)
	}
}

func isolation(t *testing.T, f *fixture) {
	_, a := f.provision(t)
	_, b := f.provision(t)
	put(t, f.dial(t, a), "mine", "a")
	put(t, f.dial(t, b), "mine", "b")
	wantValue(t, f.dial(t, a), "mine", "a")
	f.refused(t, withSecretOf(t, a, b), "its secret is another resource's")
	f.refused(t, withSecretOf(t, b, a), "its secret is another resource's")
}

func connectionLimit(t *testing.T, f *fixture) {
	id, config := f.provision(t)
	fill := func(limit int) {
		t.Helper()
		var open []Client
		defer func() {
			for _, c := range open {
				c.Close()
			}
		}()
		for len(open) < limit {
			// The server may still be counting connections that have ended.
			eventually(t, fmt.Sprintf("connection %d of %d", len(open)+1, limit), func() error {
				c, err := f.Dial(t.Context(), config)
				if err == nil {
					open = append(open, c)
				}
				return err
			})
		}
		if !f.Unlimited {
			f.refused(t, config, fmt.Sprintf("%d of %d connections are open", limit, limit))
		}
		if informer, ok := f.Provider.(addons.Informer); ok { // niwa's own way in stays open
			if _, err := informer.Info(t.Context(), id, f.Plan); err != nil {
				t.Errorf("no facts while every connection is taken: %v", err)
			}
		}
	}
	fill(f.Plan.Connections)
	if err := f.ChangePlan(t.Context(), id, f.Larger); err != nil {
		t.Fatal(err)
	}
	fill(f.Larger.Connections)
	if err := f.ChangePlan(t.Context(), id, f.Plan); err != nil {
		t.Fatal(err)
	}
	fill(f.Plan.Connections)
}

func rotation(t *testing.T, f *fixture) {
	rotator := f.Provider.(addons.Rotator)
	id, old := f.provision(t)
	before := f.dial(t, old)
	put(t, before, "kept", "yes")
	config, err := rotator.Rotate(t.Context(), id, addons.Default)
	if err != nil {
		t.Fatal(err)
	}
	if secret(t, old) == secret(t, config) {
		t.Error("the secret is the same")
	}
	f.refused(t, old, "its secret was rotated")
	if _, err := before.Get(t.Context(), "kept"); err == nil {
		t.Error("a connection made with the old secret still works")
	}
	wantValue(t, f.dial(t, config), "kept", "yes")
	if diff := cmp.Diff(config, f.provisionAs(t, id)); diff != "" {
		t.Error("provisioning again does not give the new config")
	}
	if _, err := rotator.Rotate(t.Context(), id, "nobody"); !isNotFound(err) {
		t.Errorf("rotating a credential that does not exist: %v", err)
	}
}

func deprovision(t *testing.T, f *fixture) {
	id, config := f.provision(t)
	client := f.dial(t, config) // which must not be in the way
	put(t, client, "kept", "no")
	if creator, ok := f.Provider.(addons.CredentialCreator); ok {
		if _, err := creator.CreateCredential(t.Context(), id, "readonly"); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := f.Deprovision(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	f.refused(t, config, "its resource is gone")
	f.nothingOf(t, id)
	if again := f.provisionAs(t, id); secret(t, again) == secret(t, config) {
		t.Error("a resource made anew has the old one's secret")
	}
}

// nothingOf fails the test when there is something of a resource.
func (f *fixture) nothingOf(t *testing.T, id string) {
	t.Helper()
	left := f.Remains(t, f.Home, id)
	err := filepath.WalkDir(f.Dir, func(path string, _ os.DirEntry, err error) error {
		if strings.Contains(filepath.Base(path), id) { // the records of processes have such names too
			left = append(left, path)
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil // a server removed it meanwhile
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func concurrency(t *testing.T, f *fixture) {
	ids := []string{uuid.NewString(), uuid.NewString(), uuid.NewString()}
	var mu sync.Mutex
	got := map[string][]string{}
	var wg sync.WaitGroup
	for _, id := range slices.Concat(ids, ids) {
		wg.Go(func() {
			resource, err := f.Provision(t.Context(), f.request(id))
			if err != nil {
				t.Errorf("provision: %v", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			got[id] = append(got[id], resource.Config["URL"])
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for id, urls := range got {
		if len(urls) != 2 || urls[0] != urls[1] || seen[urls[0]] {
			t.Errorf("two calls for one id gave %d configs, or another's", len(urls))
			continue
		}
		seen[urls[0]] = true
		put(t, f.dial(t, map[string]string{"URL": urls[0]}), "id", id)
	}
}

func cancellation(t *testing.T, f *fixture) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	id := uuid.NewString()
	if _, err := f.Provision(ctx, f.request(id)); !errors.Is(err, context.Canceled) {
		t.Errorf("provisioning with a cancelled context: %v", err)
	}
	for _, wait := range []time.Duration{time.Millisecond, 10 * time.Millisecond, 30 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		_, _ = f.Provision(ctx, f.request(id)) // wherever it was cut off
		cancel()
	}
	put(t, f.dial(t, f.provisionAs(t, id)), "kept", "yes")
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if err := f.Deprovision(ctx, id); !errors.Is(err, context.Canceled) {
		t.Errorf("deprovisioning with a cancelled context: %v", err)
	}
	if err := f.Deprovision(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	f.nothingOf(t, id)
}

func missing(t *testing.T, f *fixture) {
	id := uuid.NewString()
	if err := f.ChangePlan(t.Context(), id, f.Larger); !isNotFound(err) {
		t.Errorf("change plan: %v", err)
	}
	if err := f.Deprovision(t.Context(), id); err != nil {
		t.Errorf("deprovision: %v", err)
	}
	if informer, ok := f.Provider.(addons.Informer); ok {
		if _, err := informer.Info(t.Context(), id, f.Plan); !isNotFound(err) {
			t.Errorf("info: %v", err)
		}
	}
}

func hostileIDs(t *testing.T, f *fixture) {
	outside := filepath.Join(f.Dir, "precious")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", ".", "..", "../precious", "a'; drop database postgres; --", strings.ToUpper(uuid.NewString())} {
		if _, err := f.Provision(t.Context(), f.request(id)); err == nil {
			t.Errorf("provisioned %q", id)
		}
		if err := f.Deprovision(t.Context(), id); err == nil {
			t.Errorf("deprovisioned %q", id)
		}
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
}

func unknownOption(t *testing.T, f *fixture) {
	req := f.request(uuid.NewString())
	req.Options = map[string]string{"fork": "DATABASE"}
	var e *platform.Error
	if _, err := f.Provision(t.Context(), req); !errors.As(err, &e) || e.ID != platform.InvalidParams {
		t.Errorf("got %v", err)
	}
}

func isNotFound(err error) bool {
	var e *platform.Error
	return errors.As(err, &e) && e.ID == platform.NotFound
}

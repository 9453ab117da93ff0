package controller_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"niwa/platform/controller"
)

// chorus is a runner that says what dynos use once it is asked of three.
type chorus struct {
	*fakeRunner
	mu    sync.Mutex
	asked int
	sung  chan struct{} // closed for the next three to be answered
}

func (r *chorus) Memory(ctx context.Context, _ string) (int64, error) {
	r.mu.Lock()
	sung := r.sung
	if r.asked++; r.asked%3 == 0 {
		close(r.sung)
		r.sung = make(chan struct{})
	}
	r.mu.Unlock()
	select {
	case <-sung:
		return 100 << 20, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (r *chorus) questions() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

func TestDynosAreAskedForTheirMemoryTogetherAndOnceForEachRelease(t *testing.T) {
	runner := &chorus{fakeRunner: &fakeRunner{dynos: map[string]*fakeDyno{}}, sung: make(chan struct{})}
	f := openOver(t, t.TempDir(), runner.fakeRunner, func(cfg *controller.Config) {
		cfg.Runner = runner
		cfg.FreeMemory = func() (int64, error) { return 1 << 40, nil }
	})
	if err := f.EnsureAccount(t.Context(), "a@localhost", "HRKU-0123456789abcdef"); err != nil {
		t.Fatal(err)
	}
	app := f.app(t, "garden")
	f.release(t, "a")
	f.deploy(t, app, map[string]string{"web": "listen"})
	f.scale(t, "garden", controller.FormationUpdate{Type: "web", Quantity: ptr("3")})
	await(t, "a a a", func() string { return f.serving(t) })
	if n := runner.questions(); n != 0 {
		t.Errorf("asked %d times where nothing was to run beside another", n)
	}
	f.release(t, "b")
	await(t, "b b b", func() string { return f.serving(t) })
	await(t, "3", func() string { return fmt.Sprint(f.runner.running()) })
	if n := runner.questions(); n != 3 {
		t.Errorf("asked %d times, want once of each", n)
	}
}

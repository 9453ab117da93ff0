package git

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// elsewhere is a server that has no repository yet.
func elsewhere(t *testing.T) *Server {
	return New(Config{Dir: filepath.Join(t.TempDir(), "repos"), Log: slog.New(slog.DiscardHandler)})
}

func refsOf(t *testing.T, s *Server, appID string) string {
	t.Helper()
	refs, err := s.run(t.Context(), nil, "--git-dir="+s.repo(appID), "for-each-ref")
	if err != nil {
		t.Fatal(err)
	}
	head, err := s.run(t.Context(), nil, "--git-dir="+s.repo(appID), "symbolic-ref", "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	return refs + "\nHEAD " + head
}

func TestABundleMakesTheSameRepositoryElsewhere(t *testing.T) {
	w := newWorld(t, accept)
	w.must(w.work, "push", "heroku", "main", "main:feature")
	w.commit(w.work, "second", map[string]string{"second": "2\n"})
	w.must(w.work, "tag", "-a", "-m", "a tag", "v1")
	w.must(w.work, "push", "heroku", "main:master", "v1")
	shop := apps["shop"].ID
	var bundle bytes.Buffer
	if err := w.server.Bundle(t.Context(), shop, &bundle); err != nil {
		t.Fatal(err)
	}
	other := elsewhere(t)
	if err := other.Unbundle(t.Context(), shop, bytes.NewReader(bundle.Bytes())); err != nil {
		t.Fatal(err)
	}
	if got, want := refsOf(t, other, shop), refsOf(t, w.server, shop); got != want || !strings.Contains(want, "HEAD refs/heads/master") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if out, err := other.run(t.Context(), nil, "--git-dir="+other.repo(shop), "fsck", "--strict"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	// What git itself makes of it.
	file := filepath.Join(t.TempDir(), "shop.bundle")
	if err := os.WriteFile(file, bundle.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	w.must(w.work, "bundle", "verify", file)
}

func TestABundleMadeDuringPushesIsWhole(t *testing.T) {
	w := newWorld(t, accept)
	w.must(w.work, "push", "heroku", "main")
	shop := apps["shop"].ID
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 8 {
			w.commit(w.work, "another", map[string]string{"file": strings.Repeat(fmt.Sprint(i), 10_000)})
			if out, err := w.try(w.work, "push", "heroku", "main"); err != nil {
				t.Errorf("push: %v\n%s", err, out)
			}
		}
	}()
	for made := 0; ; made++ {
		var bundle bytes.Buffer
		if err := w.server.Bundle(t.Context(), shop, &bundle); err != nil {
			t.Fatal(err)
		}
		other := elsewhere(t)
		if err := other.Unbundle(t.Context(), shop, &bundle); err != nil {
			t.Fatal(err)
		}
		if refs := refsOf(t, other, shop); !strings.Contains(refs, "refs/heads/main") {
			t.Errorf("the branch that is pushed to is not in the bundle:\n%s", refs)
		}
		select {
		case <-done:
			if made < 3 {
				t.Errorf("only %d bundles were made meanwhile", made)
			}
			return
		default:
		}
	}
}

func TestAnAppThatWasNeverPushedToHasNoBundle(t *testing.T) {
	var bundle bytes.Buffer
	if err := elsewhere(t).Bundle(t.Context(), apps["shop"].ID, &bundle); err != nil || bundle.Len() > 0 {
		t.Errorf("%v, %d bytes", err, bundle.Len())
	}
}

func TestABadBundleMakesNoRepository(t *testing.T) {
	w := newWorld(t, accept)
	w.must(w.work, "push", "heroku", "main")
	shop := apps["shop"].ID
	var good bytes.Buffer
	if err := w.server.Bundle(t.Context(), shop, &good); err != nil {
		t.Fatal(err)
	}
	whole := good.String()
	for name, bundle := range map[string]string{
		"nothing":            "",
		"something else":     "# v9 git bundle\n\n",
		"cut off in a ref":   whole[:30],
		"cut off in a pack":  whole[:len(whole)-20],
		"a ref outside":      strings.Replace(whole, "refs/heads/main", "../../heads/main", 1),
		"a ref of two lines": strings.Replace(whole, "refs/heads/main", "refs/heads/main\ndelete refs/heads/x", 1),
		"a ref to nothing":   strings.Replace(whole, whole[16:26], "0123456789", 1),
	} {
		t.Run(name, func(t *testing.T) {
			other := elsewhere(t)
			if err := other.Unbundle(t.Context(), shop, strings.NewReader(bundle)); err == nil {
				t.Error("it was taken")
			}
			left, _ := os.ReadDir(other.Dir)
			if len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

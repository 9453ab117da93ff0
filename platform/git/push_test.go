package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"niwa/platform"
)

func TestAFailedBuildRejectsThePushAndSaysWhy(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want []string
		log  string
	}{
		"an error for the client": {
			platform.Invalid("Push rejected, failed to compile Go app.\nSee above."),
			[]string{"remote:  !     Push rejected, failed to compile Go app.", "remote:  !     See above.", "remote:  !     Push failed"},
			"",
		},
		"an error of niwa's own": {
			errors.New("secret detail"),
			[]string{"remote:  !     An internal error occurred"},
			"secret detail",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(context.Context, Push, io.Writer) error { return c.err })
			out, err := w.try(w.work, "push", "heroku", "main")
			if err == nil || strings.Contains(out, "secret") {
				t.Errorf("push: %v\n%s", err, out)
			}
			contains(t, out, c.want...)
			contains(t, out, "! [remote rejected] main -> main (pre-receive hook declined)")
			if got := w.head("main"); got != "" {
				t.Errorf("main is %s", got)
			}
			w.server.Close()
			if c.log != "" {
				contains(t, w.log.String(), c.log)
			}
		})
	}
}

func TestWhichRefsAreBuilt(t *testing.T) {
	const skipped = "remote: Pushed to branch other than [main, master], skipping build."
	for name, c := range map[string]struct {
		push []string
		want []string
		not  string
	}{
		"main":                    {[]string{"main"}, []string{"Building shop refs/heads/main"}, skipped},
		"master":                  {[]string{"main:master"}, []string{"Building shop refs/heads/master"}, skipped},
		"a branch":                {[]string{"main:topic"}, []string{skipped, "main -> topic"}, "Building"},
		"a branch in a folder":    {[]string{"main:refs/heads/feature/main"}, []string{skipped}, "Building"},
		"refs/head, a known slip": {[]string{"main:refs/head/main"}, []string{skipped}, "Building"},
		"a tag":                   {[]string{"v1"}, []string{skipped, "v1 -> v1"}, "Building"},
		"both":                    {[]string{"main:master", "main"}, []string{"building main", "Building shop refs/heads/main"}, "refs/heads/master\n"},
		"main and a tag":          {[]string{"v1", "main"}, []string{"Building shop refs/heads/main"}, skipped},
		"an odd name":             {[]string{"main:refs/heads/$(touch${IFS}x);日本'\""}, []string{skipped}, "Building"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, accept)
			w.must(w.work, "tag", "-m", "version one", "v1")
			out := w.must(w.work, append([]string{"push", "heroku"}, c.push...)...)
			contains(t, out, c.want...)
			if strings.Contains(out, c.not) {
				t.Errorf("%q in\n%s", c.not, out)
			}
		})
	}
}

func TestMainCannotBeDeletedAndOtherBranchesCan(t *testing.T) {
	w := newWorld(t, accept)
	w.must(w.work, "push", "heroku", "main", "main:topic")
	out, err := w.try(w.work, "push", "heroku", ":main")
	if err == nil {
		t.Error("main was deleted")
	}
	contains(t, out, "remote:  !\tPush rejected, cannot delete main branch")
	w.must(w.work, "push", "heroku", ":topic")
	if w.head("main") == "" || w.head("topic") != "" {
		t.Errorf("main %q, topic %q", w.head("main"), w.head("topic"))
	}
}

func TestRewrittenHistoryNeedsForce(t *testing.T) {
	w := newWorld(t, accept)
	w.must(w.work, "push", "heroku", "main")
	w.must(w.work, "commit", "-q", "--amend", "-m", "rewritten")
	out, err := w.try(w.work, "push", "heroku", "main")
	if err == nil {
		t.Error("taken without force")
	}
	contains(t, out, "rejected", "non-fast-forward")
	contains(t, w.must(w.work, "push", "-f", "heroku", "main"), "-----> Building", "forced update")
}

func TestPushesThatCannotBeBuiltAreRefused(t *testing.T) {
	t.Run("a shallow clone", func(t *testing.T) {
		w := newWorld(t, accept)
		w.commit(w.work, "second", nil)
		dir := filepath.Join(t.TempDir(), "shallow")
		w.must(t.TempDir(), "clone", "-q", "--depth", "1", "file://"+w.work, dir)
		out, err := w.try(dir, "push", w.url+"/shop.git", "main")
		if err == nil {
			t.Error("taken")
		}
		contains(t, out, "shallow update not allowed")
	})
	t.Run("a tree", func(t *testing.T) {
		w := newWorld(t, accept)
		out, err := w.try(w.work, "push", "heroku", "main^{tree}:refs/heads/main")
		if err == nil {
			t.Error("taken")
		}
		contains(t, out, "refs/heads/main was pushed a tree, not a commit")
	})
}

func TestSubmodulesAreWarnedAbout(t *testing.T) {
	w := newWorld(t, accept)
	w.must(w.work, "update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("a", 40)+",vendor/lib")
	w.must(w.work, "commit", "-q", "-m", "submodule")
	contains(t, w.must(w.work, "push", "heroku", "main"), "remote:  !     Submodules are not fetched: vendor/lib will be empty.", "-----> Building")
}

func TestOneBuildOfAnAppAtATime(t *testing.T) {
	started, goOn := make(chan struct{}), make(chan struct{})
	w := newWorld(t, func(ctx context.Context, p Push, out io.Writer) error {
		if p.App.Name == "shop" {
			close(started)
			<-goOn
		}
		return accept(ctx, p, out)
	})
	first := w.client(w.work, "push", "heroku", "main")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	<-started
	out, err := w.try(w.work, "push", "heroku", "main")
	if err == nil {
		t.Error("a second push was taken")
	}
	contains(t, out, "remote:  !     A build of this app is in progress.")
	contains(t, w.must(w.work, "push", w.url+"/blog.git", "main"), "Building blog")
	contains(t, w.must(w.work, "push", "heroku", "main:topic"), "skipping build")
	close(goOn)
	if err := first.Wait(); err != nil {
		t.Error(err)
	}
	if w.head("main") == "" {
		t.Error("the first push is lost")
	}
}

func TestABuildGoesOnWhenItsClientGoesAway(t *testing.T) {
	started, goOn := make(chan struct{}), make(chan struct{})
	w := newWorld(t, func(ctx context.Context, p Push, out io.Writer) error {
		close(started)
		select {
		case <-goOn:
		case <-ctx.Done():
			return ctx.Err()
		}
		for range 2000 { // far more than any buffer on the way holds
			if _, err := fmt.Fprintln(out, strings.Repeat("output ", 100)); err != nil {
				return err
			}
		}
		return nil
	})
	client := w.client(w.work, "push", "heroku", "main")
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	<-started
	client.Process.Kill()
	client.Wait()
	close(goOn)
	eventually(t, "the commit is on main", func() bool { return w.head("main") != "" })
}

func TestRemoveCutsOffABuildAndLeavesNothing(t *testing.T) {
	started := make(chan struct{})
	w := newWorld(t, func(ctx context.Context, p Push, out io.Writer) error {
		close(started)
		<-ctx.Done()
		return ctx.Err()
	})
	client := w.client(w.work, "push", "heroku", "main")
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	<-started
	if err := w.server.Remove(apps["shop"].ID); err != nil {
		t.Fatal(err)
	}
	if err := client.Wait(); err == nil {
		t.Error("the client was told it worked")
	}
	if _, err := os.Stat(w.server.repo(apps["shop"].ID)); !os.IsNotExist(err) {
		t.Errorf("the repository: %v", err)
	}
	if err := w.server.Remove("../../etc"); err == nil {
		t.Error("removed a path")
	}
}

func TestWhatAKilledGitLeftDoesNotStandInTheWay(t *testing.T) {
	w := newWorld(t, accept)
	w.must(w.work, "push", "heroku", "main")
	repo := w.server.repo(apps["shop"].ID)
	for _, left := range []string{"refs/heads/main.lock", "packed-refs.lock", "HEAD.lock", "objects/tmp_objdir-incoming-x/pack"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(repo, left)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(repo, left), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	half := filepath.Join(w.server.Dir, unborn+"123")
	if err := os.Mkdir(half, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := w.server.Sweep(); err != nil { // as at a start
		t.Fatal(err)
	}
	if _, err := os.Stat(half); !os.IsNotExist(err) {
		t.Errorf("half a repository is still there: %v", err)
	}
	w.commit(w.work, "second", nil)
	w.must(w.work, "push", "heroku", "main")
	if _, err := os.Stat(filepath.Join(repo, "objects/tmp_objdir-incoming-x")); !os.IsNotExist(err) {
		t.Errorf("half a push is still there: %v", err)
	}
}

func TestARepositoryCannotChangeHowGitRuns(t *testing.T) {
	w := newWorld(t, accept)
	w.must(w.work, "push", "heroku", "main")
	repo := w.server.repo(apps["shop"].ID)
	evil := filepath.Join(t.TempDir(), "ran")
	for _, kv := range [][2]string{{"core.hooksPath", filepath.Dir(evil)}, {"receive.maxInputSize", "1"}} {
		w.must(w.work, "--git-dir="+repo, "config", kv[0], kv[1])
	}
	w.commit(w.work, "second", nil)
	contains(t, w.must(w.work, "push", "heroku", "main"), "-----> Building")
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

package git

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"niwa/platform"
)

// preReceive decides whether a push may pass; pushes to main and master by
// building them.
func (s *Server) preReceive(ctx context.Context, p *process, app platform.App, r received, out io.Writer) bool {
	var target *update
	for i, u := range r.updates {
		branch, deploys := deployBranch(u.Ref)
		switch {
		case !deploys:
		case u.New == "":
			fmt.Fprintf(out, "\n !\tPush rejected, cannot delete %s branch\n\n", branch)
			return false
		case target != nil:
			fmt.Fprintf(out, "Pushed to both main and master, building main.\n")
			fallthrough
		default:
			if target == nil || branch == "main" {
				target = &r.updates[i]
			}
		}
	}
	if target == nil {
		fmt.Fprintln(out, "Pushed to branch other than [main, master], skipping build.")
		return true
	}
	if !s.claim(p, app.ID) {
		reject(out, "A build of this app is in progress. Push again when it has ended.")
		return false
	}
	err := s.deploy(ctx, app, r.env, *target, out)
	if err == nil {
		p.deployed = target.Ref
		return true
	}
	var told *platform.Error
	switch {
	case errors.Is(err, ErrTold):
	case errors.As(err, &told):
		reject(out, told.Message)
	default:
		s.Log.Error("push failed", "app", app.Name, "commit", target.New, "error", err)
		reject(out, "An internal error occurred; niwa's own log says more.")
	}
	return false
}

// ErrTold is what Push wraps when the client has read on out why the push
// failed, so that nothing is left to say.
var ErrTold = errors.New("the client was told")

// deploy builds one update.
func (s *Server) deploy(ctx context.Context, app platform.App, env []string, u update, out io.Writer) error {
	repo := "--git-dir=" + s.repo(app.ID)
	kind, err := s.run(ctx, env, repo, "cat-file", "-t", u.New)
	if err != nil {
		return err
	}
	if kind != "commit" {
		return platform.Invalid("%s was pushed a %s, not a commit. Push TAG^{}:main to build what a tag stands for.", u.Ref, kind)
	}
	description, err := s.run(ctx, env, repo, "log", "-1", "--format=%s", u.New, "--")
	if err != nil {
		return err
	}
	if err := s.warnOfSubmodules(ctx, env, repo, u.New, out); err != nil {
		return err
	}
	return s.Push(ctx, Push{
		App:         app,
		Ref:         u.Ref,
		Old:         u.Old,
		New:         u.New,
		Description: strings.ToValidUTF8(description, "\ufffd"),
		Archive: func(ctx context.Context, w io.Writer) error {
			return s.pipe(ctx, env, w, repo, "archive", "--format=tar", u.New)
		},
	}, out)
}

// warnOfSubmodules says which folders will be empty. Heroku fetches
// submodules; niwa does not reach out to servers that a push names.
func (s *Server) warnOfSubmodules(ctx context.Context, env []string, repo, commit string, out io.Writer) error {
	r, w := io.Pipe()
	defer r.Close()
	go func() { w.CloseWithError(s.pipe(ctx, env, w, repo, "ls-tree", "-r", "--full-tree", commit)) }()
	entries := bufio.NewScanner(r)
	for entries.Scan() {
		if link, path, _ := strings.Cut(entries.Text(), "\t"); strings.HasPrefix(link, "160000 ") {
			fmt.Fprintf(out, " !     Submodules are not fetched: %s will be empty.\n", path)
		}
	}
	return entries.Err()
}

// deployBranch says whether a push to the ref is built, and what its branch
// is called.
func deployBranch(ref string) (branch string, deploys bool) {
	branch, ok := strings.CutPrefix(ref, "refs/heads/")
	return branch, ok && (branch == "main" || branch == "master")
}

// reject tells the client why its push failed, in Heroku's form.
func reject(out io.Writer, message string) {
	fmt.Fprintln(out)
	for line := range strings.Lines(message) {
		fmt.Fprintf(out, " !     %s\n", strings.TrimSuffix(line, "\n"))
	}
	fmt.Fprint(out, "\n !     Push failed\n")
}

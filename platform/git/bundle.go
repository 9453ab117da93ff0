package git

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/google/uuid"
)

// bundleHeader begins a bundle: then come a line per ref, an empty line and a
// pack. Source: https://git-scm.com/docs/gitformat-bundle
const bundleHeader = "# v2 git bundle\n"

// Bundle writes the repository of an app as a git bundle: its refs as they
// are at one moment, and all that they lead to, whatever is pushed meanwhile.
// ("git bundle create" would leave out a ref that changes while it works.)
// Nothing is written for an app that was never pushed to.
func (s *Server) Bundle(ctx context.Context, appID string, w io.Writer) error {
	dir := s.repo(appID)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	refs, err := s.run(ctx, nil, "--git-dir="+dir, "for-each-ref", "--format=%(objectname) %(refname)")
	if err != nil || refs == "" {
		return err
	}
	head, err := s.run(ctx, nil, "--git-dir="+dir, "symbolic-ref", "HEAD")
	if err != nil {
		return err
	}
	header, tips := bundleHeader, ""
	for line := range strings.SplitSeq(refs, "\n") {
		oid, ref, _ := strings.Cut(line, " ")
		header, tips = header+line+"\n", tips+oid+"\n"
		if ref == head {
			header += oid + " HEAD\n" // after the ref that it stands for
		}
	}
	if _, err := io.WriteString(w, header+"\n"); err != nil {
		return err
	}
	return s.feed(ctx, strings.NewReader(tips), w, "--git-dir="+dir, "pack-objects", "--quiet", "--revs", "--stdout", "--delta-base-offset")
}

// Unbundle makes the repository of an app, which has none yet, from what
// Bundle wrote. It is there whole or not at all.
func (s *Server) Unbundle(ctx context.Context, appID string, r io.Reader) (err error) {
	if uuid.Validate(appID) != nil {
		return fmt.Errorf("%q is not the uuid of an app", appID)
	}
	in := bufio.NewReader(r)
	refs, head, err := readRefs(in)
	if err != nil {
		return fmt.Errorf("repository of app %s: %w", appID, err)
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return err
	}
	dir := s.repo(appID)
	if err := s.create(ctx, dir); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if err := s.feed(ctx, in, io.Discard, "--git-dir="+dir, "index-pack", "--stdin", "--strict"); err != nil {
		return err
	}
	if err := s.feed(ctx, strings.NewReader(refs), io.Discard, "--git-dir="+dir, "update-ref", "--stdin"); err != nil {
		return err
	}
	_, err = s.run(ctx, nil, "--git-dir="+dir, "symbolic-ref", "HEAD", head)
	return err
}

// readRefs reads a bundle up to its pack: the refs as commands of update-ref,
// and the branch that HEAD stands for.
func readRefs(in *bufio.Reader) (commands, head string, err error) {
	if line, err := in.ReadString('\n'); err != nil || line != bundleHeader {
		return "", "", errors.New("what there is of it is no git bundle")
	}
	head = "refs/heads/main"
	for last := ""; ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", "", fmt.Errorf("its git bundle is cut off: %w", err)
		}
		oid, ref, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch {
		case line == "\n":
			return commands, head, nil
		case ref == "HEAD" && last != "":
			head = last
		case strings.HasPrefix(ref, "refs/"):
			commands, last = commands+fmt.Sprintf("create %s %s\n", ref, oid), ref
		default:
			return "", "", fmt.Errorf("its git bundle has a ref that is none: %q", ref)
		}
	}
}

// feed is pipe for a git that reads in.
func (s *Server) feed(ctx context.Context, in io.Reader, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env, cmd.Stdin, cmd.Stdout = s.environment(), in, out
	var said tail
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("git %s: %w: %s", args[1], err, said.String())
	}
	return nil
}

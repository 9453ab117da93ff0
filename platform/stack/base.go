package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"

	"niwa/platform/docker"
)

// bootstrapped is the name of a base that was made on this machine.
const bootstrapped = "niwa/debian:" + release

// findBase names an image to start from: the one that was asked for, which is
// here or in a registry, or the default one made from Debian's packages.
func (s *Stack) findBase(ctx context.Context) (string, error) {
	here := []string{s.base}
	if s.base == DefaultBase {
		here = append(here, bootstrapped)
	}
	for _, name := range here {
		if _, err := s.engine.ImageInspect(ctx, name); !errdefs.IsNotFound(err) {
			return name, err
		}
	}
	s.progress("Pulling %s", s.base)
	pullErr := s.pull(ctx)
	if pullErr == nil {
		return s.base, nil
	}
	pullErr = fmt.Errorf("%s cannot be pulled (%w)", s.base, pullErr)
	if s.base != DefaultBase || ctx.Err() != nil {
		return "", pullErr
	}
	if err := canBootstrap(); err != nil {
		return "", fmt.Errorf("%w, nor made from Debian's packages: %w", pullErr, err)
	}
	s.progress("No registry answers; making Debian %s from its packages", release)
	if err := s.bootstrap(ctx); err != nil {
		return "", fmt.Errorf("%w, nor made from Debian's packages: %w", pullErr, err)
	}
	return bootstrapped, nil
}

// pullSilence is how long a registry may say nothing.
const pullSilence = 20 * time.Second

func (s *Stack) pull(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(pullSilence, func() { cancel(fmt.Errorf("the registry has said nothing for %s", pullSilence)) })
	defer silent.Stop()
	stream, err := s.engine.ImagePull(ctx, s.base, image.PullOptions{})
	if err == nil {
		defer stream.Close()
		err = docker.Follow(stream, func(string) { silent.Reset(pullSilence) })
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// canBootstrap says what this machine lacks to make a Debian.
func canBootstrap() error {
	if os.Geteuid() != 0 {
		return errors.New("only root can; run \"niwa stack build\" as root once")
	}
	for _, tool := range []string{"debootstrap", "tar"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("it takes %s: apt-get install %s", tool, tool)
		}
	}
	return nil
}

// bootstrap makes a minimal Debian and imports it as an image.
func (s *Stack) bootstrap(ctx context.Context) (err error) {
	// Not in /tmp, which may be memory or forbid devices.
	dir, err := os.MkdirTemp("/var/tmp", "niwa-stack-")
	if err != nil {
		return err
	}
	// What was mounted there was so in debootstrap's own namespace.
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	root := filepath.Join(dir, "root")
	args := []string{"--variant=minbase", release, root}
	if mirror := nearestMirror(ctx); mirror != "" {
		args = append(args, mirror)
	}
	cmd := exec.CommandContext(ctx, "debootstrap", args...)
	cmd.Env = environ(ctx)
	isolate(cmd)
	runtime.LockOSThread() // whose end would be taken for niwa's
	defer runtime.UnlockOSThread()
	if out, err := cmd.CombinedOutput(); err != nil {
		var last tail
		for line := range strings.Lines(string(out)) {
			last.add(strings.TrimRight(line, "\n"))
		}
		return fmt.Errorf("debootstrap: %w\n%s", err, last.String())
	}
	return s.importRoot(ctx, root)
}

// environ is niwa's environment with the proxies that apt uses.
func environ(ctx context.Context) []string {
	env := append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	for name, value := range proxies(ctx) {
		env = append(env, name+"="+*value)
	}
	return env
}

func (s *Stack) importRoot(ctx context.Context, root string) error {
	var said bytes.Buffer
	tar := exec.CommandContext(ctx, "tar", "-C", root, "--numeric-owner",
		"--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*", "--exclude=./var/log/*.log",
		"--exclude=./usr/share/doc/*", "--exclude=./usr/share/info/*", "--exclude=./usr/share/man/*", "--exclude=./usr/share/locale/*",
		"-c", ".")
	tar.Stderr = &said
	out, err := tar.StdoutPipe()
	if err != nil {
		return err
	}
	if err := tar.Start(); err != nil {
		return err
	}
	stream, err := s.engine.ImageImport(ctx, image.ImportSource{Source: out, SourceName: "-"}, bootstrapped, image.ImportOptions{})
	if err == nil {
		err = errors.Join(docker.Follow(stream, func(string) {}), stream.Close())
	}
	if err != nil {
		out.Close() // so that tar does not wait for somebody to read the rest
	}
	if waitErr := tar.Wait(); waitErr != nil {
		err = errors.Join(err, fmt.Errorf("tar: %w %s", waitErr, said.String()))
	}
	return err
}

package stack

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/docker/docker/api/types/build"

	"niwa/platform/docker"
)

// buildVariant has the engine build one stage of the recipe.
func (s *Stack) buildVariant(ctx context.Context, base, variant string) error {
	files, err := s.context(ctx)
	if err != nil {
		return err
	}
	args := proxies(ctx)
	args["BASE"] = &base
	response, err := s.engine.ImageBuild(ctx, files, build.ImageBuildOptions{
		Tags: []string{s.name(variant)}, Target: variant, Labels: map[string]string{Label: s.version},
		BuildArgs: args, NetworkMode: "host", // proxies and mirrors may be on this machine
		NoCache: variant == "run", Remove: true, ForceRemove: true,
	})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var last tail
	if err := docker.Follow(response.Body, last.add); err != nil {
		return fmt.Errorf("%w\n%s", err, last.String())
	}
	return nil
}

// context is what the recipe can copy from, as a tar.
func (s *Stack) context(ctx context.Context) (*bytes.Buffer, error) {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	add := func(name string, mode int64, content []byte, err error) error {
		if err == nil {
			err = tw.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content))})
		}
		if err == nil {
			_, err = tw.Write(content)
		}
		return err
	}
	dockerfile, err := recipe.ReadFile("image/Dockerfile")
	if err := add("Dockerfile", 0o644, dockerfile, err); err != nil {
		return nil, err
	}
	install, err := recipe.ReadFile("image/install")
	if err := add("files/install", 0o755, install, err); err != nil {
		return nil, err
	}
	var cas []byte
	if path := machineCAs(); path != "" {
		cas, err = os.ReadFile(path)
	}
	if err := add("files/ca.pem", 0o644, cas, err); err != nil {
		return nil, err
	}
	var sources string
	if s.base == DefaultBase {
		sources = sourcesList(ctx)
	}
	if err := add("files/sources.list", 0o644, []byte(sources), nil); err != nil {
		return nil, err
	}
	return &buf, tw.Close()
}

// tail keeps the last lines of what a program said, which tell why it failed.
type tail struct{ lines []string }

func (t *tail) add(line string) {
	if t.lines = append(t.lines, line); len(t.lines) > 15 {
		t.lines = t.lines[1:]
	}
}

func (t *tail) String() string { return strings.Join(t.lines, "\n") }

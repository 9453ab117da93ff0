// Package stack makes the images that dynos are made of when containers run
// them: "run", which an app finds beside its slug, and "build", which has
// compilers too. Their one recipe is the Dockerfile of folder image. The name
// of an image says the version of the recipe that made it, so that an image
// with the right name is the right one, and a changed recipe makes new ones.
//
// They hold nothing of any platform, so all platforms of an engine share them.
package stack

import (
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"niwa/platform/docker"
)

// Label is on every stack image; its value is the version of the recipe.
const Label = "dev.niwa.stack"

// DefaultBase is the image that the recipe starts from, where none is named.
const DefaultBase = "debian:bookworm-slim"

// repository is the name of stack images, before the tag.
const repository = "niwa/heroku-24"

//go:embed image
var recipe embed.FS

// Stack is the stack images of one recipe on one engine.
type Stack struct {
	engine   *docker.Engine
	base     string
	progress func(format string, args ...any)
	version  string
}

// Images names the images that there are.
type Images struct{ Run, Build string }

// New returns the stack of an engine. The recipe starts from the image base;
// empty stands for DefaultBase, which is made from Debian's packages when no
// registry has it. progress is told what takes its time.
func New(engine *docker.Engine, base string, progress func(format string, args ...any)) (*Stack, error) {
	s := &Stack{engine: engine, base: base, progress: progress}
	if base == "" {
		s.base = DefaultBase
	}
	sum := sha256.New()
	fmt.Fprintln(sum, s.base)
	err := fs.WalkDir(recipe, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := recipe.ReadFile(name)
		fmt.Fprintf(sum, "%s %d\n%s", name, len(text), text)
		return err
	})
	s.version = fmt.Sprintf("%x", sum.Sum(nil))[:12]
	return s, err
}

// Images says what the images are called, whether they are there or not.
func (s *Stack) Images() Images {
	return Images{Run: s.name("run"), Build: s.name("build")}
}

func (s *Stack) name(variant string) string {
	return fmt.Sprintf("%s:%s-%s", repository, variant, s.version)
}

// Missing says which of the images are not there.
func (s *Stack) Missing(ctx context.Context) ([]string, error) {
	var missing []string
	for _, name := range []string{s.Images().Run, s.Images().Build} {
		_, err := s.engine.ImageInspect(ctx, name)
		if errdefs.IsNotFound(err) {
			missing = append(missing, name)
		} else if err != nil {
			return nil, fmt.Errorf("stack image %s: %w", name, err)
		}
	}
	return missing, nil
}

// Ensure makes the images if they are not there.
func (s *Stack) Ensure(ctx context.Context) (Images, error) {
	missing, err := s.Missing(ctx)
	if err == nil && len(missing) > 0 {
		s.progress("Building the stack image, once; this takes a minute or two")
		err = s.Build(ctx)
	}
	return s.Images(), err
}

// Build makes the images, whether they are there or not.
func (s *Stack) Build(ctx context.Context) error {
	base, err := s.findBase(ctx)
	if err != nil {
		return fmt.Errorf("stack image: %w", err)
	}
	for _, variant := range []string{"run", "build"} {
		began := time.Now()
		s.progress("Installing the packages of the %s image", variant)
		if err := s.buildVariant(ctx, base, variant); err != nil {
			return fmt.Errorf("stack image %s: %w", s.name(variant), err)
		}
		size, err := s.Size(ctx, s.name(variant))
		if err != nil {
			return err
		}
		s.progress("Built %s: %d MB, in %.0f s", s.name(variant), size>>20, time.Since(began).Seconds())
	}
	return nil
}

// Size is how many bytes an image takes, with what it shares with others.
func (s *Stack) Size(ctx context.Context, name string) (int64, error) {
	info, err := s.engine.ImageInspect(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("stack image %s: %w", name, err)
	}
	return info.Size, nil
}

// RemoveOthers removes the images of other recipes, except those that some
// container is made of.
func (s *Stack) RemoveOthers(ctx context.Context) error {
	all, err := s.engine.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", Label))})
	if err != nil {
		return fmt.Errorf("stack images: %w", err)
	}
	var failed error
	for _, i := range all {
		if i.Labels[Label] == s.version {
			continue
		}
		for _, name := range i.RepoTags {
			if !strings.HasPrefix(name, repository+":") {
				continue // somebody else's name for it
			}
			_, err := s.engine.ImageRemove(ctx, name, image.RemoveOptions{})
			switch {
			case err == nil:
				s.progress("Removed %s, which an older recipe made", name)
			case !errdefs.IsConflict(err) && !errdefs.IsNotFound(err):
				failed = errors.Join(failed, fmt.Errorf("stack image %s: %w", name, err))
			}
		}
	}
	return failed
}

// CAFile is the certificate authorities that the images trust.
const CAFile = "/etc/ssl/certs/ca-certificates.crt"

// Shared is what every container of a stack image has of this machine: the
// certificate authorities that it trusts.
func Shared() []Mount {
	if from := machineCAs(); from != "" {
		return []Mount{{from, CAFile}}
	}
	return nil
}

func machineCAs() string {
	for _, path := range []string{os.Getenv("SSL_CERT_FILE"), CAFile, "/etc/pki/tls/certs/ca-bundle.crt"} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

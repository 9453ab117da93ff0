// Package manifest reads heroku.yml, which says of which Dockerfiles an app of
// the container stack is made and what runs in their images
// (https://devcenter.heroku.com/articles/build-docker-images-heroku-yml).
//
// The file is part of what was pushed and is not trusted: what has been parsed
// holds names that are fit for their use, paths that stay in the source, and a
// built image for every process type. Errors are for whoever wrote the file.
package manifest

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// File is where a manifest is, from the root of the source.
const File = "heroku.yml"

// MaxSize is how many bytes a manifest may have.
const MaxSize = 64 << 10

const (
	maxType  = 128 // characters, as in the Platform API's formation type
	maxTypes = 200

	web     = "web"
	release = "release"
)

// Manifest is what a heroku.yml says, its defaults worked out.
type Manifest struct {
	Addons    []Addon               // what a first deploy adds to the app, in this order
	Config    map[string]string     // config vars that a first deploy sets where they are unset
	Images    map[string]Dockerfile // those to build, by name
	Args      map[string]string     // build arguments of all of them
	Processes map[string]Process    // by process type
}

// Addon is an add-on that the app wants to have.
type Addon struct {
	Plan string // heroku-postgresql:essential-0, or a service for its default plan
	As   string // the name of its attachment; empty for the service's own
}

// Dockerfile makes an image. The build's context is the folder it is in.
type Dockerfile struct {
	Path   string // from the root of the source, clean and local
	Target string // a stage of it; empty for the last
}

// Process is what the dynos of a process type run.
type Process struct {
	Image   string // one of the manifest's Images
	Command string // for a shell; empty for the image's own
	// Implied says that heroku.yml has an image of this name and no command:
	// a process type if the image can be run, else just an image.
	Implied bool
}

// OfDockerfile is the manifest of an app that has a Dockerfile at its root and
// no heroku.yml: its image is the web process.
func OfDockerfile() Manifest {
	return Manifest{
		Images:    map[string]Dockerfile{web: {Path: "Dockerfile"}},
		Processes: map[string]Process{web: {Image: web}},
	}
}

var (
	typeName   = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	configName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	planName   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*(:[a-z0-9][a-z0-9-]*)?$`)
	stageName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)
)

// Parse reads a heroku.yml.
func Parse(text []byte) (Manifest, error) {
	f, err := read(text)
	if err != nil {
		return Manifest{}, err
	}
	if err := f.checkSetup(); err != nil {
		return Manifest{}, err
	}
	m := Manifest{Config: f.Setup.Config, Args: f.Build.Config, Images: map[string]Dockerfile{}, Processes: map[string]Process{}}
	for _, a := range f.Setup.Addons {
		m.Addons = append(m.Addons, Addon(a))
	}
	if err := m.addImages(f); err != nil {
		return Manifest{}, err
	}
	return m, m.addProcesses(f)
}

func (f file) checkSetup() error {
	for i, a := range f.Setup.Addons {
		at := fmt.Sprintf("setup.addons[%d]", i)
		if !planName.MatchString(a.Plan) {
			return fmt.Errorf("%s: plan: %q is no plan; write service or service:plan", at, cut(a.Plan))
		}
		if a.As != "" && !configName.MatchString(a.As) {
			return fmt.Errorf("%s: as: %q is no name; use letters, digits and _", at, cut(a.As))
		}
	}
	if err := checkConfig("setup.config", f.Setup.Config); err != nil {
		return err
	}
	return checkConfig("build.config", f.Build.Config)
}

func checkConfig(at string, config map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(config)) {
		if !configName.MatchString(name) {
			return fmt.Errorf("%s: %q is no name; use letters, digits and _", at, cut(name))
		}
		if strings.ContainsRune(config[name], 0) {
			return fmt.Errorf("%s.%s: it has a zero byte", at, cut(name))
		}
	}
	return nil
}

func (m *Manifest) addImages(f file) error {
	if len(f.Build.Docker) == 0 {
		return fmt.Errorf("build.docker is missing; it names the Dockerfile of each image, such as \"web: Dockerfile\"")
	}
	for _, name := range slices.Sorted(maps.Keys(f.Build.Docker)) {
		if err := checkType(name); err != nil {
			return fmt.Errorf("build.docker: %w", err)
		}
		d, at := f.Build.Docker[name], "build.docker."+cut(name)
		if d.Target != "" && !stageName.MatchString(d.Target) {
			return fmt.Errorf("%s: target: %q is not the name of a stage", at, cut(d.Target))
		}
		clean, err := local(d.Dockerfile)
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		m.Images[name] = Dockerfile{Path: clean, Target: d.Target}
	}
	return nil
}

// local makes sure that a path stays in the source.
func local(name string) (string, error) {
	clean := path.Clean(name)
	switch {
	case name == "":
		return "", fmt.Errorf("it names no Dockerfile; write its path, such as \"Dockerfile\"")
	case path.IsAbs(name), clean == "..", strings.HasPrefix(clean, "../"):
		return "", fmt.Errorf("%q leads out of the app; write the Dockerfile's path from the root of the app", cut(name))
	case clean == ".", strings.ContainsRune(name, 0):
		return "", fmt.Errorf("%q is not the path of a Dockerfile", cut(name))
	}
	return clean, nil
}

func (m *Manifest) addProcesses(f file) error {
	for name := range m.Images {
		m.Processes[name] = Process{Image: name, Implied: true}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Run)) {
		if err := checkType(name); err != nil {
			return fmt.Errorf("run: %w", err)
		}
		if name == release {
			return fmt.Errorf("run.release: what runs before a release is a section of its own; write it as \"release:\" beside \"run:\"")
		}
		if err := m.add("run."+cut(name), name, f.Run[name]); err != nil {
			return err
		}
	}
	if f.Release != nil {
		if f.Release.Command == "" {
			return fmt.Errorf("release: it has no command")
		}
		if err := m.add(release, release, *f.Release); err != nil {
			return err
		}
	}
	if len(m.Processes) > maxTypes {
		return fmt.Errorf("it has %d process types; the most is %d", len(m.Processes), maxTypes)
	}
	return nil
}

// add adds a process. Without an image it has that of its own name, or else
// web's.
func (m *Manifest) add(at, name string, p process) error {
	if strings.ContainsRune(string(p.Command), 0) {
		return fmt.Errorf("%s: the command has a zero byte", at)
	}
	image := p.Image
	for _, standard := range []string{name, web} {
		if _, built := m.Images[standard]; built && image == "" {
			image = standard
		}
	}
	if _, built := m.Images[image]; !built {
		names := strings.Join(slices.Sorted(maps.Keys(m.Images)), ", ")
		if image == "" {
			return fmt.Errorf("%s: it names no image; write \"image:\" with one of build.docker: %s", at, names)
		}
		return fmt.Errorf("%s: the image %q is not in build.docker, which has %s", at, cut(image), names)
	}
	m.Processes[name] = Process{Image: image, Command: string(p.Command)}
	return nil
}

func checkType(name string) error {
	if !typeName.MatchString(name) || len(name) > maxType {
		return fmt.Errorf("%q is not the name of a process type; use up to %d letters, digits, - and _", cut(name), maxType)
	}
	return nil
}

// cut keeps what is quoted in an error short.
func cut(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}

package build

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"

	"niwa/platform/build/manifest"
)

// release is what bin/release says of an app.
type release struct {
	Addons       []string          `yaml:"addons"`
	ConfigVars   map[string]string `yaml:"config_vars"`
	ProcessTypes map[string]string `yaml:"default_process_types"`
}

var (
	typeName   = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	configName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	planName   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*(:[a-z0-9][a-z0-9-]*)?$`)
)

// parseRelease reads the YAML of bin/release. Keys it does not know are
// passed over, as on Heroku; those it knows must be what they should.
func parseRelease(text []byte) (release, error) {
	var r release
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&r); err != nil && !errors.Is(err, io.EOF) {
		return release{}, firstFault(err)
	}
	for _, plan := range r.Addons {
		if !planName.MatchString(plan) {
			return release{}, fmt.Errorf("addons: %q is no plan; write service or service:plan", plan)
		}
	}
	for name := range r.ConfigVars {
		if !configName.MatchString(name) {
			return release{}, fmt.Errorf("config_vars: %q is no name; use letters, digits and _", name)
		}
	}
	for name, command := range r.ProcessTypes {
		if !typeName.MatchString(name) {
			return release{}, fmt.Errorf("default_process_types: %q is no name; use letters, digits, - and _", name)
		}
		if err := checkType(name, command); err != nil {
			return release{}, fmt.Errorf("default_process_types: %w", err)
		}
	}
	return r, nil
}

func (r release) setup() (all []manifest.Addon) {
	for _, plan := range r.Addons {
		all = append(all, manifest.Addon{Plan: plan})
	}
	return all
}

// firstFault is the first of what a YAML decoder has to say.
func firstFault(err error) error {
	var faults *yaml.TypeError
	if errors.As(err, &faults) {
		return errors.New(faults.Errors[0])
	}
	return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
}

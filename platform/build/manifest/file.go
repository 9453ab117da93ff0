package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"
)

// file is heroku.yml as it is written.
type file struct {
	Setup struct {
		Addons []struct{ Plan, As string }
		Config map[string]string
	}
	Build struct {
		Docker map[string]dockerfile
		Config map[string]string
	}
	Release *process
	Run     map[string]process
}

// keys are those that each section may have.
func keys() shape {
	return shape{
		"setup":   {"addons": {"*": {"plan": nil, "as": nil}}, "config": nil},
		"build":   {"docker": {"*": {"dockerfile": nil, "target": nil}}, "config": nil},
		"release": {"command": nil, "image": nil},
		"run":     {"*": {"command": nil, "image": nil}},
	}
}

// dockerfile is a path, or a mapping with a stage.
type dockerfile struct{ Dockerfile, Target string }

func (d *dockerfile) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&d.Dockerfile)
	}
	type mapping dockerfile
	return n.Decode((*mapping)(d))
}

// process is a command, or a mapping with an image.
type process struct {
	Command command
	Image   string
}

func (p *process) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&p.Command)
	}
	type mapping process
	return n.Decode((*mapping)(p))
}

// command is a line for a shell, or a list of such lines, each of which runs
// when the one before it has succeeded.
type command string

func (c *command) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode((*string)(c))
	}
	var lines []string
	if err := n.Decode(&lines); err != nil {
		return err
	}
	*c = command(strings.Join(lines, " && "))
	return nil
}

func read(text []byte) (f file, err error) {
	if len(text) > MaxSize {
		return f, fmt.Errorf("it has more than %d KB", MaxSize>>10)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return f, errors.New("it is empty")
	} else if err != nil {
		return f, fault(err)
	} else if len(document.Content) == 0 {
		return f, errors.New("it is empty")
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return f, errors.New("it has more than one document; keep one")
	}
	// The decoder counts what aliases unfold to, so it goes first.
	if err := document.Decode(&f); err != nil {
		return f, fault(err)
	}
	return f, keys().check(document.Content[0], "")
}

// shape says which keys a mapping may have, and what is below them: "*" stands
// for any key and for the items of a list, nil for whatever is there.
type shape map[string]shape

func (s shape) check(n *yaml.Node, at string) error {
	if s == nil {
		return nil
	}
	switch n.Kind {
	case yaml.AliasNode:
		return s.check(n.Alias, at)
	case yaml.SequenceNode:
		for i, item := range n.Content {
			if err := s["*"].check(item, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if err := s.checkKey(n.Content[i], n.Content[i+1], at); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s shape) checkKey(key, value *yaml.Node, at string) error {
	if key.Tag == "!!merge" {
		if value.Kind == yaml.SequenceNode {
			return shape{"*": s}.check(value, at)
		}
		return s.check(value, at)
	}
	below, ok := s[key.Value]
	if !ok {
		below, ok = s["*"]
	}
	if !ok {
		return fmt.Errorf("line %d: %s has no key %q; it has %s", key.Line, where(at), cut(key.Value), strings.Join(slices.Sorted(maps.Keys(s)), ", "))
	}
	return below.check(value, strings.TrimPrefix(at+"."+step(key.Value), "."))
}

// step is a key in the path of an error: quoted, where it could be mistaken.
func step(key string) string {
	if typeName.MatchString(key) {
		return cut(key)
	}
	return strconv.Quote(cut(key))
}

func where(at string) string {
	if at == "" {
		return File
	}
	return at
}

var wrongKind = regexp.MustCompile("^line ([0-9]+): cannot unmarshal (!![a-z]+)")

// fault is the first of what a YAML decoder has to say, in the words of who
// wrote the file.
func fault(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var faults *yaml.TypeError
	if errors.As(err, &faults) {
		text = faults.Errors[0]
	}
	if m := wrongKind.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("line %s: %s cannot stand here", m[1], kind(m[2]))
	}
	return errors.New(strings.Map(printable, text)) // it may quote the file
}

func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}

func kind(tag string) string {
	switch tag {
	case "!!seq":
		return "a list"
	case "!!map":
		return "a mapping"
	default:
		return "a single value"
	}
}

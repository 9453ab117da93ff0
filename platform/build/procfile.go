package build

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Limits of a Procfile. The length of a type is that of the Platform API's
// formation type.
const (
	maxProcfile = 64 << 10
	maxType     = 128
	maxTypes    = 200
)

var procfileLine = regexp.MustCompile(`^([A-Za-z0-9_-]+)[ \t]*:[ \t]*(.*)$`)

// parseProcfile reads a Procfile: lines of "type: command", empty lines and
// comments. Heroku passes over what it does not understand; here it is an
// error that names the line, since a process that silently does not exist is
// hard to find (https://devcenter.heroku.com/articles/procfile).
func parseProcfile(text []byte) (map[string]string, error) {
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		return nil, fmt.Errorf("it is not UTF-8 text; save it as UTF-8")
	}
	types := map[string]string{}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		m := procfileLine.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("line %d: write it as \"type: command\", with letters, digits, - and _ in the type", number)
		}
		name, command := m[1], m[2]
		if err := checkType(name, command); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if _, again := types[name]; again {
			return nil, fmt.Errorf("line %d: the type %q is there twice; keep one", number, name)
		}
		types[name] = command
	}
	if len(types) > maxTypes {
		return nil, fmt.Errorf("it has %d process types; the most is %d", len(types), maxTypes)
	}
	return types, nil
}

func checkType(name, command string) error {
	switch {
	case len(name) > maxType:
		return fmt.Errorf("the type %q... is longer than %d characters", name[:32], maxType)
	case strings.TrimSpace(command) == "":
		return fmt.Errorf("the type %q has no command", name)
	}
	return nil
}

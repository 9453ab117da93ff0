package image

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	directive = regexp.MustCompile(`^#\s*([a-zA-Z]+)\s*=\s*(\S+)\s*$`)
	fromLine  = regexp.MustCompile(`(?i)^\s*FROM\s`)
	lineRef   = regexp.MustCompile(`\bline [0-9]+`)
)

// labelled puts a LABEL after every FROM of a Dockerfile: the builder itself
// labels nothing but the finished image. The numbers of the lines that were
// added are returned, counted from one in the new text.
func labelled(text []byte, labels map[string]string) (_ []byte, added []int) {
	label := "LABEL"
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		label += fmt.Sprintf(" %s=%q", name, labels[name])
	}
	var out bytes.Buffer
	r := reader{escape: `\`, top: true}
	number := 0
	for line := range bytes.Lines(text) {
		out.Write(line)
		number++
		if r.ends(string(bytes.TrimRight(line, "\r\n"))) && r.from {
			if line[len(line)-1] != '\n' {
				out.WriteByte('\n')
			}
			out.WriteString(label + "\n")
			number++
			added = append(added, number)
		}
	}
	return out.Bytes(), added
}

// reader knows where instructions begin and end, by the rules of
// https://docs.docker.com/reference/dockerfile/#format.
type reader struct {
	escape string // ends a line that goes on
	top    bool   // only directives have been read
	inside bool   // an instruction goes on
	from   bool   // it is a FROM
}

// ends reads a line and says whether an instruction ends with it.
func (r *reader) ends(line string) bool {
	trimmed := strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
	if r.top {
		m := directive.FindStringSubmatch(trimmed)
		if m == nil {
			r.top = false
		} else if strings.EqualFold(m[1], "escape") {
			r.escape = m[2]
		}
	}
	if trimmed == "" || trimmed[0] == '#' { // also in the midst of an instruction
		return false
	}
	if !r.inside {
		r.from = fromLine.MatchString(trimmed + " ")
	}
	r.inside = strings.HasSuffix(trimmed, r.escape)
	return !r.inside
}

// renumbered gives line numbers in a message of the builder as they are in the
// Dockerfile that was pushed.
func renumbered(message string, added []int) string {
	return lineRef.ReplaceAllStringFunc(message, func(ref string) string {
		n, err := strconv.Atoi(strings.TrimPrefix(ref, "line "))
		if err != nil {
			return ref
		}
		before := 0
		for _, a := range added {
			if a <= n {
				before++
			}
		}
		return fmt.Sprintf("line %d", n-before)
	})
}

// shown is an ENTRYPOINT and a CMD as one would type them.
func shown(entrypoint, cmd []string) string {
	if len(entrypoint) == 0 && len(cmd) == 3 && cmd[0] == "/bin/sh" && cmd[1] == "-c" {
		return cmd[2]
	}
	var words []string
	for _, word := range slices.Concat(entrypoint, cmd) {
		if word == "" || strings.ContainsAny(word, " \t\n'\"\\$`&|;<>()*?[]#~!{}") {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

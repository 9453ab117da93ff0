package build

import (
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
)

// ignoreRule is one pattern of .slugignore, in the language of .gitignore
// without negation (https://devcenter.heroku.com/articles/slug-compiler).
type ignoreRule struct {
	match   *regexp.Regexp // of the path from the root of the app
	dirOnly bool
}

type ignoreRules []ignoreRule

func parseIgnore(text []byte) (ignoreRules, error) {
	var rules ignoreRules
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '!' {
			return nil, fmt.Errorf("line %d: patterns that start with ! are not supported; name what to leave out", number)
		}
		pattern, dirOnly := strings.CutSuffix(line, "/")
		anchored := strings.Contains(pattern, "/")
		expr, err := globExpr(strings.TrimPrefix(pattern, "/"))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if !anchored {
			expr = "(?:.*/)?" + expr
		}
		re, err := regexp.Compile("(?s)^" + expr + "$")
		if err != nil {
			return nil, fmt.Errorf("line %d: the pattern %q cannot be read", number, line)
		}
		rules = append(rules, ignoreRule{re, dirOnly})
	}
	return rules, nil
}

// globExpr writes a pattern as a regular expression.
func globExpr(glob string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(glob); i++ {
		rest := glob[i:]
		switch {
		case strings.HasPrefix(rest, "**/"):
			b.WriteString("(?:.*/)?")
			i += 2
		case strings.HasPrefix(rest, "**"):
			b.WriteString(".*")
			i++
		case rest[0] == '*':
			b.WriteString("[^/]*")
		case rest[0] == '?':
			b.WriteString("[^/]")
		case rest[0] == '[':
			end := strings.IndexByte(rest, ']')
			if end < 2 {
				return "", fmt.Errorf("a [ without its ]")
			}
			class := strings.ReplaceAll(rest[1:end], `\`, `\\`)
			if class[0] == '!' {
				class = "^" + class[1:]
			}
			b.WriteString("[" + class + "]")
			i += end
		case rest[0] == '\\' && len(rest) > 1:
			i++
			b.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		default:
			b.WriteString(regexp.QuoteMeta(rest[:1]))
		}
	}
	return b.String(), nil
}

func (rules ignoreRules) match(name string, dir bool) bool {
	for _, r := range rules {
		if (dir || !r.dirOnly) && r.match.MatchString(name) {
			return true
		}
	}
	return false
}

// remove deletes what matches and returns how much did.
func (rules ignoreRules) remove(root *os.Root) (deleted int, err error) {
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." || !rules.match(name, d.IsDir()) {
			return err
		}
		deleted++
		if err := root.RemoveAll(name); err != nil {
			return err
		}
		return skip(d)
	})
	return deleted, err
}

func skip(d fs.DirEntry) error {
	if d.IsDir() {
		return fs.SkipDir
	}
	return nil
}

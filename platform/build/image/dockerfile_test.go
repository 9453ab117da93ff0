package image

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEveryStageOfADockerfileIsLabelled(t *testing.T) {
	const label = "LABEL a=\"1\" b=\"2\"\n"
	for name, test := range map[string]struct{ text, want string }{
		"one stage":             {"FROM scratch\nCOPY . .\n", "FROM scratch\n@COPY . .\n"},
		"two, in any case":      {"from a AS b\nFrom\tc\n", "from a AS b\n@From\tc\n@"},
		"no newline at the end": {"FROM a", "FROM a\n@"},
		"windows":               {"FROM a\r\nRUN x\r\n", "FROM a\r\n@RUN x\r\n"},
		"arguments before":      {"ARG V=1\nFROM a:$V\nRUN x", "ARG V=1\nFROM a:$V\n@RUN x"},
		"over several lines":    {"FROM \\\n  # which\n\n  a \\ \n AS b\nRUN x", "FROM \\\n  # which\n\n  a \\ \n AS b\n@RUN x"},
		"a word of a command":   {"FROM a\nRUN echo \\\nFROM b\nRUN x", "FROM a\n@RUN echo \\\nFROM b\nRUN x"},
		"a word of a comment":   {"# FROM a\nFROM a\n#\\\nFROM b", "# FROM a\nFROM a\n@#\\\nFROM b\n@"},
		"another escape":        {"# escape=`\nFROM a\nRUN dir c:\\\nFROM b\nRUN x `\nFROM c", "# escape=`\nFROM a\n@RUN dir c:\\\nFROM b\n@RUN x `\nFROM c"},
		"an escape too late":    {"# hello\n# escape=`\nFROM a\nRUN x \\\nFROM b", "# hello\n# escape=`\nFROM a\n@RUN x \\\nFROM b"},
		"a word like it":        {"FROMAGE a\nONBUILD FROM b", "FROMAGE a\nONBUILD FROM b"},
		"a byte order mark":     {"\ufeffFROM a\nRUN x", "\ufeffFROM a\n@RUN x"},
		"nothing":               {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := labelled([]byte(test.text), map[string]string{"b": "2", "a": "1"})
			if diff := cmp.Diff(strings.ReplaceAll(test.want, "@", label), string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLinesAreNumberedAsTheyWerePushed(t *testing.T) {
	_, added := labelled([]byte("FROM a\nRUN x\nFROM b\nRUNN y\n"), nil)
	for said, want := range map[string]string{
		"parse error on line 1: bad FROM": "parse error on line 1: bad FROM",
		"line 3: RUN x":                   "line 2: RUN x",
		"line 6: unknown RUNN":            "line 4: unknown RUNN",
		"no line at all":                  "no line at all",
	} {
		if got := renumbered(said, added); got != want {
			t.Errorf("%q became %q, want %q", said, got, want)
		}
	}
}

func FuzzLabelsAreAddedAndNothingIsTaken(f *testing.F) {
	f.Add("# escape=`\nFROM a `\n AS b\nRUN x \\\n FROM y")
	f.Fuzz(func(t *testing.T, text string) {
		got, added := labelled([]byte(text), map[string]string{"a": "1"})
		var kept strings.Builder
		number := 0
		for line := range strings.Lines(string(got)) {
			number++
			if len(added) > 0 && added[0] == number {
				added = added[1:]
			} else {
				kept.WriteString(line)
			}
		}
		if strings.TrimSuffix(kept.String(), "\n") != strings.TrimSuffix(text, "\n") || len(added) > 0 {
			t.Errorf("%q became %q", text, got)
		}
	})
}

func TestACommandIsShownAsItWouldBeTyped(t *testing.T) {
	for want, words := range map[string][2][]string{
		"":                          {nil, nil},
		"node index.js":             {nil, {"/bin/sh", "-c", "node index.js"}},
		"/app --verbose":            {{"/app"}, {"--verbose"}},
		"/init /bin/sh -c 'a; b'":   {{"/init"}, {"/bin/sh", "-c", "a; b"}},
		`/app 'it'\''s' '' '$HOME'`: {nil, {"/app", "it's", "", "$HOME"}},
	} {
		if got := shown(words[0], words[1]); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

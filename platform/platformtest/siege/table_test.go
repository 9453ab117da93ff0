package siege

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"niwa/platform/platformtest"
	"niwa/platform/platformtest/escape"
)

var update = flag.Bool("update", false, "write what comes of the attempts to docs/escapes.md")

// column is what docs/escapes.md says of one runtime.
type column struct {
	title    string
	said     []string          // how the gaps begin that niwa tells of when it starts
	outcomes map[string]string // by attempt
}

// compare holds docs/escapes.md to what came of the attempts, where niwa says
// the same of this machine as of the one that the file was written on.
func (s *siege) compare(t *testing.T, runtime string, all []escape.Attempt) {
	t.Helper()
	file := filepath.Join(platformtest.Root(), "docs", "escapes.md")
	text, err := os.ReadFile(file)
	if err != nil && !*update {
		t.Fatal(err)
	}
	columns, order := parse(string(text))
	i := columnOf(runtime, s.told(t))
	now := s.column(t, columns[i].title, all)
	if *update {
		columns[i] = now
		for _, a := range all {
			if !slices.Contains(order, a.Name) {
				order = append(order, a.Name)
			}
		}
		write(t, file, render(columns, order))
		return
	}
	if !slices.Equal(now.said, columns[i].said) {
		t.Logf("docs/escapes.md is about a machine where niwa says %q, and is not compared", columns[i].said)
		return
	}
	if diff := gocmp.Diff(columns[i].outcomes, now.outcomes); diff != "" {
		t.Errorf("docs/escapes.md says otherwise; if it is wrong, write it anew with -update (-file +now):\n%s", diff)
	}
}

// columnOf is which column is about a platform of which that is said.
func columnOf(runtime string, said []gap) int {
	exposed := slices.ContainsFunc(said, func(g gap) bool { return strings.HasPrefix(g.said, "Dynos see the files") })
	switch {
	case runtime == docker:
		return 0
	case os.Geteuid() == 0:
		return 1
	case !exposed:
		return 2
	}
	return 3
}

func titles() []string {
	return []string{"Containers", "Processes, as root", "Processes, as an ordinary user", "Processes, as an ordinary user without namespaces"}
}

func (s *siege) column(t *testing.T, title string, all []escape.Attempt) column {
	t.Helper()
	c := column{title: title, outcomes: map[string]string{}}
	var unsteady []string
	for _, g := range s.told(t) {
		c.said = append(c.said, g.said)
		unsteady = append(unsteady, g.sometimes...)
	}
	for _, a := range all {
		switch {
		case slices.Contains(unsteady, a.Name):
			c.outcomes[a.Name] = "sometimes open"
		case a.Succeeded:
			c.outcomes[a.Name] = "**open**"
		default:
			c.outcomes[a.Name] = "shut"
		}
	}
	return c
}

// untried is the outcome of what nobody has tried there.
const untried = "–"

const preface = `# What an app can get at

An app that is out for more than is its own, on a niwa with a neighbour app,
Postgres and Redis: each line is something that it tries, with all that somebody
knows who has read niwa's source and shares the machine, and no secret but its
own. A burden is shut when it stays within its limit, ends with the dyno, and
the neighbour answers meanwhile.

` + "`make escape`" + ` tries it all and prints what each attempt came to. It is part of
` + "`make test`" + `, and fails where this file says otherwise; ` + "`make escape UPDATE=true`" + `
writes the columns of who runs it. What is open niwa tells of when it starts, or
it is in [DIVERGENCES.md](../DIVERGENCES.md).

`

// render is the file. What parse reads of it is the table and the lists.
func render(columns []column, order []string) string {
	var b strings.Builder
	b.WriteString(preface + "| Attempt | " + strings.Join(titles(), " | ") + " |\n|---" + strings.Repeat("|---", len(columns)) + "|\n")
	for _, name := range order {
		fmt.Fprintf(&b, "| %s |", name)
		for _, c := range columns {
			fmt.Fprintf(&b, " %s |", cmp.Or(c.outcomes[name], untried))
		}
		b.WriteString("\n")
	}
	b.WriteString("\nThat is where niwa says this when it starts, with the reasons.\n")
	for _, c := range columns {
		if len(c.said) > 0 {
			fmt.Fprintf(&b, "\n%s:\n\n", c.title)
		}
		for _, said := range c.said {
			fmt.Fprintf(&b, "- %s.\n", said)
		}
	}
	return b.String()
}

func parse(text string) (columns []column, order []string) {
	for _, title := range titles() {
		columns = append(columns, column{title: title, outcomes: map[string]string{}})
	}
	said := -1
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if i := slices.Index(titles(), strings.TrimSuffix(line, ":")); i >= 0 {
			said = i
		}
		if sentence, found := strings.CutPrefix(line, "- "); found && said >= 0 {
			columns[said].said = append(columns[said].said, strings.TrimSuffix(sentence, "."))
		}
		cells := strings.Split(line, "|") // with nothing before the first and after the last
		if len(cells) != len(columns)+3 || strings.HasPrefix(line, "| Attempt |") || strings.HasPrefix(line, "|-") {
			continue
		}
		name := strings.TrimSpace(cells[1])
		order = append(order, name)
		for i := range columns {
			if outcome := strings.TrimSpace(cells[i+2]); outcome != untried {
				columns[i].outcomes[name] = outcome
			}
		}
	}
	return columns, order
}

func TestTheTableIsReadAsItIsWritten(t *testing.T) {
	columns, _ := parse("")
	columns[0].outcomes = map[string]string{"leave": "shut", "look, and leave": "**open**"}
	columns[2].outcomes = map[string]string{"look, and leave": "shut"}
	columns[0].said = []string{"One can look", "One can leave"}
	order := []string{"look, and leave", "leave"}
	again, orderAgain := parse(render(columns, order))
	if diff := gocmp.Diff(columns, again, gocmp.AllowUnexported(column{})); diff != "" || !slices.Equal(order, orderAgain) {
		t.Errorf("%v, %s", orderAgain, diff)
	}
}

package siege

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"niwa/platform/build/image/imagetest"
	"niwa/platform/platformtest"
	"niwa/platform/platformtest/escape"
)

// TestEscapesThatNobodySaidAreOpenFail has an app try whatever it can against
// another app, the platform and the machine, and prints the table. What
// succeeds must be a gap that niwa tells of when it starts, or a divergence
// that is documented, and what is told must succeed.
func TestEscapesThatNobodySaidAreOpenFail(t *testing.T) {
	prepare(t)
	programs := programs(t)
	t.Run(process, func(t *testing.T) {
		if ran, alone := apart(t); !ran {
			besiege(t, newSiege(t, programs, process), process, alone)
		}
	})
	t.Run(docker, func(t *testing.T) {
		imagetest.Engine(t)
		besiege(t, newSiege(t, programs, docker), docker, true)
	})
}

// besiege has all attempts made. alone says whether what dynos listen on is
// nobody else's.
func besiege(t *testing.T, s *siege, runtime string, alone bool) {
	t.Helper()
	all := slices.Concat(s.attempts(t), s.burden(t, alone))
	all = append(all, s.builds(t, all)...)
	t.Logf("on the %s runtime, as user %d\n%s", runtime, os.Geteuid(), table(all))
	s.judge(t, all)
	s.compare(t, runtime, all)
}

// Values of --runtime.
const (
	process = "process"
	docker  = "docker"
)

// attempts has mallory try what can be tried at once.
func (s *siege) attempts(t *testing.T) []escape.Attempt {
	t.Helper()
	dyno := s.run(t, "./attacker")
	s.said(t, dyno, `"`+escape.Last+`"`)
	return heard(t, s.mallory.Log(t, dyno))
}

// heard reads what the attacker printed.
func heard(t *testing.T, printed string) (all []escape.Attempt) {
	t.Helper()
	for line := range strings.Lines(printed) {
		var a escape.Attempt
		if i := strings.IndexByte(line, '{'); i < 0 || json.Unmarshal([]byte(line[i:]), &a) != nil {
			continue
		}
		if a.Name == escape.Last {
			return all
		}
		all = append(all, a)
	}
	t.Errorf("the attacker did not come to its end:\n%s", printed)
	return all
}

func table(all []escape.Attempt) string {
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, a := range all {
		outcome := strings.Join(strings.Fields(a.Outcome), " ")
		fmt.Fprintf(w, "%s\t%s\t%.160s\n", map[bool]string{true: "OPEN", false: "shut"}[a.Succeeded], a.Name, outcome)
	}
	w.Flush()
	return out.String()
}

// gap is something that dynos are not kept from, and attempts that show it.
type gap struct {
	said      string   // how the sentence begins
	attempts  []string // one of them succeeds, or more
	sometimes []string // and these, as it happens
}

// printed are the gaps that niwa may tell of when it starts.
func printed() []gap {
	return []gap{
		{said: "Dynos share this machine's network", attempts: []string{askDyno, abstractSocket, routerConnections}, sometimes: []string{takePorts}},
		{said: "Dynos see the files and processes of this machine, as far as their users may", attempts: []string{seeProcesses, otherTmp, listHome}},
		{said: "Dynos see the files and processes of this machine, as niwa's own user may", attempts: []string{
			seeProcesses, otherTmp, listHome, readApp, changeApp, readPlatform, changePlatform, listPlatform, readEngines, throughLinks, makeFiles,
			readEnvironment, readMemory, traceProcesses, signalProcesses, throughProc, niwaSockets, linksInSlug, linkedCache,
		}},
		{said: "All dynos run as niwa's own user", sometimes: []string{answerForOthers}},
		{said: "The memory of dynos is looked at each second", sometimes: []string{hogMemory, hogCPU}},
		{said: "Nothing limits the number of a dyno's processes", attempts: []string{forkBomb}},
		{said: "Nothing limits how much of the disk a dyno fills", attempts: []string{fillDisk}},
	}
}

// documented are the gaps that are in DIVERGENCES.md, for every runtime.
func documented() []gap {
	return []gap{
		{said: "Nothing limits how much of the disk a dyno fills", attempts: []string{fillDisk}},
		{said: "names of other databases can be seen", attempts: []string{seeNames}},
		{said: "can use up the connections of Postgres and of another app's Redis", attempts: []string{redisConnections, postgresConnections}},
	}
}

// told are the gaps that niwa told of.
func (s *siege) told(t *testing.T) (all []gap) {
	t.Helper()
	for line := range strings.Lines(s.Output()) {
		sentence, indented := strings.CutPrefix(line, "  ")
		if !indented {
			continue
		}
		i := slices.IndexFunc(printed(), func(g gap) bool { return strings.HasPrefix(sentence, g.said) })
		if i < 0 {
			t.Errorf("said to be open, and nobody tries it: %s", sentence)
			continue
		}
		all = append(all, printed()[i])
	}
	return all
}

// judge compares what succeeded with what is said.
func (s *siege) judge(t *testing.T, all []escape.Attempt) {
	t.Helper()
	divergences, err := os.ReadFile(filepath.Join(platformtest.Root(), "DIVERGENCES.md"))
	if err != nil {
		t.Fatal(err)
	}
	said := s.told(t)
	for _, g := range documented() {
		if !strings.Contains(string(divergences), g.said) {
			t.Errorf("DIVERGENCES.md does not say it: %s", g.said)
			continue
		}
		said = append(said, g)
	}
	open := map[string]bool{}
	for _, a := range all {
		open[a.Name] = a.Succeeded
		if a.Untried {
			t.Errorf("this shows nothing: %s: %s", a.Name, a.Outcome)
		}
		if a.Succeeded && !slices.ContainsFunc(said, func(g gap) bool { return slices.Contains(slices.Concat(g.attempts, g.sometimes), a.Name) }) {
			t.Errorf("open, and nobody says so: %s: %s", a.Name, a.Outcome)
		}
	}
	for _, g := range said {
		shown := slices.ContainsFunc(g.attempts, func(name string) bool { return open[name] })
		if len(g.attempts) > 0 && !shown {
			t.Errorf("said to be open, and is not: %s", g.said)
		}
	}
}

// Names of the attempts that may succeed, somewhere.
const (
	askDyno             = "ask another app's dyno, past the router"
	abstractSocket      = "reach another program's abstract socket"
	niwaSockets         = "connect to niwa's own sockets"
	takePorts           = "take the ports that dynos would get"
	answerForOthers     = "answer requests to another app in its dyno's place"
	routerConnections   = "keep thousands of connections to the router open"
	redisConnections    = "use up the connections of another app's Redis"
	postgresConnections = "use up the connections of Postgres"
	seeNames            = "see the names of other apps' databases"
	seeProcesses        = "see another app's processes, or niwa's"
	readEnvironment     = "read another app's environment, or niwa's"
	readMemory          = "read another app's memory, or niwa's"
	traceProcesses      = "trace another app's processes, or niwa"
	signalProcesses     = "signal another app's processes, or niwa"
	throughProc         = "reach their files through /proc"
	otherTmp            = "read what another app has in /tmp, /var/tmp, /dev/shm"
	readApp             = "read another app's files: dyno, slug, repository, build cache, logs"
	changeApp           = "change another app's files"
	readPlatform        = "read the platform's database, key, token and CA key"
	changePlatform      = "change the platform's files"
	listPlatform        = "list the platform's directories"
	readEngines         = "read the data of Postgres and Redis"
	throughLinks        = "read them through a link in /app"
	listHome            = "list the home of niwa's user"
	makeFiles           = "make files in /, /etc, /usr, /opt, /var, the user's home"
	hogMemory           = "use more than twice a dyno's memory"
	hogCPU              = "slow other apps down with many threads"
	forkBomb            = "start more processes than a dyno may"
	linksInSlug         = "a build leaves links to the platform's secrets in the slug"
	linkedCache         = "the next build writes to its cache"
	fillDisk            = "fill the disk: 512 MB in /app"
)

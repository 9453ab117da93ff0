// Package escape is what an app does that wants more than is its own: to read
// and change what belongs to another app, to the platform or to the machine,
// and to be a burden to them. It runs in a dyno, knows where everything is, as
// somebody who has read niwa's source and shares its machine could, and has no
// secret but its own.
package escape

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Variable is the environment variable that Targets are in, as JSON.
const Variable = "TARGETS"

// SecretName is the environment variable, of another app and of niwa itself,
// whose value is Targets.Secret.
const SecretName = "ESCAPE_SECRET"

// Targets is what the attacker knows.
type Targets struct {
	Secret    []byte   // another app's, and niwa's: to have come upon it is a success. In JSON it reads differently
	Theirs    []string // files that are another app's
	Platforms []string // files that are the platform's alone, with its secrets among them
	Sockets   []string // the platform's
	Abstract  string   // a socket without a file, of some program of the machine
	Engines   []string // files that are the data servers'
	Data      string   // the platform's data directory
	Home      string   // that of niwa's user
	Niwa      int      // process id
	Others    []int    // process ids of another app's dyno
	Dyno      string   // host:port where another app's dyno answers
	Ports     []int    // of niwa that want a token or a secret: the API's first
	Postgres  string   // another app's DATABASE_URL without its password
	Redis     string   // another app's REDIS_URL without its password
}

// Attempt is one attempt and what came of it.
type Attempt struct {
	Name      string
	Succeeded bool
	Untried   bool // it could not be made, so that it shows nothing
	Outcome   string
}

var errUntried = errors.New("it could not be tried")

// try is an attempt to be made. Its error says what kept it from succeeding.
type try struct {
	name string
	do   func(Targets) (outcome string, err error)
}

// Last is the name of the attempt that says that there are no more.
const Last = "that is all"

// Main does what the arguments say: without any, all that can be tried at
// once, with a line of JSON for each attempt; otherwise one burden after which
// there may be no dyno left to tell of it.
func Main(args []string) int {
	if len(args) == 0 {
		return attempts()
	}
	burden, ok := burdens()[args[0]]
	if !ok {
		fmt.Fprintf(os.Stderr, "attacker: nobody knows how to %s\n", args[0])
		return 2
	}
	if err := burden(args[1:]); err != nil {
		fmt.Println("attacker:", err)
		return 1
	}
	return 0
}

func attempts() int {
	var t Targets
	if err := json.Unmarshal([]byte(os.Getenv(Variable)), &t); err != nil {
		fmt.Println("attacker:", Variable, err)
		return 1
	}
	var all []try
	for _, some := range [][]try{files(), processes(), privileges(), network(), databases()} {
		all = append(all, some...)
	}
	for _, a := range all {
		say(a.attempt(t))
	}
	say(Attempt{Name: Last})
	return 0
}

// patience is how long an attempt may take.
const patience = 30 * time.Second

// attempt makes the attempt.
func (a try) attempt(t Targets) Attempt {
	ended := make(chan Attempt, 1)
	go func() {
		outcome, err := a.do(t)
		if err != nil {
			outcome = err.Error()
		}
		ended <- Attempt{a.name, err == nil, errors.Is(err, errUntried), outcome}
	}()
	select {
	case done := <-ended:
		return done
	case <-time.After(patience):
		return Attempt{a.name, false, true, "takes for ever"}
	}
}

func say(a Attempt) {
	line, err := json.Marshal(a)
	if err != nil {
		panic(err) // a struct of strings
	}
	fmt.Println(string(line))
}

// each tries something with one after the other, and succeeds with those that
// it succeeds with. Why it fails is told by the first.
func each[T interface{ ~string | ~int }](all []T, do func(T) error) (string, error) {
	var with []string
	var why error
	for _, one := range all {
		err := do(one)
		if err == nil {
			with = append(with, fmt.Sprint(one))
		} else if why == nil {
			why = err
		}
	}
	if len(with) > 0 {
		return strings.Join(with[:min(len(with), 3)], ", "), nil
	}
	if why == nil {
		why = fmt.Errorf("%w: there is nothing to try it with", errUntried)
	}
	return "", why
}

// Package policy is how a request is given to one of an app's dynos. A
// policy knows only what one router knows and does no I/O, so that the live
// router and a simulated fleet run the very same code.
//
// Each dyno has a weight, which is its share of the requests: a dyno of weight
// 0 gets none while another could have them, and where all are of weight 0 they
// are as good as each other. Dynos between which a policy sees no difference
// share the requests by their weights at random: were it the first of them,
// every router would send its next request to web.1.
package policy

import (
	"fmt"
	"strings"
)

// MaxWeight is the largest weight.
const MaxWeight = 1000

// Dyno is what a router knows of a dyno that could take the next request. It
// belongs to that router, which keeps it from one request to the next. When a
// weight changes, all dynos of the app begin anew: with the old one, it may be
// that many requests in a row were owed.
type Dyno struct {
	InFlight int // requests this router has with it now
	Weight   int // 0 to MaxWeight

	turn int // RoundRobin's: what it is owed, in units
}

// A Policy chooses: it returns the index of one of the dynos, of which there
// is at least one. It keeps nothing but what is in them, so that an app changes
// its policy between two requests, and one Policy serves any number of routers
// and apps. Calls with a dyno in common come one after the other.
type Policy func(dynos []*Dyno) int

// Heroku is the name of Heroku's policy, for apps that have chosen none.
const Heroku = "random"

// named are all policies, Heroku's first.
func named(intN func(n int) int) []struct {
	name   string
	policy Policy
} {
	return []struct {
		name   string
		policy Policy
	}{
		{Heroku, Random(intN)},
		{"round-robin", RoundRobin(intN)},
		{"least-outstanding", LeastOutstanding(intN)},
		{"two-choices", TwoChoices(intN)},
	}
}

// Names are the names of all policies, that of Heroku's first.
func Names() (names []string) {
	for _, p := range named(nil) {
		names = append(names, p.name)
	}
	return names
}

// Named is the policy of a name. intN returns a number in [0,n): rand.IntN of
// math/rand/v2, or that of a seeded source where a run must be repeatable.
func Named(name string, intN func(n int) int) (Policy, error) {
	for _, p := range named(intN) {
		if p.name == name {
			return p.policy, nil
		}
	}
	return nil, fmt.Errorf("%q is not a routing policy; there are %s", name, strings.Join(Names(), ", "))
}

// Random is Heroku's policy: blind to load
// (https://devcenter.heroku.com/articles/http-routing#request-distribution).
func Random(intN func(n int) int) Policy {
	return func(dynos []*Dyno) int {
		total, each := shares(dynos)
		return holder(dynos, each, nobody, intN(total))
	}
}

// unit is what a dyno of weight 1 is owed for each choice. What it may begin
// with is less, and decides between dynos that are owed the same.
const unit = 1 << 20

// RoundRobin gives every dyno its turns, as many as its weight of as many as all
// weights are, and spreads those of a heavy one among the others': each dyno
// is owed its weight with every choice, and who is owed the most has the turn
// and pays for all. In which order they come is random, and then stays.
func RoundRobin(intN func(n int) int) Policy {
	return func(dynos []*Dyno) int {
		total, each := shares(dynos)
		next := nobody
		for i, d := range dynos {
			weight := d.Weight + each
			if weight == 0 {
				d.turn = 0
				continue
			}
			if d.turn == 0 { // it is new, as it never is again
				d.turn = 1 + intN(unit-1)
			}
			d.turn += weight * unit
			if next == nobody || d.turn > dynos[next].turn {
				next = i
			}
		}
		dynos[next].turn -= total * unit
		return next
	}
}

// LeastOutstanding chooses the dyno with the fewest requests in flight for its
// weight. One router that does is close to ideal; of many, each sees only its
// own requests.
func LeastOutstanding(intN func(n int) int) Policy {
	return func(dynos []*Dyno) int {
		_, each := shares(dynos)
		least, tied := nobody, 0
		for i, d := range dynos {
			switch weight := d.Weight + each; {
			case weight == 0:
			case least == nobody || busier(dynos[least], d, each):
				least, tied = i, weight
			case !busier(d, dynos[least], each):
				tied += weight
			}
		}
		n := intN(tied)
		for i, d := range dynos[least:] { // of which some are tied with the first
			if busier(d, dynos[least], each) {
				continue
			}
			if n -= d.Weight + each; n < 0 {
				return least + i
			}
		}
		return least
	}
}

// TwoChoices draws two dynos and chooses the one with fewer requests in flight
// for its weight (Mitzenmacher, The Power of Two Choices in Randomized Load
// Balancing, 2001). Routers that see little of the load do not all run to the
// same dyno.
func TwoChoices(intN func(n int) int) Policy {
	return func(dynos []*Dyno) int {
		total, each := shares(dynos)
		first := holder(dynos, each, nobody, intN(total))
		rest := total - dynos[first].Weight - each
		if rest == 0 {
			return first
		}
		second := holder(dynos, each, first, intN(rest))
		if busier(dynos[first], dynos[second], each) {
			return second
		}
		return first
	}
}

// nobody is the index of no dyno.
const nobody = -1

// shares adds up the weights. each is what every dyno has beside its own: 1
// where none has any, so that they are all alike.
func shares(dynos []*Dyno) (total, each int) {
	for _, d := range dynos {
		total += d.Weight
	}
	if total == 0 {
		return len(dynos), 1
	}
	return total, 0
}

// holder is the dyno that holds the n-th share, counted from 0 along all dynos
// but one.
func holder(dynos []*Dyno, each, without, n int) int {
	last := nobody
	for i, d := range dynos {
		if i == without || d.Weight+each == 0 {
			continue
		}
		if last = i; n < d.Weight+each {
			break
		}
		n -= d.Weight + each
	}
	return last
}

// busier is whether a has more requests in flight for its weight than b has.
func busier(a, b *Dyno, each int) bool {
	return a.InFlight*(b.Weight+each) > b.InFlight*(a.Weight+each)
}

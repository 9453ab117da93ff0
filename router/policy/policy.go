// Package policy is how a request is given to one of an app's dynos. A
// policy knows only what one router knows and does no I/O, so that the live
// router and a simulated fleet run the very same code.
package policy

// Dyno is what a router knows of a dyno that could take the next request.
type Dyno struct {
	InFlight int // requests this router has with it now
}

// A Policy chooses: it returns the index of one of the dynos, of which there
// is at least one. It may be called at the same time from many requests.
type Policy func(dynos []Dyno) int

// Random is Heroku's policy: uniform and blind to load
// (https://devcenter.heroku.com/articles/http-routing#request-distribution).
// intN returns a number in [0,n): rand.IntN of math/rand/v2, or that of a
// seeded source where a run must be repeatable.
func Random(intN func(n int) int) Policy {
	return func(dynos []Dyno) int { return intN(len(dynos)) }
}

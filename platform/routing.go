package platform

// Routing is how an app's requests are routed, where that is not as Router 2.0
// does it; the router's own type says what each field is for.
type Routing struct {
	Policy           string // of package router/policy; empty is random
	Legacy           bool
	Affinity         bool
	EndToEndContinue bool
	NoKeepAlive      bool
	Weights          map[string]int // by the names of dynos; one that has none has 1
}

// RoutedDyno is a web dyno that gets requests, as the routing policy sees it.
type RoutedDyno struct {
	Name        string
	Weight      int
	InFlight    *int // requests the platform's own router has with it; nil where it has none
	Quarantined bool // that router leaves it out for a while, since it took no connection
}

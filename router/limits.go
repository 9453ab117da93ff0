package router

import (
	"sync"
	"syscall"
	"time"

	"niwa/router/route"
)

// Limits are how much a router takes on. docs/router-limits.md has these with all
// the others, and their reasons.
type Limits struct {
	// Clients is how many connections of clients there may be: 100,000, or as many
	// as there are files for, if that is less. The next ones wait in the queues of
	// the listeners.
	Clients int
	// ClientsPerApp is how many of them one app may have, by their last request:
	// half of Clients. One more is H22.
	ClientsPerApp int
	// UploadRate is how many bytes per second a body has to come with, on the whole
	// and after Idle, while its app is under pressure: 240.
	UploadRate int
}

const (
	maxClients    = 100_000
	minUploadRate = 240
)

func (l Limits) orDefault() Limits {
	set := func(n *int, to int) {
		if *n == 0 {
			*n = to
		}
	}
	set(&l.Clients, min(maxClients, clientsOf(openFiles())))
	set(&l.ClientsPerApp, max(1, l.Clients/2))
	set(&l.UploadRate, minUploadRate)
	return l
}

// openFiles is how many files the process may have open.
func openFiles() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 4 * maxClients
	}
	return int(min(uint64(limit.Cur), 4*maxClients))
}

// clientsOf is for how many clients there are files. A quarter is left to who else
// is in the process, so that nobody's flood of connections keeps the API from
// answering and dynos from starting, and each client takes two: its own connection,
// and one to a dyno.
func clientsOf(files int) int { return max(16, (files-max(128, files/4))/2) }

// crowd counts the clients' connections of each app. A connection is with the
// app that its last request was for.
type crowd struct {
	most int
	mu   sync.Mutex
	size map[string]int // by the app's id
}

// move takes a connection from one app to another; empty is none. It is false,
// and the connection with none, when the other has as many as it may.
func (c *crowd) move(from, to string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if from != "" {
		if c.size[from]--; c.size[from] == 0 {
			delete(c.size, from)
		}
	}
	if to == "" || c.size[to] >= c.most {
		return to == ""
	}
	c.size[to]++
	return true
}

// join has the connection be with the request's app.
func (x *exchange) join() error {
	if x.among == x.app.ID {
		return nil
	}
	ok := x.rt.crowd.move(x.among, x.app.ID)
	if x.among = x.app.ID; !ok {
		x.among, x.closes = "", true
		return connectionLimit
	}
	return nil
}

// pressed is whether an app has half of the requests in flight that it may have.
func (f *fleet) pressed(app *route.App) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return 2*in(f.inFlight, app.ID).n >= inFlightPerDyno*max(1, len(app.Dynos))
}

// crawls is whether a client sends its body more slowly than the app can afford.
// Any rate is legal, as long as there is a byte in Idle, and one client alone
// does no harm; but each holds one of the places that the app has for requests.
func (u *upload) crawls() bool {
	rt := u.x.rt
	took := time.Duration(rt.tower.now.Load() - u.began)
	slow := float64(u.taken) < took.Seconds()*float64(rt.limits.UploadRate)
	return took > rt.timeouts.Idle && slow && rt.fleet.pressed(u.x.app)
}

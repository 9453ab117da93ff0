package chaos

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"
)

// aim is what is to be killed at one moment.
type aim struct {
	weight                              int
	niwa, dyno, postgres, redis, engine bool
}

// aims are mostly niwa, and now and then it goes together with another.
func (h *harness) aims() []aim {
	all := []aim{
		{weight: 50, niwa: true},
		{weight: 8, niwa: true, dyno: true},
		{weight: 5, niwa: true, postgres: true},
		{weight: 5, niwa: true, redis: true},
		{weight: 10, dyno: true},
		{weight: 8, postgres: true},
		{weight: 8, redis: true},
	}
	if h.machine.engine != nil {
		all = append(all, aim{weight: 8, engine: true}, aim{weight: 5, niwa: true, engine: true})
	}
	return all
}

// hit is what was killed.
type hit struct {
	what   string
	during string // the operation that the first tenant was busy with
	niwa   bool
	engine bool
	dyno   string // id
}

// everything stands for all posts: of an engine that was killed with niwa, the
// next niwa does not know what has ended by itself.
const everything = "everything"

// kill kills what the dice say, where it is there, and else niwa.
func (h *harness) kill(ctx context.Context, dice *rand.Rand) (hit, error) {
	at := throw(dice, h.aims())
	var it hit
	if at.niwa {
		h.crashed = map[string]bool{}
	}
	var victims []process
	var names []string
	add := func(p process, ok bool, name string) {
		if ok {
			victims, names = append(victims, p), append(names, name)
		}
	}
	if at.dyno {
		p, d, ok := h.anyDyno(ctx, dice)
		add(p, ok, d.Name)
		it.dyno = d.ID
	}
	if at.postgres {
		p, ok := h.first(ctx, dice, "postgres")
		add(p, ok, "Postgres")
	}
	if at.redis {
		p, ok := h.first(ctx, dice, "redis-")
		add(p, ok, "a Redis")
	}
	it.engine = at.engine
	if it.niwa = at.niwa || len(victims) == 0 && !it.engine; it.niwa {
		victims, names = slices.Insert(victims, 0, h.niwa), slices.Insert(names, 0, "niwa")
		if !at.niwa {
			h.crashed = map[string]bool{}
		}
	}
	if it.engine {
		names = append(names, "the engine")
		h.crashed[everything] = it.niwa || h.crashed[everything]
	}
	it.what = strings.Join(names, " and ")
	for _, p := range victims {
		if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return it, err
		}
	}
	if it.engine {
		if err := h.machine.engine.kill(); err != nil {
			return it, err
		}
	}
	if it.niwa {
		h.niwa.awaitEnd()
	}
	return it, nil
}

func throw(dice *rand.Rand, all []aim) aim {
	total := 0
	for _, a := range all {
		total += a.weight
	}
	n := dice.IntN(total)
	for _, a := range all {
		if n -= a.weight; n < 0 {
			return a
		}
	}
	return all[0]
}

// awaitEnd returns when a process that is to end has done so, or a minute
// later.
func (p process) awaitEnd() {
	deadline := time.Now().Add(time.Minute)
	for now, ok := look(p.pid); ok && now.start == p.start && time.Now().Before(deadline); now, ok = look(p.pid) {
		time.Sleep(time.Millisecond)
	}
}

// first picks one of the processes that are the first with a mark that begins
// so.
func (h *harness) first(ctx context.Context, dice *rand.Rand, mark string) (process, bool) {
	var good []process
	all, err := h.machine.family(ctx)
	if err != nil {
		return process{}, false
	}
	leaders := leaders(all)
	for _, m := range sortedKeys(leaders) {
		if strings.HasPrefix(m, mark) {
			good = append(good, leaders[m]...)
		}
	}
	if len(good) == 0 {
		return process{}, false
	}
	return good[dice.IntN(len(good))], true
}

// anyDyno picks a process of a dyno of a formation that has not been hit yet.
func (h *harness) anyDyno(ctx context.Context, dice *rand.Rand) (process, seenDyno, bool) {
	var apps []ref
	if h.crashed[everything] || h.api.call(ctx, "GET", "/apps", nil, &apps) != nil {
		return process{}, seenDyno{}, false
	}
	dynos := map[string]seenDyno{}
	posts := map[string]string{}
	for _, a := range apps {
		var all []seenDyno
		_ = h.api.call(ctx, "GET", "/apps/"+a.ID+"/dynos", nil, &all) // it may just be destroyed
		for _, d := range all {
			if post := a.ID + "/" + d.Name; d.formation() && !h.crashed[post] {
				dynos["dyno."+d.ID], posts["dyno."+d.ID] = d, post
			}
		}
	}
	family, err := h.machine.family(ctx)
	if err != nil {
		return process{}, seenDyno{}, false
	}
	all := slices.DeleteFunc(family, func(p process) bool { return dynos[p.mark].ID == "" })
	if len(all) == 0 {
		return process{}, seenDyno{}, false
	}
	p := all[dice.IntN(len(all))]
	h.crashed[posts[p.mark]] = true
	return p, dynos[p.mark], true
}

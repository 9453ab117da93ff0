package controller

import (
	"context"
	"hash/fnv"
	"sync"
	"time"

	"niwa/platform"
	"niwa/platform/dyno"
)

// sampleTime lies between two looks at what dynos use.
const sampleTime = 20 * time.Second

// limits are what a dyno of a size may use of the machine.
func limits(sizeName string) dyno.Limits {
	size, ok := platform.SizeNamed(sizeName)
	if !ok {
		return dyno.Limits{}
	}
	return dyno.Limits{Memory: int64(size.MemoryMB) << 20, CPU: 1024 * size.Compute, Processes: size.Processes()}
}

// watchMemory warns of dynos that use more memory than their size allows, for
// as long as they do. At twice as much the runner kills them. Of apps that
// want it, it says what each dyno uses.
// Source: https://devcenter.heroku.com/articles/error-codes#r14-memory-quota-exceeded
func (c *Controller) watchMemory(ctx context.Context) {
	tick := time.NewTicker(sampleTime)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.mu.Lock()
		crews := make([]*crew, 0, len(c.crews))
		for _, cr := range c.crews {
			crews = append(crews, cr)
		}
		c.mu.Unlock()
		var samples sync.WaitGroup
		for _, cr := range crews {
			samples.Go(func() { cr.sampleMemory(ctx) })
		}
		samples.Wait()
	}
}

func (cr *crew) sampleMemory(ctx context.Context) {
	app, err := cr.c.App(ctx, cr.appID)
	if err != nil { // it may just have been destroyed
		return
	}
	for w, used := range cr.memory(ctx) {
		limit := limits(w.dyno.Size).Memory
		if limit == 0 {
			continue
		}
		if app.RuntimeMetrics {
			cr.sayMetrics(w, used, limit)
		}
		if used > limit {
			cr.sayMemory(w, used, limit)
			cr.say(w, "Error R14 (Memory quota exceeded)")
		}
	}
}

// sayMetrics has the form that tools read. memory_total is resident set,
// cache and swap together; niwa knows the sum alone.
// Source: https://devcenter.heroku.com/articles/log-runtime-metrics
func (cr *crew) sayMetrics(w *worker, used, limit int64) {
	cr.say(w, "source=%s dyno=heroku.%s.%s sample#memory_total=%.2fMB sample#memory_quota=%.2fMB",
		w.dyno.Name, cr.appID, w.dyno.ID, float64(used)/(1<<20), float64(limit)/(1<<20))
}

func (cr *crew) sayMemory(w *worker, used, limit int64) {
	cr.say(w, "Process running mem=%dM(%.1f%%)", used>>20, 100*float64(used)/float64(limit))
}

// sayExhausted tells of a dyno that was killed at twice its memory.
func (cr *crew) sayExhausted(w *worker) {
	limit := limits(w.dyno.Size).Memory
	cr.sayMemory(w, 2*limit, limit)
	cr.say(w, "Error R15 (Memory quota vastly exceeded)")
	cr.say(w, "Stopping process with SIGKILL")
}

// running lists the workers that are up.
func (cr *crew) running() []*worker {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	var all []*worker
	add := func(w *worker) {
		if w != nil && w.dyno.State == platform.DynoUp {
			all = append(all, w)
		}
	}
	for _, p := range cr.posts {
		add(p.worker)
		add(p.next)
	}
	for w := range cr.others {
		add(w)
	}
	return all
}

// memory is what each worker that is up uses, of those that have not just
// ended. All are asked at the same time: Docker takes a second to answer.
func (cr *crew) memory(ctx context.Context) map[*worker]int64 {
	var mu sync.Mutex
	var asked sync.WaitGroup
	all := map[*worker]int64{}
	for _, w := range cr.running() {
		asked.Go(func() {
			used, err := cr.c.Runner.Memory(ctx, w.dyno.ID)
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			all[w] = used
		})
	}
	asked.Wait()
	return all
}

// room is how many more dynos of the app the machine has memory for, judging
// by the largest that runs. Where none is to run beside another there is
// enough.
func (cr *crew) room(ctx context.Context, in intent) int {
	const plenty = maxQuantity
	if cr.c.FreeMemory == nil || !cr.replaces(in) {
		return plenty
	}
	free, err := cr.c.FreeMemory()
	if err != nil {
		cr.c.report("asking for free memory", err)
		return plenty
	}
	var most int64
	for _, used := range cr.memory(ctx) {
		most = max(most, used)
	}
	if most == 0 {
		return plenty
	}
	return int(min(plenty, free/most))
}

// cycleAt is when a dyno is to be replaced by a fresh one: after Cycle, and up
// to 15 % later, so that not all go at once. Heroku's figures are 24 hours and
// up to 216 minutes:
// https://devcenter.heroku.com/articles/dyno-restarts#automatic-dyno-restarts
func (cr *crew) cycleAt(d platform.Dyno) time.Time {
	if cr.c.Cycle == 0 {
		return time.Time{}
	}
	h := fnv.New32a()
	h.Write([]byte(d.ID))
	jitter := float64(cr.c.Cycle) * 0.15 * float64(h.Sum32()) / (1 << 32)
	made := d.CreatedAt
	if at := now(); made.After(at) { // the clock was set back
		made = at
	}
	return made.Add(cr.c.Cycle + time.Duration(jitter))
}

// recycle has a worker replaced that has run for its time.
func (cr *crew) recycle(w *worker) {
	cr.mu.Lock()
	cycles := !w.stale && !done(w.relieved) && cr.holding(w) != nil
	w.stale = w.stale || cycles
	cr.mu.Unlock()
	if cycles {
		cr.say(w, "Cycling")
		cr.kick()
	}
}

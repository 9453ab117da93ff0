package chaos

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// checkDynos tells how the dynos that run, and what they answer, differ from
// what should be. It notes who they are.
func (h *harness) checkDynos(ctx context.Context, now *settled, it hit) (problems []string) {
	complain := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	touched := map[string]bool{}
	contents := map[string]string{}
	replaced := map[string]map[string]bool{}
	for _, t := range h.tenants {
		maps.Copy(touched, t.touched)
		maps.Copy(contents, t.contents)
		for name, a := range t.known.Apps {
			replaced[name] = a.Replaced
		}
	}
	family, err := h.machine.family(ctx)
	if err != nil {
		return []string{err.Error()}
	}
	leaders := leaders(family)
	for _, a := range now.addons {
		mark := "postgres"
		if a.service == "heroku-redis" {
			mark = "redis-" + a.id
		}
		if found := leaders[mark]; len(found) != 1 {
			complain("%s has %d servers: %v", mark, len(found), found)
		}
	}
	for _, name := range sortedKeys(now.apps) {
		seen := now.apps[name]
		current := seen.current()
		have := map[string]int{}
		for _, d := range seen.dynos {
			if !d.formation() {
				continue
			}
			have[d.Type]++
			switch found := leaders["dyno."+d.ID]; {
			case d.State != "up" || d.Release.Version != current.Version:
				complain("%s of %s is %s on v%d; v%d is current", d.Name, name, d.State, d.Release.Version, current.Version)
			case len(found) != 1:
				complain("%s of %s has %d first processes: %v", d.Name, name, len(found), found)
			default:
				now.dynos[d.ID] = found[0]
			}
			if replaced[name][d.ID] {
				complain("%s of %s is still dyno %s, though a restart was acknowledged", d.Name, name, d.ID)
			}
		}
		for processType, quantity := range seen.formation {
			if have[processType] != quantity {
				complain("%s has %d %s dynos of %d", name, have[processType], processType, quantity)
			}
		}
		if seen.formation["web"] > 0 {
			if err := h.visit(ctx, now, name, contents[current.commit]); err != nil {
				complain("%v", err)
			}
		}
		if h.before != nil && !touched[name] && !it.engine {
			problems = append(problems, h.same(now, name, it)...)
		}
	}
	return problems
}

func (a *seenApp) current() seenRelease {
	for _, r := range slices.Backward(a.releases) {
		if r.Status == "succeeded" {
			return r
		}
	}
	return seenRelease{}
}

// visit asks an app through the router who it is.
func (h *harness) visit(ctx context.Context, now *settled, name, content string) error {
	seen := now.apps[name]
	p, err := visit(ctx, h.record.Router, name+"."+h.record.Domain)
	if err != nil {
		return err
	}
	if p.Content != content {
		return fmt.Errorf("%s serves %q instead of %q", name, p.Content, content)
	}
	for _, v := range configVars() {
		if p.Env[v] != seen.config[v] {
			return fmt.Errorf("%s has %s=%q instead of %q", name, v, p.Env[v], seen.config[v])
		}
	}
	for attachment := range seen.attachments {
		if v := attachment + "_URL"; p.Env[v] != seen.config[v] {
			return fmt.Errorf("%s has another %s than its config says", name, v)
		}
	}
	for _, d := range seen.dynos {
		if d.Name == p.Dyno {
			now.boots[d.ID] = p.Boot
		}
	}
	return nil
}

// same tells which dynos of an app that nobody touched are not those that it
// had before the kill.
func (h *harness) same(now *settled, name string, it hit) (problems []string) {
	before := h.before.apps[name]
	if before == nil {
		return []string{name + " has come from nowhere"}
	}
	for _, d := range before.dynos {
		if !d.formation() || d.ID == it.dyno {
			continue
		}
		if was, is := h.before.dynos[d.ID], now.dynos[d.ID]; was.pid != is.pid || was.start != is.start {
			problems = append(problems, fmt.Sprintf("%s of %s was not adopted: dyno %s was %v, is %v", d.Name, name, d.ID, was, is))
		}
		if was, is := h.before.boots[d.ID], now.boots[d.ID]; was != "" && is != "" && was != is {
			problems = append(problems, fmt.Sprintf("%s of %s has booted again", d.Name, name))
		}
	}
	return problems
}

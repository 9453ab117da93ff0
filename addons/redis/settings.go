package redis

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strconv"

	"niwa/addons"
	"niwa/addons/engine"
	"niwa/platform"
)

// Settings lists what can be set, under the names of Heroku's data API.
func (p *Provider) Settings(ctx context.Context, id string) ([]addons.Setting, error) {
	unlock, err := p.Locks.Lock(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	r, err := p.load(id)
	if err != nil {
		return nil, err
	}
	return r.settings(), nil
}

// Configure changes a setting of the live server, for good.
func (p *Provider) Configure(ctx context.Context, id, name, value string) ([]addons.Setting, error) {
	r, s, unlock, err := p.open(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := fixedSettings(s.engine()); err != nil {
		return nil, err
	}
	if err := r.set(name, value); err != nil {
		return nil, err
	}
	if err := p.save(r); err != nil {
		return nil, err
	}
	return r.settings(), s.apply(ctx, r)
}

// fixedSettings says why an engine has no settings to change, if so.
func fixedSettings(e engine.Mode) error {
	switch e {
	case engine.Embedded:
		return platform.Invalid("The embedded Key-Value Store has no settings to change; install redis-server for the real one: %s.", engine.FixRedis)
	case engine.External:
		return platform.Invalid("The settings of an external Redis are the same for all who use it; its administrator can change them.")
	}
	return nil
}

func (r record) settings() []addons.Setting {
	setting := func(name, desc string, values map[string]string) addons.Setting {
		return addons.Setting{Name: name, Value: r.setting(name), Default: r.defaultOf(name), Desc: desc, Values: values}
	}
	return []addons.Setting{
		setting("maxmemory_policy", "What happens to a write when memory is full", policies()),
		setting("notify_keyspace_events", "Which events on keys are published to subscribers", nil),
		setting("timeout", "Seconds after which an idle connection is closed; 0 for never", nil),
	}
}

func (r record) defaultOf(name string) string {
	switch name {
	case "timeout":
		return "300"
	case "maxmemory_policy":
		if r.Plan.EvictionPolicy != "" {
			return r.Plan.EvictionPolicy
		}
		return "noeviction"
	}
	return ""
}

// policies says what each does, as the end of a sentence that begins with its
// name: the heroku CLI prints them so.
func policies() map[string]string {
	return map[string]string{
		"noeviction":      "returns errors when the memory limit is reached.",
		"allkeys-lru":     "removes the least recently used keys first.",
		"allkeys-lfu":     "removes the least frequently used keys first.",
		"allkeys-random":  "removes random keys.",
		"volatile-lru":    "removes the least recently used keys that have an expiry first.",
		"volatile-lfu":    "removes the least frequently used keys that have an expiry first.",
		"volatile-random": "removes random keys that have an expiry.",
		"volatile-ttl":    "removes the keys that expire soonest first.",
	}
}

var keyspaceEvents = regexp.MustCompile(`^[KEg$lshzxedtmnA]*$`)

// set changes a setting, if the value makes sense.
func (r *record) set(name, value string) error {
	switch name {
	case "timeout":
		if n, err := strconv.Atoi(value); err != nil || n < 0 || n > 1<<30 {
			return platform.Invalid("The timeout is a number of seconds, 0 for none; %q is not.", value)
		}
	case "maxmemory_policy":
		if _, ok := policies()[value]; !ok {
			return platform.Invalid("Unknown policy %q; the policies are %q.", value, slices.Sorted(maps.Keys(policies())))
		}
	case "notify_keyspace_events":
		if !keyspaceEvents.MatchString(value) {
			return platform.Invalid("Keyspace events are letters of KEg$lshzxedtmnA; %q has others.", value)
		}
	default:
		return platform.Invalid("There is no setting %q; there are maxmemory_policy, notify_keyspace_events and timeout.", name)
	}
	r.Settings[name] = value
	return nil
}

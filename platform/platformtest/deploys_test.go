package platformtest_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"niwa/platform/platformtest"
	"niwa/platform/platformtest/load"
)

func TestDeploysUnderLoadDropNothing(t *testing.T) {
	for _, runtime := range runtimes() {
		t.Run(runtime, func(t *testing.T) {
			s := newSite(t, runtime)
			t.Logf("on the %s runtime\n%v", runtime, s.deploys(t, 40_000, 10))
		})
	}
}

// BenchmarkDeploys is the same, as long as one likes: make bench-deploys.
func BenchmarkDeploys(b *testing.B) {
	requests, deploys, runtime := number(b, "REQUESTS"), number(b, "DEPLOYS"), os.Getenv("RUNTIME")
	s := newSite(b, runtime)
	fmt.Printf("\n%d deploys on the %s runtime\n%v\n", deploys, runtime, s.deploys(b, requests, deploys))
}

func number(b *testing.B, variable string) int {
	b.Helper()
	n, err := strconv.Atoi(os.Getenv(variable))
	if err != nil {
		b.Fatalf("%s is not a number; use make bench-deploys", variable)
	}
	return n
}

// deploys has deploys follow one another while at least so many requests are
// made, some of them between any two deploys. Every fifth is a push; others go
// back to the release before the last, so that two slugs take turns.
func (s *site) deploys(t testing.TB, requests, deploys int) load.Report {
	t.Helper()
	l := s.load(s.answers.check)
	pause := requests / (2 * deploys)
	for n := range deploys {
		await(t, l, l.Ended()+pause)
		l.Phase("deploying")
		if n%5 == 0 {
			s.push(t)
		} else {
			s.answers.expect(s.answers.last)
			rollback(t, s)
		}
		acknowledged := time.Now()
		platformtest.Await(t, "the release to answer", s.answers.arrived)
		if took := time.Since(acknowledged); took > bootTime {
			t.Errorf("a release answers after %v", took)
		}
		s.Settled(t, 2)
		l.Phase("at rest")
	}
	await(t, l, max(requests, l.Ended()+pause))
	l.Stop()
	r := l.Wait()
	if r.Failures > 0 || r.Requests < requests {
		t.Errorf("%d of %d requests failed\n%v", r.Failures, r.Requests, r)
	}
	return r
}

// bootTime is what a web dyno has to answer.
const bootTime = 60 * time.Second

func TestNoChangeUnderLoadDropsAnything(t *testing.T) {
	for _, runtime := range runtimes() {
		t.Run(runtime, func(t *testing.T) {
			s := newSite(t, runtime)
			s.cache(t)
			l := s.load(nil) // a rollback brings an older version back
			for _, c := range changes() {
				await(t, l, l.Ended()+500)
				l.Phase(c.name)
				c.do(t, s)
				s.Settled(t, c.web)
				await(t, l, l.Ended()+500)
				l.Phase("at rest")
			}
			l.Stop()
			r := l.Wait()
			t.Logf("on the %s runtime\n%v", runtime, r)
			if r.Failures > 0 {
				t.Errorf("%d of %d requests failed", r.Failures, r.Requests)
			}
		})
	}
}

// cache makes another app's add-on, to be attached.
func (s *site) cache(t testing.TB) {
	t.Helper()
	s.Do(t, "POST", "/apps", map[string]any{"name": "shed"})
	s.Do(t, "POST", "/apps/shed/addons", map[string]any{"plan": "heroku-redis:mini", "name": "cache"})
	platformtest.Await(t, "the add-on", func() (string, bool) {
		var config map[string]string
		s.Call(t, "GET", "/apps/shed/config-vars", nil, &config)
		return fmt.Sprint(len(config)), config["REDIS_URL"] != ""
	})
}

// change is something that one does to an app which serves.
type change struct {
	name string
	web  int // so many web dynos there are after it
	do   func(testing.TB, *site)
}

// changes follow one another, beginning with two web dynos.
func changes() []change {
	scale := func(web int) func(testing.TB, *site) {
		return func(t testing.TB, s *site) { t.Helper(); s.Scale(t, "web", web) }
	}
	restart := func(name string) func(testing.TB, *site) {
		return func(t testing.TB, s *site) { t.Helper(); s.restart(t, name) }
	}
	config := func(value string) func(testing.TB, *site) {
		return func(t testing.TB, s *site) {
			t.Helper()
			s.Do(t, "PATCH", s.Path()+"/config-vars", map[string]any{"STONE": value})
		}
	}
	preboot := func(enabled bool) func(testing.TB, *site) {
		return func(t testing.TB, s *site) {
			t.Helper()
			s.Do(t, "PATCH", s.Path()+"/features/preboot", map[string]any{"enabled": enabled})
			s.push(t)
		}
	}
	deploy := func(t testing.TB, s *site) { t.Helper(); s.push(t) }
	return []change{
		{"2 dynos: scale to 3", 3, scale(3)},
		{"3 dynos: restart", 3, restart("")},
		{"3 dynos: restart web.1", 3, restart("web.1")},
		{"3 dynos: config:set", 3, config("granite")},
		{"3 dynos: rollback", 3, rollback},
		{"3 dynos: addons:attach", 3, attach},
		{"3 dynos: addons:detach", 3, detach},
		{"3 dynos: preboot disabled, deploy", 3, preboot(false)},
		{"3 dynos without preboot: restart", 3, restart("")},
		{"3 dynos without preboot: scale to 1", 1, scale(1)},
		{"1 dyno: deploy", 1, deploy},
		{"1 dyno: restart", 1, restart("")},
		{"1 dyno: restart web.1", 1, restart("web.1")},
		{"1 dyno: config:set", 1, config("basalt")},
		{"1 dyno: rollback", 1, rollback},
		{"1 dyno: addons:attach", 1, attach},
		{"1 dyno: preboot enabled, deploy", 1, preboot(true)},
		{"1 dyno with preboot: restart", 1, restart("")},
		{"1 dyno with preboot: scale to 3", 3, scale(3)},
	}
}

func rollback(t testing.TB, s *site) {
	t.Helper()
	s.Do(t, "POST", s.Path()+"/releases", map[string]any{"release": fmt.Sprint(s.Current(t) - 1)})
}

func attach(t testing.TB, s *site) {
	t.Helper()
	s.Do(t, "POST", "/addon-attachments", map[string]any{"app": siteName, "addon": "cache", "name": "STORE"})
}

func detach(t testing.TB, s *site) {
	t.Helper()
	var all []struct{ ID string }
	s.Call(t, "GET", s.Path()+"/addon-attachments", nil, &all)
	s.Do(t, "DELETE", "/addon-attachments/"+all[0].ID, nil)
}

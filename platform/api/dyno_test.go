package api

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDynosAreScaledRestartedAndListed(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	s.deploy("garden", map[string]string{"web": "serve", "worker": "wait"})
	up := func(a answer) bool {
		return len(a.names("id")) == 3 && !strings.Contains(string(a.body), "starting")
	}
	scaled := s.do("PATCH", "/apps/garden/formation", map[string]any{"updates": []any{
		map[string]any{"type": "web", "quantity": "+1", "size": "standard-2x"}, map[string]any{"type": "worker", "quantity": 1},
	}}).want(200)
	if diff := cmp.Diff([]string{"Standard-2X", "Standard-1X"}, scaled.names("size")); diff != "" {
		t.Error(diff)
	}
	first := s.until("/apps/garden/dynos", up)
	if diff := cmp.Diff([]string{"web.1", "web.2", "worker.1"}, first.names("name")); diff != "" {
		t.Error(diff)
	}
	s.do("GET", "/apps/garden/dynos/web.2", nil).want(200)
	for _, request := range [][2]string{
		{"DELETE", "/apps/garden/dynos/web.1"}, {"DELETE", "/apps/garden/formations/worker"}, {"DELETE", "/apps/garden/dynos"},
		{"POST", "/apps/garden/dynos/web.1/actions/stop"}, {"POST", "/apps/garden/formations/web/actions/stop"},
	} {
		if got := s.do(request[0], request[1], nil).want(202); string(got.body) != "{}" {
			t.Errorf("%v: %s", request, got.body)
		}
	}
	s.until("/apps/garden/dynos", func(a answer) bool {
		return up(a) && !strings.Contains(string(a.body), first.text(0, "id")) && !strings.Contains(string(a.body), first.text(2, "id"))
	})
	s.do("DELETE", "/apps/garden/dynos/web.9", nil).fails(404, map[string]any{"resource": "dyno"})
	s.do("GET", "/apps/garden/dynos/web.9", nil).fails(404, map[string]any{"resource": "dyno"})
}

func TestTheFormationIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	s.deploy("garden", map[string]string{"web": "serve"})
	size := s.do("GET", "/dyno-sizes/Basic", nil).want(200).text("id")
	if s.do("PATCH", "/apps/garden/formation/web", map[string]any{"quantity": 0, "dyno_size": map[string]any{"id": size}}).want(200).text("size") != "Basic" {
		t.Error("a size is not taken by its id")
	}
	s.do("GET", "/apps/garden/formation/web", nil).want(200)
	s.do("GET", "/apps/garden/formation/clock", nil).fails(404, map[string]any{"resource": "formation"})
	one := func(update map[string]any) map[string]any { return map[string]any{"updates": []any{update}} }
	for name, body := range map[string]any{
		"an unknown type":   one(map[string]any{"type": "clock", "quantity": 1}),
		"an unknown size":   one(map[string]any{"type": "web", "size": "huge"}),
		"too many":          one(map[string]any{"type": "web", "quantity": 1001}),
		"a fraction":        one(map[string]any{"type": "web", "quantity": 1.5}),
		"a negative number": one(map[string]any{"type": "web", "quantity": -1}),
		"a word":            one(map[string]any{"type": "web", "quantity": "many"}),
		"no type":           one(map[string]any{"quantity": 1}),
		"no updates":        map[string]any{},
	} {
		t.Run(name, func(t *testing.T) {
			s.do("PATCH", "/apps/garden/formation", body).fails(422, map[string]any{"id": "invalid_params"})
		})
	}
}

func TestAOneOffDynoRuns(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	s.do("POST", "/apps/garden/dynos", map[string]any{"command": "echo hi"}).fails(422, map[string]any{"id": "invalid_params"})
	s.deploy("garden", map[string]string{"web": "serve"})
	d := s.do("POST", "/apps/garden/dynos", map[string]any{
		"command": "wait", "attach": false, "env": map[string]any{"TERM": "xterm", "COLUMNS": 80}, "force_no_tty": nil, "size": "standard-2x", "type": "run",
	}).want(201)
	if d.at("attach_url") != nil || d.text("size") != "Standard-2X" || !strings.HasPrefix(d.text("name"), "run.") {
		t.Errorf("detached: %s", d.body)
	}
	attached := s.do("POST", "/apps/garden/dynos", map[string]any{"command": "wait", "attach": true}).want(201)
	if !strings.HasPrefix(attached.text("attach_url"), "rendezvous://localhost:5101/") {
		t.Errorf("attached: %s", attached.body)
	}
	s.do("POST", "/apps/garden/dynos/"+attached.text("name")+"/actions/stop", nil).want(202)
	s.do("POST", "/apps/garden/dynos/"+d.text("name"), map[string]any{"command": "ls"}).fails(422, map[string]any{"id": "invalid_params"})
	for name, body := range map[string]any{
		"no command":      map[string]any{},
		"a long command":  map[string]any{"command": strings.Repeat("x", maxCommand+1)},
		"a bad name":      map[string]any{"command": "ls", "env": map[string]any{"A=B": "1"}},
		"a bad type":      map[string]any{"command": "ls", "type": "a b"},
		"an unknown size": map[string]any{"command": "ls", "size": "huge"},
		"a time to live":  map[string]any{"command": "ls", "time_to_live": 60},
	} {
		t.Run(name, func(t *testing.T) {
			s.do("POST", "/apps/garden/dynos", body).fails(422, map[string]any{"id": "invalid_params"})
		})
	}
}

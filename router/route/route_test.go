package route

import (
	"slices"
	"testing"
)

func TestLookupIgnoresCasePortAndTrailingDot(t *testing.T) {
	table := New([]Entry{
		{Hosts: []string{"one.test", "Www.One.test", "*.wild.test"}, App: App{ID: "1"}},
		{Hosts: []string{"two.test", "one.test", "special.wild.test", "*.deep.wild.test"}, App: App{ID: "2"}},
		{Hosts: []string{"not a host", "", "*."}, App: App{ID: "3"}},
	})
	for host, want := range map[string]string{
		"one.test":                "1", // the first to list it has it
		"ONE.test:8080":           "1",
		"www.one.test.":           "1",
		"www.one.test.:443":       "1",
		"one.test:":               "1",
		"two.test":                "2",
		"a.wild.test":             "1",
		"a.b.wild.test":           "1",
		"special.wild.test":       "2",
		"a.deep.wild.test":        "2",
		"wild.test":               "",
		"a.one.test":              "",
		"":                        "",
		".":                       "",
		"not a host":              "",
		"one.test:http":           "",
		"one.test\nx":             "",
		"a=b.wild.test":           "",
		"*.wild.test":             "",
		"[::1]:80":                "",
		"one.test:80:80":          "",
		"one.test,two.test":       "",
		"\xffone.test":            "",
		string(make([]byte, 300)): "",
	} {
		app, ok := table.Lookup(host)
		if ok != (want != "") || ok && app.ID != want {
			t.Errorf("Lookup(%q) = %+v, %v; want %q", host, app, ok, want)
		}
	}
}

func TestATableIsNotChangedThroughWhatItWasMadeFrom(t *testing.T) {
	entries := []Entry{{Hosts: []string{"a.test"}, App: App{ID: "1", Dynos: []Dyno{{Name: "web.1", Addr: "x:1"}}}}}
	table := New(entries)
	entries[0].App.ID = "2"
	entries[0].App.Dynos[0].Addr = "y:1"
	entries[0].Hosts[0] = "b.test"
	app, ok := table.Lookup("a.test")
	if !ok || app.ID != "1" || app.Dynos[0].Addr != "x:1" {
		t.Errorf("the table has %+v", app)
	}
	if all := slices.Collect(table.Apps()); len(all) != 1 || all[0] != app {
		t.Errorf("Apps yields %v", all)
	}
}

func TestARestingTableHasRequestsWait(t *testing.T) {
	table := New([]Entry{
		{Hosts: []string{"a.test"}, App: App{ID: "1", State: Serving, Dynos: []Dyno{{Name: "web.1", Addr: "x:1"}}}},
		{Hosts: []string{"b.test"}, App: App{ID: "2", State: Maintenance, Dynos: []Dyno{{Name: "web.1", Addr: "x:2"}}}},
		{Hosts: []string{"c.test"}, App: App{ID: "3", State: Crashed}},
	})
	resting := table.Resting()
	for id, want := range map[string]State{"1": Starting, "2": Maintenance, "3": Crashed} {
		app, ok := resting.App(id)
		if !ok || app.State != want || app.Dynos != nil {
			t.Errorf("app %s is %+v", id, app)
		}
	}
	if app, ok := table.App("1"); !ok || app.State != Serving || len(app.Dynos) != 1 {
		t.Errorf("the table itself has become %+v", app)
	}
}

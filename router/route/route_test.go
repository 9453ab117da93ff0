package route

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// with is a table of these entries that is kept nowhere.
func with(t testing.TB, entries ...Entry) *Table {
	t.Helper()
	table := New()
	if err := table.Set(entries...); err != nil {
		t.Fatal(err)
	}
	return table
}

// owner is the id of the app that a host leads to; empty for none.
func owner(t *Table, host string) string {
	app, ok := t.Lookup(host)
	if !ok {
		return ""
	}
	return app.ID
}

func TestLookupIgnoresCasePortAndTrailingDot(t *testing.T) {
	table := with(t,
		Entry{Hosts: []string{"one.test", "Www.One.test", "*.wild.test"}, App: App{ID: "1", State: Blank}},
		Entry{Hosts: []string{"two.test", "one.test", "special.wild.test", "*.deep.wild.test"}, App: App{ID: "2", State: Blank}},
		Entry{Hosts: []string{"not a host", "", "*."}, App: App{ID: "3", State: Blank}},
	)
	for host, want := range map[string]string{
		"one.test":                "1", // who is in the table the longest has it
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
		if got := owner(table, host); got != want {
			t.Errorf("Lookup(%q) = %q; want %q", host, got, want)
		}
	}
}

func TestWhenTheOwnerOfAHostLeavesTheNextInLineHasIt(t *testing.T) {
	claim := func(id string, hosts ...string) Entry {
		return Entry{Hosts: hosts, App: App{ID: id, State: Blank}}
	}
	table := with(t, claim("1", "a.test", "*.test"), claim("2", "a.test"), claim("3", "a.test"))
	is := func(when, want string, err error) {
		t.Helper()
		if got := owner(table, "a.test"); err != nil || got != want {
			t.Errorf("when %s, app %q has it, %v; want %q", when, got, err, want)
		}
	}
	is("it is changed", "1", table.Set(claim("1", "a.test", "b.test")))
	is("it lists the host no more", "2", table.Set(claim("1", "b.test")))
	is("the next leaves", "3", table.Remove("2"))
	is("who came first lists it again", "1", table.Set(claim("1", "a.test")))
	is("it leaves", "3", table.Remove("1"))
	is("it comes back", "3", table.Set(claim("1", "a.test")))
	is("nobody else is left", "1", table.Remove("3"))
	is("nobody is left", "", table.Remove("1"))
}

func TestAnAppIsNotChangedThroughWhatItWasMadeFrom(t *testing.T) {
	entry := Entry{Hosts: []string{"a.test"}, App: App{ID: "1", State: Serving, Dynos: []Dyno{{Name: "web.1", Addr: "x:1"}}}}
	table := with(t, entry)
	entry.App.Dynos[0].Addr = "y:1"
	before, ok := table.Lookup("a.test")
	if !ok || before.Dynos[0].Addr != "x:1" {
		t.Errorf("the table has %+v", before)
	}
	if err := table.Set(entry); err != nil {
		t.Fatal(err)
	}
	after, ok := table.App("1")
	if !ok || after.Dynos[0].Addr != "y:1" || before.Dynos[0].Addr != "x:1" || after.Version <= before.Version {
		t.Errorf("before the change the app was %+v, and after it is %+v", before, after)
	}
}

func TestWhatChangesNothingIsNoChange(t *testing.T) {
	table := with(t, sample()...)
	number, changed := table.Number(), table.Changed()
	if err := table.Set(sample()...); err != nil {
		t.Fatal(err)
	}
	if err := table.Remove("nobody"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
		t.Error("it is told")
	default:
	}
	if table.Number() != number {
		t.Errorf("number %d has become %d", number, table.Number())
	}
}

func TestAnEntryThatIsNoneLeavesTheOthersAlone(t *testing.T) {
	table := New()
	err := table.Set(sample()[0], Entry{Hosts: []string{"x.test"}, App: App{ID: "9", Name: "odd", State: "flying"}}, sample()[1])
	if err == nil || owner(table, "one.localhost") != "1" || owner(table, "two.localhost") != "2" || owner(table, "x.test") != "" {
		t.Errorf("Set: %v", err)
	}
}

func TestAtRestRequestsWait(t *testing.T) {
	dyno := []Dyno{{Name: "web.1", Addr: "x:1"}}
	table := with(t,
		Entry{Hosts: []string{"a.test"}, App: App{ID: "1", State: Serving, Dynos: dyno}},
		Entry{Hosts: []string{"b.test"}, App: App{ID: "2", State: Maintenance, Dynos: dyno}},
		Entry{Hosts: []string{"c.test"}, App: App{ID: "3", State: Crashed}},
	)
	addrs, err := table.Rest()
	if err != nil || !cmp.Equal(addrs, []string{"x:1", "x:1"}) {
		t.Errorf("Rest: %v, %v", addrs, err)
	}
	for host, want := range map[string]State{"a.test": Starting, "b.test": Maintenance, "c.test": Crashed} {
		app, ok := table.Lookup(host)
		if !ok || app.State != want || app.Dynos != nil {
			t.Errorf("%s is %+v", host, app)
		}
	}
}

func TestReplaceLeavesNobodyElse(t *testing.T) {
	table := with(t, sample()...)
	other := Entry{Hosts: []string{"three.localhost"}, App: App{ID: "3", State: Blank}}
	if err := table.Replace(sample()[1], other); err != nil {
		t.Fatal(err)
	}
	if owner(table, "one.localhost") != "" || owner(table, "two.localhost") != "2" || owner(table, "three.localhost") != "3" {
		t.Errorf("the table is %v", all(table))
	}
}

// Whoever adds a field to App finds here that it is not in bytes yet.
func TestEveryFieldOfAnAppSurvivesBeingBytes(t *testing.T) {
	var app App
	fill(reflect.ValueOf(&app).Elem())
	app.State = Crashed
	for _, id := range []string{app.ID, "f47ac10b-58cc-4372-a567-0e02b2c3d479", "F47AC10B-58CC-4372-a567-0e02b2c3d479", "", strings.Repeat("x", 254)} {
		app.ID = id
		survives(t, app)
	}
	app.ID = strings.Repeat("x", 255)
	if _, err := encode(nil, &app); err == nil {
		t.Error("there is an id of 255 bytes")
	}
}

func survives(t *testing.T, app App) {
	t.Helper()
	body, err := encode([]string{"*.b.test", "a.test"}, &app)
	if err != nil {
		t.Fatal(err)
	}
	hosts, got, err := decode(body)
	if err != nil || !cmp.Equal(hosts, []string{"*.b.test", "a.test"}) {
		t.Fatalf("%v, %v", hosts, err)
	}
	if diff := cmp.Diff(app, got, cmpopts.IgnoreFields(App{}, "Version")); diff != "" {
		t.Errorf("(-app +what came back):\n%s", diff)
	}
}

// fill sets everything in v to something that it is not by itself.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.String:
		v.SetString("some " + v.Type().String())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(-7)
	case reflect.Float64:
		v.SetFloat(0.5)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	default:
		panic("a field of the kind " + v.Kind().String())
	}
}

package route

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sample() []Entry {
	return []Entry{
		{Hosts: []string{"one.localhost", "*.one.test"}, App: App{ID: "1", Name: "one", State: Serving, Dynos: []Dyno{{"web.1", "127.0.0.1:5000"}}, ErrorPageURL: "https://x.test/<&>"}},
		{Hosts: []string{"two.localhost"}, App: App{ID: "2", Name: "two", State: Crashed}},
	}
}

func open(t *testing.T, path string) *Live {
	t.Helper()
	l, err := OpenLive(path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestTheLastTableIsThereAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.json")
	l := open(t, path)
	if _, ok := l.Table().Lookup("one.localhost"); ok {
		t.Error("a missing file is not an empty table")
	}
	if err := l.Swap(New(sample())); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), open(t, path).Table().entries); diff != "" {
		t.Errorf("(-saved +loaded):\n%s", diff)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
}

func TestACorruptFileIsMovedAsideAndSaidSo(t *testing.T) {
	good, err := Encode(New(sample()))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"empty":                   "",
		"cut":                     string(good[:len(good)/2]),
		"with something behind":   string(good) + "x",
		"edited":                  strings.Replace(string(good), "5000", "5001", 1),
		"of an unknown state":     sealed(`[{"hosts":["a"],"app":{"state":"flying"}}]`),
		"with an unknown field":   sealed(`[{"hosts":["a"],"app":{"state":"blank","x":1}}]`),
		"not a list":              sealed(`{}`),
		"zeros, as after a crash": string(make([]byte, 4096)),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "routes.json")
			if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
			l, err := OpenLive(path)
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), path+".corrupt") {
				t.Fatalf("OpenLive: %v", err)
			}
			if kept, err := os.ReadFile(path + ".corrupt"); err != nil || string(kept) != data {
				t.Errorf("aside is %q, %v", kept, err)
			}
			if err := l.Swap(New(sample())); err != nil {
				t.Fatal(err)
			}
			if _, ok := open(t, path).Table().Lookup("one.localhost"); !ok {
				t.Error("the next table was not saved")
			}
		})
	}
}

func sealed(routes string) string {
	return `{"sha256":"` + sum([]byte(routes)) + `","routes":` + routes + `}`
}

func TestAFileThatCannotBeReadIsNotCalledCorrupt(t *testing.T) {
	l, err := OpenLive(t.TempDir()) // a directory
	if err == nil || errors.Is(err, ErrCorrupt) || l != nil {
		t.Errorf("got %v, %v", l, err)
	}
}

func TestATableThatCannotBeSavedIsInUseAllTheSame(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	l := open(t, filepath.Join(dir, "routes.json"))
	if err := l.Swap(New(sample())); err == nil || !strings.Contains(err.Error(), "not saved") {
		t.Errorf("Swap: %v", err)
	}
	if _, ok := l.Table().Lookup("one.localhost"); !ok {
		t.Error("the new table is not in use")
	}
}

func TestNoChangeIsMissedBetweenLookingAndWaiting(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "routes.json"))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for {
				changed := l.Changed()
				if _, ok := l.Table().Lookup("one.localhost"); ok {
					return
				}
				<-changed
			}
		})
	}
	for range 20 {
		if err := l.Swap(New(nil)); err != nil {
			t.Error(err)
		}
	}
	if err := l.Swap(New(sample())); err != nil {
		t.Error(err)
	}
	all.Wait()
}

func FuzzTableFile(f *testing.F) {
	good, err := Encode(New(sample()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(good), false)
	f.Add(string(good[:40]), false)
	f.Add(`[{"hosts":["a","*.b"],"app":{"id":"1","name":"n","state":"blank","dynos":[{"name":"web.1","addr":"h:1"}]}}]`, true)
	f.Add(`[null,{}]`, true)
	f.Add(`null`, true)
	f.Fuzz(func(t *testing.T, data string, seal bool) {
		if seal { // so that what is behind the checksum is reached
			data = sealed(data)
		}
		table, err := Decode([]byte(data))
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("an error that is not ErrCorrupt: %v", err)
			}
			return
		}
		again, err := Encode(table)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := Decode(again); err != nil || !cmp.Equal(table.hosts, same.hosts) {
			t.Fatalf("what was read does not survive saving: %v", err)
		}
		for host := range table.hosts {
			if strings.ContainsAny(host, "\n \"=") {
				t.Fatalf("the host %q could be printed wrongly", host)
			}
		}
	})
}

func TestATableThatIsKeptNowhereIsInUseAllTheSame(t *testing.T) {
	l := NewLive(New(nil))
	_, before, changed := l.Current()
	if err := l.Swap(New(sample())); err != nil {
		t.Fatal(err)
	}
	<-changed
	table, after, _ := l.Current()
	if _, ok := table.Lookup("one.localhost"); !ok || after <= before {
		t.Errorf("after number %d the table is %v, number %d", before, table, after)
	}
}

func TestReadingATableFileLeavesItAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.json")
	if table, err := Read(path); err != nil || len(table.entries) != 0 {
		t.Errorf("a missing file is %v, %v", table, err)
	}
	if err := os.WriteFile(path, []byte("not a table"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Read: %v", err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "not a table" {
		t.Errorf("the file is %q, %v", data, err)
	}
}

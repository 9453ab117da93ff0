package route

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sample() []Entry {
	return []Entry{
		{Hosts: []string{"*.one.test", "one.localhost"}, App: App{ID: "1", Name: "one", State: Serving, Dynos: []Dyno{{"web.1", "127.0.0.1:5000"}}, ErrorPageURL: "https://x.test/<&>"}},
		{Hosts: []string{"two.localhost"}, App: App{ID: "2", Name: "two", State: Crashed}},
	}
}

// all is what a table has, by id, without versions.
func all(t *Table) map[string]Entry {
	entries := map[string]Entry{}
	for p := range t.Parts() {
		list, err := p.Apps.decode()
		if err != nil {
			panic(err)
		}
		for _, c := range list {
			entries[c.id] = Entry{c.hosts, c.body.app()}
		}
	}
	return entries
}

func open(t testing.TB, path string) *Table {
	t.Helper()
	table, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	return table
}

func TestTheLastTableIsThereAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.log")
	table := open(t, path)
	if len(all(table)) > 0 {
		t.Error("a missing file is not an empty table")
	}
	if err := table.Set(sample()...); err != nil {
		t.Fatal(err)
	}
	if err := table.Remove("2"); err != nil {
		t.Fatal(err)
	}
	// As after kill -9: it was not closed.
	if diff := cmp.Diff(map[string]Entry{"1": sample()[0]}, all(open(t, path))); diff != "" {
		t.Errorf("(-saved +loaded):\n%s", diff)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
}

// written is the file of the sample, and where its changes begin.
func written(t testing.TB) (data []byte, changes int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "routes.log")
	table := open(t, path)
	if err := table.Set(sample()[0]); err != nil { // which writes the table
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Set(sample()[1]); err != nil {
		t.Fatal(err)
	}
	if data, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return data, int(info.Size())
}

func TestACorruptFileIsMovedAsideAndSaidSo(t *testing.T) {
	good, changes := written(t)
	flip := func(at int) string {
		data := slices.Clone(good)
		data[at] ^= 0x10
		return string(data)
	}
	for name, data := range map[string]string{
		"empty":                       "",
		"cut in the table":            string(good[:changes-1]),
		"edited":                      strings.Replace(string(good), "5000", "5001", 1),
		"of another version":          flip(len(magic) - 2),
		"with a wrong length":         flip(len(magic)),
		"with a wrong length later":   flip(changes) + "x",
		"with changes that are wrong": string(good[:changes]) + string(appendFrame(nil, Changes("?"))),
		"zeros, as after a crash":     string(make([]byte, 4096)),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "routes.log")
			if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
			table, err := Open(path)
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), path+".corrupt") {
				t.Fatalf("Open: %v", err)
			}
			if len(all(table)) > 0 {
				t.Errorf("it is half believed: %v", all(table))
			}
			if kept, err := os.ReadFile(path + ".corrupt"); err != nil || string(kept) != data {
				t.Errorf("aside is %q, %v", kept, err)
			}
			if err := table.Set(sample()...); err != nil {
				t.Fatal(err)
			}
			if len(all(open(t, path))) != 2 {
				t.Error("the next table was not saved")
			}
		})
	}
}

func TestWhatACrashLeftOfTheLastChangeIsDropped(t *testing.T) {
	good, changes := written(t)
	for cut := changes; cut <= len(good); cut++ {
		for _, zeros := range []int{0, 5, 5000} {
			path := filepath.Join(t.TempDir(), "routes.log")
			data := append(slices.Clone(good[:cut]), make([]byte, zeros)...)
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			want := 1
			if bytes.HasPrefix(data, good) { // which may end with zeros itself
				want = 2
			}
			table := open(t, path)
			if n := len(all(table)); n != want {
				t.Fatalf("cut at %d of %d, with %d zeros: %d apps are left; want %d", cut, len(good), zeros, n, want)
			}
			if err := table.Set(Entry{App: App{ID: "3", State: Blank}}); err != nil {
				t.Fatal(err)
			}
			if n := len(all(open(t, path))); n != want+1 {
				t.Fatalf("cut at %d of %d, with %d zeros: after another change %d apps are in the file; want %d", cut, len(good), zeros, n, want+1)
			}
		}
	}
}

func TestAFileThatCannotBeReadIsNotCalledCorrupt(t *testing.T) {
	table, err := Open(t.TempDir()) // a directory
	if err == nil || errors.Is(err, ErrCorrupt) || table != nil {
		t.Errorf("got %v, %v", table, err)
	}
}

func TestATableThatCannotBeSavedIsInUseAllTheSameAndSavedWhenItCan(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	path := filepath.Join(dir, "routes.log")
	table := open(t, path)
	if err := table.Set(sample()[0]); err == nil || !strings.Contains(err.Error(), "not saved") {
		t.Errorf("Set: %v", err)
	}
	if owner(table, "one.localhost") != "1" {
		t.Error("the new table is not in use")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	table.Set(sample()[1]) // it may be too early to tell whether this is
	if err := table.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if got := all(open(t, path)); len(got) != 2 {
		t.Errorf("in the file are %v", got)
	}
}

func TestATableIsWrittenAnewWhileItChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.log")
	table := open(t, path)
	long := strings.Repeat("x", 2000)
	var all sync.WaitGroup
	for _, id := range []string{"1", "2", "3", "4"} {
		all.Go(func() {
			for i := range 1000 {
				e := Entry{Hosts: []string{id + ".test"}, App: App{ID: id, State: Serving, ErrorPageURL: long, Dynos: []Dyno{{"web.1", string(rune('a'+i%26)) + ":1"}}}}
				if err := table.Set(e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, path)
	if err := again.Remove("nobody"); err != nil { // so that it looks
		t.Error(err)
	}
	for _, id := range []string{"1", "2", "3", "4"} {
		if app, ok := again.App(id); !ok || app.Dynos[0].Addr != "l:1" { // the last: 999 % 26
			t.Errorf("app %s is %+v", id, app)
		}
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 1<<20 {
		t.Errorf("after 8 MB of changes the file has %d bytes, %v", info.Size(), err)
	}
}

func TestReadingATableFileLeavesItAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.log")
	if table, err := Read(path); err != nil || len(all(table)) != 0 {
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

func FuzzTableFile(f *testing.F) {
	good, changes := written(f)
	f.Add(good, false)
	f.Add(good[:changes+5], false)
	f.Add([]byte(table(sample()...)), true)
	f.Add([]byte(appendRemove(nil, "1")), true)
	f.Add([]byte("+\x01\x00"), true)
	f.Fuzz(func(t *testing.T, data []byte, seal bool) {
		if seal { // so that what is behind the checksums is reached
			data = appendFrame(appendFrame([]byte(magic), data), nil)
		}
		path := filepath.Join(t.TempDir(), "routes.log")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		read, err := Read(path)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("an error that is not ErrCorrupt: %v", err)
			}
			return
		}
		same := New()
		for p := range read.Parts() {
			if err := same.ApplyPart(p); err != nil {
				t.Fatalf("what was read does not survive: %v", err)
			}
		}
		if diff := cmp.Diff(all(read), all(same)); diff != "" {
			t.Fatalf("(-read +again):\n%s", diff)
		}
		for _, e := range all(read) {
			for _, host := range e.Hosts {
				if strings.ContainsAny(host, "\n \"=") {
					t.Fatalf("the host %q could be printed wrongly", host)
				}
				if _, ok := read.Lookup(strings.Replace(host, "*", "any", 1)); !ok {
					t.Fatalf("the host %q is not found", host)
				}
			}
		}
	})
}

// table is entries as changes.
func table(entries ...Entry) (c Changes) {
	for i, e := range entries {
		body, err := encode(hostKeys(e.Hosts), &e.App)
		if err != nil {
			panic(err)
		}
		c = appendSet(c, int64(i+1), body)
	}
	return c
}

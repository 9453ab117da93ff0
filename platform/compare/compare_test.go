package compare

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestReadsAreCountedAndHaveToComeFromWhereTheyShould(t *testing.T) {
	var reads atomic.Int64
	var from, status atomic.Value
	from.Store("hit")
	status.Store(200)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "users.localhost" || r.URL.Path != "/users/7" {
			http.NotFound(w, r)
			return
		}
		how := from.Load().(string)
		if n := reads.Add(1); n > 1 && how == "fading" {
			how = "miss"
		}
		w.Header().Set("X-Cache", strings.Replace(how, "fading", "hit", 1))
		w.WriteHeader(status.Load().(int))
	}))
	defer server.Close()
	r := newReader(server.URL, "users.localhost")
	rate, err := r.rate(t.Context(), "/users/7", "hit", 200*time.Millisecond)
	if told := float64(reads.Load()-1) / 0.2; err != nil || rate > told || rate < told/10 {
		t.Errorf("%.0f reads a second, of %.0f; %v", rate, told, err)
	}
	reads.Store(0)
	from.Store("fading")
	if _, err := r.rate(t.Context(), "/users/7", "hit", 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), "were no hit") {
		t.Errorf("reads from elsewhere: %v", err)
	}
	if _, err := r.create(t.Context()); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a user that is not made: %v", err)
	}
}

const startLog = `2026-11-25T10:00:00.000000+00:00 heroku[web.1]: Starting process with command ` + "`./app`" + `
2026-11-25T10:00:00.250000+00:00 heroku[web.1]: State changed from starting to up
2026-11-25T10:01:00.000000+00:00 heroku[web.1]: Starting process with command ` + "`./app`" + `
2026-11-25T10:01:01.500000+00:00 heroku[web.1]: State changed from starting to up
`

func TestTheLastStartIsReadFromTheLog(t *testing.T) {
	if took, err := bootOf(startLog); took != 1500*time.Millisecond || err != nil {
		t.Errorf("got %v, %v", took, err)
	}
	if _, err := bootOf(""); err == nil {
		t.Error("a log without a start has one")
	}
}

func TestRowsBecomeATableAndAPlot(t *testing.T) {
	rows := []Row{
		{Lang: "go", Cold: 40 * time.Second, Warm: 2 * time.Second, Boot: 20 * time.Millisecond, Memory: 18, Cached: 9000, Uncached: 4000},
		{Lang: "ruby", Cold: 20 * time.Second, Warm: time.Second, Boot: 900 * time.Millisecond, Memory: 70, Cached: 1200, Uncached: 900},
	}
	var out strings.Builder
	if err := Table(&out, rows); err != nil {
		t.Fatal(err)
	}
	want := "" +
		"   language   cold build   warm build     boot   memory   cached reads/s   uncached reads/s   \n" +
		"         go      40.00 s       2.00 s   0.02 s    18 MB             9000               4000   \n" +
		"       ruby      20.00 s       1.00 s   0.90 s    70 MB             1200                900   \n"
	if got := out.String(); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("got\n%s", got)
	}
	file := filepath.Join(t.TempDir(), "compare.svg")
	if err := Plot(file, rows); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(file)
	for _, text := range []string{"<svg", ">go<", ">ruby<", "memory (MB)", "cached"} {
		if err != nil || !strings.Contains(string(svg), text) {
			t.Errorf("the plot has no %s, %v", text, err)
		}
	}
}

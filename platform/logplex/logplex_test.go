package logplex

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"niwa/platform"
	"niwa/platform/platformtest/need"
)

const app = "0190f5a0-0000-7000-8000-000000000001"

func open(t *testing.T, dir string) *Logplex {
	t.Helper()
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	l.Errors = func(err error) { t.Errorf("the disk: %v", err) }
	t.Cleanup(func() { l.Close() })
	return l
}

func texts(lines []platform.LogLine) []string {
	var out []string
	for _, line := range lines {
		out = append(out, line.Text)
	}
	return out
}

func TestALineIsPrintedAsHerokuPrintsIt(t *testing.T) {
	at := time.Date(2012, 10, 11, 5, 47, 20, 1200, time.FixedZone("CEST", 2*3600))
	for want, line := range map[string]platform.LogLine{
		"2012-10-11T03:47:20.000001+00:00 app[web.1]: Listening on 5000": {Time: at, Source: "app", Dyno: "web.1", Text: "Listening on 5000"},
		"2012-10-11T03:47:20.000001+00:00 heroku[router]: ":              {Time: at, Source: "heroku", Dyno: "router"},
	} {
		if got := Format(line); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestALineThatCameLateHasTheTimeItWasSaidAt(t *testing.T) {
	l := open(t, t.TempDir())
	l.Log(app, "heroku", "router", "of now")
	said := time.Date(2012, 10, 11, 5, 47, 20, 1200, time.FixedZone("CEST", 2*3600))
	l.LogAt(said, app, "heroku", "router", "of then")
	lines := l.Recent(app, Filter{}, 10)
	if len(lines) != 2 || Format(lines[1]) != "2012-10-11T03:47:20.000001+00:00 heroku[router]: of then" {
		t.Errorf("got %v", lines)
	}
}

func TestRecentGivesTheLastLinesThatTheFilterPicks(t *testing.T) {
	l := open(t, t.TempDir())
	l.Log(app, "app", "web.1", "one")
	l.Log(app, "app", "web.12", "two\nthree\n")
	l.Log(app, "heroku", "router", "four")
	l.Log(app, "app", "webhook.1", "five")
	l.Log("another", "app", "web.1", "not ours")

	for name, c := range map[string]struct {
		filter Filter
		n      int
		want   []string
	}{
		"everything":                  {Filter{}, 100, []string{"one", "two", "three", "four", "five"}},
		"the last two":                {Filter{}, 2, []string{"four", "five"}},
		"none":                        {Filter{}, 0, nil},
		"a process type":              {Filter{Dyno: "web"}, 100, []string{"one", "two", "three"}},
		"the last of a process type":  {Filter{Dyno: "web"}, 1, []string{"three"}},
		"one dyno":                    {Filter{Dyno: "web.1"}, 100, []string{"one"}},
		"a source":                    {Filter{Source: "heroku"}, 100, []string{"four"}},
		"a source and a dyno of none": {Filter{Source: "heroku", Dyno: "web"}, 100, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, texts(l.Recent(app, c.filter, c.n))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheLast1500LinesAreKept(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	for i := 1; i <= 5000; i++ {
		l.Log(app, "app", "web.1", fmt.Sprint("line ", i))
	}
	check := func(l *Logplex) {
		t.Helper()
		lines := l.Recent(app, Filter{}, 10_000)
		if len(lines) != Keep || lines[0].Text != "line 3501" || lines[0].ID != 3501 || lines[Keep-1].Text != "line 5000" {
			t.Errorf("%d lines, from %+v to %+v", len(lines), lines[0], lines[len(lines)-1])
		}
	}
	check(l)
	l.Close()
	check(open(t, dir))

	files, err := filepath.Glob(filepath.Join(dir, app, "*.log"))
	if err != nil || len(files) != 2 {
		t.Errorf("files %v, %v, want two", files, err)
	}
}

func TestLinesSurviveARestartAndIdsGoOn(t *testing.T) {
	dir := t.TempDir()
	var before []platform.LogLine
	for run := range 4 {
		l := open(t, dir)
		if diff := cmp.Diff(before, l.Recent(app, Filter{}, 100)); diff != "" {
			t.Errorf("start %d: %s", run, diff)
		}
		l.Log(app, "app", "web.1", fmt.Sprintf("run %d: \x1b[32mgrün\x1b[0m", run))
		l.Log(app, "heroku", "web.1", "")
		before = l.Recent(app, Filter{}, 100)
		if got, want := before[len(before)-1].ID, uint64(2*run+2); got != want {
			t.Errorf("newest id %d, want %d", got, want)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatWasReadIsInTheFileWithoutClose(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	l.Log(app, "app", "web.1", "seen")
	want := l.Recent(app, Filter{}, 1)
	// The first is not closed, as after kill -9.
	if diff := cmp.Diff(want, open(t, dir).Recent(app, Filter{}, 1)); diff != "" {
		t.Error(diff)
	}
}

func TestATornRecordIsDroppedAndTheRestIsRead(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"the last record is cut off":           func(b []byte) []byte { return b[:len(b)-4] },
		"only the last newline is missing":     func(b []byte) []byte { return b[:len(b)-1] },
		"zeroes follow the end, as after loss": func(b []byte) []byte { return append(b[:len(b)-4], make([]byte, 4096)...) },
		"a byte of the last record flipped":    func(b []byte) []byte { b[len(b)-3] ^= 1; return b },
		"a long line of garbage follows":       func(b []byte) []byte { return append(b[:len(b)-4], strings.Repeat("x", 200_000)...) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, dir)
			l.Log(app, "app", "web.1", "first\nsecond\nthird")
			l.Close()
			file := filepath.Join(dir, app, "00000000000000000001.log")
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			b = damage(b)
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
			want := []string{"first", "second", "fourth"}
			if bytes.HasSuffix(b, []byte("third")) { // whole but for its newline
				want = []string{"first", "second", "third", "fourth"}
			}
			l = open(t, dir)
			l.Log(app, "app", "web.1", "fourth")
			if diff := cmp.Diff(want, texts(l.Recent(app, Filter{}, 9))); diff != "" {
				t.Error(diff)
			}
			l.Close()
			if diff := cmp.Diff(want, texts(open(t, dir).Recent(app, Filter{}, 9))); diff != "" {
				t.Errorf("after another start: %s", diff)
			}
		})
	}
}

func TestAFullDiskIsReportedOnceAndMemoryGoesOn(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		need.Reason(t, "needs /dev/full")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, app), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", filepath.Join(dir, app, "00000000000000000001.log")); err != nil {
		t.Fatal(err)
	}
	l := open(t, dir)
	var told []string
	l.Errors = func(err error) { told = append(told, err.Error()) }
	for i := range 3 {
		l.Log(app, "app", "web.1", fmt.Sprint(i))
		l.Recent(app, Filter{}, 1)
	}
	if diff := cmp.Diff([]string{"0", "1", "2"}, texts(l.Recent(app, Filter{}, 9))); diff != "" {
		t.Error(diff)
	}
	l.Close()
	if len(told) != 1 || !strings.Contains(told[0], "kept in memory only") || !strings.Contains(told[0], "no space left") {
		t.Errorf("told %q", told)
	}
}

func TestLinesAreWrittenAgainWhenTheDiskTakesThem(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, app), nil, 0o600); err != nil { // where a folder must be
		t.Fatal(err)
	}
	l := open(t, dir)
	told := make(chan error, 9)
	l.Errors = func(err error) { told <- err }
	l.Log(app, "app", "web.1", "in memory")
	l.Recent(app, Filter{}, 1)
	if err := os.Remove(filepath.Join(dir, app)); err != nil {
		t.Fatal(err)
	}
	l.Log(app, "app", "web.1", "on disk")
	if diff := cmp.Diff([]string{"in memory", "on disk"}, texts(l.Recent(app, Filter{}, 9))); diff != "" {
		t.Error(diff)
	}
	l.Close()
	close(told)
	var last error
	for last = range told {
	}
	if last == nil || !strings.Contains(last.Error(), "written to disk again") {
		t.Errorf("last told %v", last)
	}
	if diff := cmp.Diff([]string{"in memory", "on disk"}, texts(open(t, dir).Recent(app, Filter{}, 9))); diff != "" {
		t.Errorf("after a restart: %s", diff)
	}
}

func TestLinesThatAFullDiskRefusedAreWrittenWithoutFurtherOnes(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, app), nil, 0o600); err != nil { // where a folder must be
		t.Fatal(err)
	}
	l := open(t, dir)
	told := make(chan error, 9)
	l.Errors = func(err error) { told <- err }
	l.Log(app, "app", "web.1", "refused")
	<-told
	if err := os.Remove(filepath.Join(dir, app)); err != nil {
		t.Fatal(err)
	}
	if again := <-told; !strings.Contains(again.Error(), "written to disk again") {
		t.Fatal(again)
	}
	// The first is not closed, as after kill -9.
	if diff := cmp.Diff([]string{"refused"}, texts(open(t, dir).Recent(app, Filter{}, 9))); diff != "" {
		t.Error(diff)
	}
}

func TestAnExportIsAFileThatAnotherLogplexReads(t *testing.T) {
	l := open(t, t.TempDir())
	for i := range 2000 {
		l.Log(app, "app", "web.1", fmt.Sprint(i))
	}
	name, file := l.Export(app)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, app), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, app, name), file, 0o600); err != nil {
		t.Fatal(err)
	}
	other := open(t, dir)
	if diff := cmp.Diff(l.Recent(app, Filter{}, Keep), other.Recent(app, Filter{}, Keep)); diff != "" {
		t.Error(diff)
	}
	other.Log(app, "app", "web.1", "next")
	if line := other.Recent(app, Filter{}, 1)[0]; line.ID != 2001 {
		t.Errorf("the next line has the id %d", line.ID)
	}
	if name, file := l.Export("0190f5a0-0000-7000-8000-000000000002"); name != "" || file != nil {
		t.Errorf("an app without lines has a file %q", name)
	}
}

// A disk that stands still is a pipe that nobody reads yet.
func TestADiskThatStandsStillHoldsAWriterForASecondInAll(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, app), 0o700); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(dir, app, "00000000000000000001.log")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	l := open(t, dir)
	began := time.Now()
	const lines = queueSize + batchSize + 5000
	for range lines {
		l.Log(app, "app", "web.1", "line")
	}
	if took := time.Since(began); took > 5*patience {
		t.Errorf("the writer was held for %v", took)
	}
	r, err := os.OpenFile(pipe, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	go r.WriteTo(nopWriter{})
	var told string
	for _, line := range l.Recent(app, Filter{Source: "heroku"}, 9) {
		told = line.Text
	}
	var dropped int
	if _, err := fmt.Sscanf(told, "Error L12: %d messages dropped since ", &dropped); err != nil {
		t.Fatalf("told %q: %v", told, err)
	}
	if kept := int(l.Recent(app, Filter{}, 1)[0].ID) - 1; kept+dropped != lines {
		t.Errorf("%d kept and %d dropped of %d", kept, dropped, lines)
	}
}

type nopWriter struct{}

func (nopWriter) Write(p []byte) (int, error) { return len(p), nil }

func TestManyWritersKeepEachTheirOrder(t *testing.T) {
	l := open(t, t.TempDir())
	const writers, each = 8, 150
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			out := l.Writer(app, "app", fmt.Sprintf("web.%d", w))
			for i := range each {
				fmt.Fprintf(out, "%d\n", i)
			}
		})
	}
	all.Wait()
	lines := l.Recent(app, Filter{}, Keep)
	if len(lines) != writers*each {
		t.Fatalf("%d lines", len(lines))
	}
	next := map[string]int{}
	for i, line := range lines {
		if line.ID != uint64(i+1) {
			t.Fatalf("line %d has id %d", i, line.ID)
		}
		if line.Text != fmt.Sprint(next[line.Dyno]) {
			t.Fatalf("%s says %s after %d lines", line.Dyno, line.Text, next[line.Dyno])
		}
		next[line.Dyno]++
	}
}

func TestADeletedLogIsGoneAndStaysGone(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	late := l.Writer(app, "app", "web.1")
	fmt.Fprintln(late, "early")
	l.Recent(app, Filter{}, 1)
	ended := make(chan struct{})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	reading := make(chan struct{})
	go func() {
		defer close(ended)
		for range l.Tail(ctx, app, Filter{}, 10, 0) {
			close(reading)
		}
	}()
	<-reading
	if err := l.Delete(app); err != nil {
		t.Fatal(err)
	}
	<-ended
	if ctx.Err() != nil {
		t.Error("the tail outlived the log")
	}
	fmt.Fprintln(late, "late")
	l.Log(app, "app", "web.1", "later")
	if lines := l.Recent(app, Filter{}, 9); lines != nil {
		t.Errorf("still there: %v", lines)
	}
	if _, err := os.Stat(filepath.Join(dir, app)); !os.IsNotExist(err) {
		t.Errorf("the folder: %v", err)
	}
}

func TestAnIdThatIsAPathNeverReachesTheDisk(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(filepath.Join(dir, "logs"))
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 1)
	l.Errors = func(err error) {
		select {
		case told <- err:
		default:
		}
	}
	for _, id := range []string{"../escape", "..", ".", "", "/abs", "a/b"} {
		l.Log(id, "app", "web.1", "line")
		if err := l.Delete(id); err == nil {
			t.Errorf("Delete(%q) succeeded", id)
		}
	}
	l.Close()
	if err := <-told; err == nil {
		t.Error("nothing told")
	}
	files, err := os.ReadDir(filepath.Join(dir, "logs"))
	outside, err2 := os.ReadDir(dir)
	if err != nil || err2 != nil || len(files) != 0 || len(outside) != 1 {
		t.Errorf("left %v, %v, %v, %v", files, outside, err, err2)
	}
}

func TestAfterCloseNothingHappens(t *testing.T) {
	l := open(t, t.TempDir())
	w := l.Writer(app, "app", "web.1")
	l.Close()
	fmt.Fprintln(w, "late")
	l.Log(app, "app", "web.1", "late")
	if lines := l.Recent(app, Filter{}, 9); lines != nil {
		t.Errorf("lines %v", lines)
	}
	for line := range l.Tail(t.Context(), app, Filter{}, 9, 0) {
		t.Errorf("line %v", line)
	}
	if err := l.Delete(app); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

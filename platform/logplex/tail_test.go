package logplex

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"niwa/platform"
)

// pull reads a tail a line at a time, and fails the test when one does not
// come.
func pull(t *testing.T, l *Logplex, f Filter, n int, after uint64) func() platform.LogLine {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	next, stop := iter.Pull(l.Tail(ctx, app, f, n, after))
	t.Cleanup(func() { cancel(); stop() })
	return func() platform.LogLine {
		t.Helper()
		line, ok := next()
		if !ok {
			t.Fatal("the tail ended")
		}
		return line
	}
}

func TestATailGivesTheBacklogAndThenWhatComes(t *testing.T) {
	for name, c := range map[string]struct {
		filter Filter
		n      int
		after  uint64
		want   string
	}{
		"the last two first":       {Filter{}, 2, 0, "b2 r1 b3 r2"},
		"all there is":             {Filter{}, 100, 0, "b1 b2 r1 b3 r2"},
		"the last that are picked": {Filter{Dyno: "web"}, 1, 0, "b2 b3"},
		"what comes after an id":   {Filter{}, 0, 1, "b2 r1 b3 r2"},
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t, t.TempDir())
			l.Log(app, "app", "web.1", "b1\nb2")
			l.Log(app, "heroku", "router", "r1")
			next := pull(t, l, c.filter, c.n, c.after)
			got := []string{next().Text}
			l.Log(app, "app", "web.1", "b3")
			l.Log(app, "heroku", "router", "r2")
			want := strings.Fields(c.want)
			for len(got) < len(want) {
				got = append(got, next().Text)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestATailWithoutBacklogGivesOnlyWhatComes(t *testing.T) {
	for name, c := range map[string]struct {
		n     int
		after uint64
	}{
		"no lines asked for":      {0, 0},
		"after the newest":        {50, 3},
		"after an id not yet met": {50, 3000},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := open(t, t.TempDir())
				l.Log(app, "app", "web.1", "old\nold\nold")
				next := pull(t, l, Filter{}, c.n, c.after)
				first := make(chan platform.LogLine)
				go func() { first <- next() }()
				synctest.Wait() // until the tail has begun
				l.Log(app, "app", "web.1", "new")
				if line := <-first; line.Text != "new" {
					t.Errorf("got %+v", line)
				}
			})
		})
	}
}

func TestNoLineIsLostOrDoubledAtTheSeam(t *testing.T) {
	l := open(t, t.TempDir())
	const total = 1200
	go func() {
		for range total {
			l.Log(app, "app", "web.1", "x")
		}
	}()
	for range 20 {
		next := pull(t, l, Filter{}, Keep, 0)
		var seen uint64
		for seen < total {
			line := next()
			if line.ID != seen+1 {
				t.Fatalf("id %d after %d", line.ID, seen)
			}
			seen = line.ID
		}
	}
}

func TestATailResumesAfterARestartWhereItWas(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	l.Log(app, "app", "web.1", "one\ntwo\nthree")
	next := pull(t, l, Filter{}, 3, 0)
	next()
	last := next().ID
	l.Close()
	l = open(t, dir)
	l.Log(app, "app", "web.1", "four")
	next = pull(t, l, Filter{}, 3, last)
	if diff := cmp.Diff([]string{"three", "four"}, []string{next().Text, next().Text}); diff != "" {
		t.Error(diff)
	}
}

func TestASlowReaderHoldsUpNobodyAndIsToldWhatItMissed(t *testing.T) {
	l := open(t, t.TempDir())
	l.Log(app, "app", "web.1", "1")
	next := pull(t, l, Filter{Dyno: "web"}, 1, 0)
	first := next()
	const total = 20_000
	for i := 2; i <= total; i++ {
		l.Log(app, "app", "web.1", fmt.Sprint(i))
	}
	l.Recent(app, Filter{}, 1)

	notice := next()
	var dropped int
	var since string
	if _, err := fmt.Sscanf(notice.Text, "Error L11 (Tail buffer overflow) -> This tail session dropped %d messages since %s", &dropped, &since); err != nil {
		t.Fatalf("told %q: %v", notice.Text, err)
	}
	if want := stamp(first.Time) + "."; since != want {
		t.Errorf("since %s, want %s", since, want)
	}
	if notice.Source != "heroku" || notice.Dyno != "logplex" {
		t.Errorf("the notice is %s", Format(notice))
	}
	if dropped < total-1-2*Keep-batchSize || dropped > total-1-Keep {
		t.Errorf("%d dropped", dropped)
	}
	for i := dropped + 2; i <= total; i++ {
		if line := next(); line.Text != fmt.Sprint(i) {
			t.Fatalf("got %s, want %d", line.Text, i)
		}
	}
	if want := uint64(dropped + 1); notice.ID != want {
		t.Errorf("the notice has id %d, want %d: to resume from", notice.ID, want)
	}
}

func TestATailEndsWithItsContext(t *testing.T) {
	l := open(t, t.TempDir())
	l.Log(app, "app", "web.1", "one\ntwo")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []string
	for line := range l.Tail(ctx, app, Filter{}, 9, 0) {
		got = append(got, line.Text)
		cancel()
	}
	if diff := cmp.Diff([]string{"one"}, got); diff != "" {
		t.Error(diff)
	}
}

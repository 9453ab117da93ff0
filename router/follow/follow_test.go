package follow

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRoutersFollowTheTableAndGoOnWithoutThePlatform(t *testing.T) {
	t.Parallel()
	dir := data(t)
	early := startRouter(t, dir, nil)
	<-early.Ready() // there is no platform to wait for
	if got := leads(early.live); got != "from disk" {
		t.Errorf("before there is a platform the table leads to %q", got)
	}
	p := startPlatform(t, dir, "first")
	early.uses(t, "first")
	late := startRouter(t, dir, nil)
	<-late.Ready()
	late.uses(t, "first")
	for i := range 100 {
		p.live.Set(entry(fmt.Sprint("next ", i)))
	}
	for _, r := range []*router{early, late} {
		r.uses(t, "next 99")
	}
	p.stop()
	for _, r := range []*router{early, late} {
		if got := leads(r.live); got != "next 99" {
			t.Errorf("after the platform ended a table leads to %q", got)
		}
	}
	startPlatform(t, dir, "second life")
	for _, r := range []*router{early, late} {
		r.uses(t, "second life")
		if r.said.String() != "" {
			t.Errorf("a router said:\n%s", r.said)
		}
	}
}

func TestADrainWaitsForEveryRouterToHaveTheTableAndToDrain(t *testing.T) {
	t.Parallel()
	dir := data(t)
	p := startPlatform(t, dir, "old")
	release := make(chan struct{})
	drained := make(chan string, 4)
	var routers []*router
	for range 2 {
		var r *router
		r = startRouter(t, dir, func(ctx context.Context, addrs []string) error {
			select {
			case <-release:
			case <-ctx.Done():
				return ctx.Err()
			}
			drained <- fmt.Sprint(addrs, " with ", leads(r.live))
			return nil
		})
		routers = append(routers, r)
	}
	for _, r := range routers {
		r.uses(t, "old")
	}
	p.live.Set(entry("new"))
	ctx, cancel := within(100 * time.Millisecond)
	defer cancel()
	if err := p.Drain(ctx, []string{"old"}); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("with requests under way Drain returns %v", err)
	}
	close(release)
	ctx, cancel = within(patience)
	defer cancel()
	if err := p.Drain(ctx, []string{"old"}); err != nil {
		t.Errorf("Drain: %v", err)
	}
	if len(drained) < 2 {
		t.Errorf("%d routers drained", len(drained))
	}
	for range len(drained) {
		if got := <-drained; got != "[old] with new" {
			t.Errorf("drained %s", got)
		}
	}
}

func TestADrainThatFailsSaysWhichRouterAndWhy(t *testing.T) {
	t.Parallel()
	dir := data(t)
	p := startPlatform(t, dir, "a")
	startRouter(t, dir, func(context.Context, []string) error { return errors.New("3 requests are left") }).uses(t, "a")
	ctx, cancel := within(patience)
	defer cancel()
	if err := p.Drain(ctx, []string{"old"}); err == nil || !strings.Contains(err.Error(), "3 requests are left") || !strings.Contains(err.Error(), "http://127.0.0.1:8080") {
		t.Errorf("Drain: %v", err)
	}
}

func TestADrainWaitsForARouterThatIsNotConnectedUntilItHasEnded(t *testing.T) {
	t.Parallel()
	dir := data(t)
	p := startPlatform(t, dir, "a")
	away := register(t, dir)
	ctx, cancel := within(300 * time.Millisecond)
	defer cancel()
	if err := p.Drain(ctx, []string{"old"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Drain: %v", err)
	}
	ctx, cancel = within(patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.Drain(ctx, []string{"old"}) }()
	if err := away.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Drain: %v", err)
	}
}

func TestARouterThatHangsHoldsADrainNoLongerThanItsDeadline(t *testing.T) {
	t.Parallel()
	dir := data(t)
	p := startPlatform(t, dir, "a")
	for name, hang := range map[string]func(c raw){
		"having said nothing":    func(raw) {},
		"having said who it is":  func(c raw) { c.say(t, report{Hello: &hello{Router: Router{ID: lastID(t, dir)}}}) },
		"having taken the table": func(c raw) { c.say(t, report{Hello: &hello{Router: Router{ID: lastID(t, dir)}}}); use(t, c) },
	} {
		record := register(t, dir)
		hang(dial(t, dir))
		ctx, cancel := within(100 * time.Millisecond)
		began := time.Now()
		if err := p.Drain(ctx, []string{"old"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a router hangs, %s: Drain returns %v", name, err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("a router hangs, %s: Drain took %v", name, took)
		}
		cancel()
		record.Close()
	}
	// Nor does it hold anybody else up.
	r := startRouter(t, dir, nil)
	p.live.Set(entry("b"))
	r.uses(t, "b")
}

func lastID(t *testing.T, dir string) string {
	t.Helper()
	all, err := Routers(Dir(dir))
	if err != nil || len(all) == 0 {
		t.Fatalf("%v, %v", all, err)
	}
	return all[len(all)-1].ID
}

func use(t *testing.T, c raw) {
	t.Helper()
	for {
		if o := c.hear(t); o.News != nil {
			c.say(t, report{Using: &o.News.At.Number})
			return
		}
	}
}

func TestWhatIsNoRouterIsSentAwayAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	dir := data(t)
	p := startPlatform(t, dir, "a")
	good := startRouter(t, dir, nil)
	good.uses(t, "a")
	bad := register(t, dir)
	defer bad.Close()
	hello := fmt.Sprintf(`{"hello":{"id":%q}}`, bad.Router.ID) + "\n"
	for name, says := range map[string]string{
		"no JSON":                         "GET / HTTP/1.1\r\n\r\n",
		"binary":                          "\x16\x03\x01\x00\n",
		"a line without end":              strings.Repeat("x", maxReport+1),
		"lines before it says who it is":  `{"lines":{"number":1,"lines":[{"app":"1","text":"x"}]}}` + "\n",
		"an id that is not on record":     `{"hello":{"id":"00000000-0000-4000-8000-000000000000"}}` + "\n",
		"an id that is a path":            `{"hello":{"id":"../../etc/passwd"}}` + "\n",
		"nothing at all":                  "{}\n",
		"two hellos":                      hello + hello,
		"a table that it cannot have":     hello + `{"using":1000}` + "\n",
		"a number that is none":           hello + `{"using":"1"}` + "\n",
		"a drain that nobody asked for":   hello + `{"drained":{"id":7}}` + "\n" + "bad\n",
		"something else after its record": hello + "\x00\x00\n",
	} {
		c := dial(t, dir)
		go c.Write([]byte(says))
		for {
			if _, err := c.in.ReadByte(); err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s: it is listened to", name)
				}
				break
			}
		}
	}
	if len(p.lines) > 0 {
		t.Errorf("a line was taken: %v", <-p.lines)
	}
	if !strings.Contains(p.said.String(), "sent away") {
		t.Errorf("the platform said only:\n%s", p.said)
	}
	p.live.Set(entry("b"))
	good.uses(t, "b")
	ctx, cancel := within(patience)
	defer cancel()
	bad.Close()
	if err := p.Drain(ctx, []string{"a"}); err != nil {
		t.Errorf("Drain: %v", err)
	}
}

func TestATableThatCannotBeBelievedIsNotUsed(t *testing.T) {
	t.Parallel()
	dir := data(t)
	ln, err := Listen(Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	good := string(table("b").Of([]string{"1"}))
	r := startRouter(t, dir, nil)
	for _, changes := range []string{"not changes", strings.Replace(good, "app.test", "app test", 1), good[:len(good)/2], good + "x"} {
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if err := send(c, order{News: &news{Changes: []byte(changes), At: mark{"platform", 1}}}); err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		if rest, err := readAll(c); err != nil || strings.Contains(rest, "using") {
			t.Errorf("%q: the router says %q, %v", changes, rest, err)
		}
		c.Close()
		if got := leads(r.live); got != "from disk" {
			t.Errorf("%q: the table leads to %q", changes, got)
		}
	}
	eventually(t, "the router says so", func() bool { return strings.Contains(r.said.String(), "cannot be followed") })
	ln.Close()
	startPlatform(t, dir, "good again")
	r.uses(t, "good again")
}

func TestOnlyTheOwnerReachesTheSocket(t *testing.T) {
	t.Parallel()
	dir := data(t)
	if err := os.Mkdir(Dir(dir), 0o777); err != nil {
		t.Fatal(err)
	}
	startPlatform(t, dir, "a")
	for path, want := range map[string]os.FileMode{Dir(dir): 0o700, socket(Dir(dir)): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s is %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
}

func TestRoutersAreOnRecordForAsLongAsTheyRun(t *testing.T) {
	t.Parallel()
	dir := data(t)
	if all, err := Routers(Dir(dir)); err != nil || len(all) != 0 {
		t.Errorf("before there is anything: %v, %v", all, err)
	}
	a, b, c := register(t, dir), register(t, dir), register(t, dir)
	defer b.Close()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.lock.Unlock(); err != nil { // as the system does when it is killed
		t.Fatal(err)
	}
	all, err := Routers(Dir(dir))
	if err != nil || !slices.EqualFunc(all, []*Record{b}, func(r Router, b *Record) bool { return r.ID == b.Router.ID }) {
		t.Errorf("on record are %v, %v; want %v", all, err, b.Router)
	}
	if entries, err := os.ReadDir(Dir(dir)); err != nil || len(entries) != 1 {
		t.Errorf("the directory has %v, %v", entries, err)
	}
}

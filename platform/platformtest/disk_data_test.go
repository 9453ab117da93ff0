package platformtest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"niwa/platform/platformtest"
)

// What a data service has told its client is kept is there when the disk has
// room again, and it goes on without anybody's help.
func TestDataServicesOutliveAFullDisk(t *testing.T) {
	t.Parallel() // most of it is waiting
	d := newDisk(t, 250)
	s := newShop(t, d.dir, "--runtime", "process", "--engines", "native")
	ctx := context.Background()
	insert := func(n int) error {
		short, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if s.pg.IsClosed() { // it panicked for want of room for its log
			conn, err := pgx.Connect(short, s.pg.Config().ConnString())
			if err != nil {
				return err
			}
			s.pg = conn
		}
		// What no compression makes smaller.
		_, err := s.pg.Exec(short, "insert into rows select $1, string_agg(md5(random()::text), '') from generate_series(1, 1000)", n)
		return err
	}
	set := func(n int) error { return s.redis.Set(ctx, fmt.Sprint("key", n), strings.Repeat("x", 50_000), 0).Err() }
	// until returns how many writes were told to be kept before one was not.
	until := func(from int, write func(n int) error) (n int) {
		for n = from; n < 2000; n++ {
			if err := write(n); err != nil {
				t.Logf("write %d: %v", n, err)
				return n
			}
		}
		t.Fatal("the disk does not get full")
		return 0
	}
	for n := range 20 {
		if err := set(n); err != nil {
			t.Fatal(err)
		}
	}
	d.fill(t, 3)
	rows := until(0, insert)
	keys := until(20, set)
	if rows == 0 {
		t.Error("no rows were kept, so that little is shown")
	}
	// A table that cannot grow is one thing, a log that cannot another: the
	// server ends, and cannot come back.
	log := until(0, func(int) error {
		_, err := s.pg.Exec(ctx, "select pg_logical_emit_message(true, 'fill', repeat('x', 1000000))")
		return err
	})
	if !s.pg.IsClosed() {
		t.Errorf("after %d MB of log the server still runs, so that too little is shown", log)
	}
	if err := insert(10_000); err == nil {
		t.Error("a server whose log does not fit took a row")
	}
	if size, err := s.redis.DBSize(ctx).Result(); err != nil || int(size) < keys {
		t.Errorf("with a full disk Redis has %d keys, %v", size, err)
	}
	resp, _, err := s.Get("shop", "/")
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("the app answers %v, %v", resp, err)
	}

	d.free(t)
	waitFor(t, "Postgres to take a row", func() error { return insert(20_000) })
	waitFor(t, "Redis to take a key", func() error { return set(20_000) })
	var there int
	if err := s.pg.QueryRow(ctx, "select count(*) from rows where n < $1", rows).Scan(&there); err != nil || there != rows {
		t.Errorf("%d rows are there of the %d that were kept, %v", there, rows, err)
	}
	if size, err := s.redis.DBSize(ctx).Result(); err != nil || int(size) < keys+1 || int(size) > keys+2 {
		t.Errorf("%d keys are there of the %d that were kept, %v", size, keys+1, err)
	}
	// And so it is after all of it was killed.
	s.Kill(t)
	s.Program = platformtest.Up(t, s.Binary, d.dir, "--runtime", "process", "--engines", "native")
	s.connect(t)
	if err := s.pg.QueryRow(ctx, "select count(*) from rows where n < $1", rows).Scan(&there); err != nil || there != rows {
		t.Errorf("after a kill %d rows are there of the %d that were kept, %v", there, rows, err)
	}
	if size, err := s.redis.DBSize(ctx).Result(); err != nil || int(size) < keys+1 || int(size) > keys+2 {
		t.Errorf("after a kill %d keys are there of the %d that were kept, %v", size, keys+1, err)
	}
}

// waitFor waits until f returns nil.
func waitFor(t *testing.T, what string, f func() error) {
	t.Helper()
	platformtest.Await(t, what, func() (string, bool) {
		err := f()
		return fmt.Sprint(err), err == nil
	})
}

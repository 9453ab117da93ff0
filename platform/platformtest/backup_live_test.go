package platformtest_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"

	"niwa/addons/engine"
	"niwa/platform/platformtest"
	"niwa/platform/platformtest/need"
)

// shop is an app with a database, a cache and somebody who never stops writing
// to them, to its config vars and to its repository.
type shop struct {
	*platformtest.App
	pg    *pgx.Conn
	redis *goredis.Client

	// The last number that each of them was told is kept.
	row, key, stone, version atomic.Int64
}

func newShop(t *testing.T, data string, flags ...string) *shop {
	t.Helper()
	need.Tool(t, "git")
	if _, ok := engine.FindRedis(); !ok || len(engine.FindPostgres()) == 0 {
		need.Reason(t, "needs postgres and redis-server: "+engine.FixPostgres+"; "+engine.FixRedis)
	}
	s := &shop{App: platformtest.Up(t, platformtest.Build(t), data, flags...).Create(t, "shop")}
	static(t, "echo", s.Dir)
	s.push(t, 1)
	s.Scale(t, "web", 1)
	for _, plan := range []string{"heroku-postgresql:essential-0", "heroku-redis:mini"} {
		ok(t, s.Call(t, "POST", "/apps/shop/addons", map[string]any{"plan": plan}, nil), 201)
	}
	s.connect(t)
	s.exec(t, "create table rows (n bigint primary key, filler text)")
	return s
}

func (s *shop) push(t *testing.T, version int) {
	t.Helper()
	s.Write(t, "Procfile", fmt.Sprintf("web: ./echo --version %d\n", version))
	s.Push(t)
}

// connect opens clients with what the app's config vars say.
func (s *shop) connect(t *testing.T) {
	t.Helper()
	var config map[string]string
	platformtest.Await(t, "the add-ons' config vars", func() (string, bool) {
		ok(t, s.Call(t, "GET", "/apps/shop/config-vars", nil, &config), 200)
		return fmt.Sprint(len(config)), config["DATABASE_URL"] != "" && config["REDIS_URL"] != ""
	})
	conn, err := pgx.Connect(t.Context(), config["DATABASE_URL"]+"?sslmode=require")
	if err != nil {
		t.Fatal(err)
	}
	options, err := goredis.ParseURL(config["REDIS_URL"])
	if err != nil {
		t.Fatal(err)
	}
	options.TLSConfig = &tls.Config{InsecureSkipVerify: true} // as the heroku CLI does
	s.pg, s.redis = conn, goredis.NewClient(options)
	t.Cleanup(func() {
		_ = s.pg.Close(context.Background())
		_ = s.redis.Close()
	})
}

func (s *shop) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := s.pg.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// write writes until stop is closed. wrote is told of each thing.
func (s *shop) write(t *testing.T, stop <-chan struct{}) (wait func()) {
	var all sync.WaitGroup
	forever := func(write func(n int64) error, last *atomic.Int64) {
		all.Go(func() {
			for n := last.Load() + 1; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := write(n); err != nil {
					t.Errorf("write %d: %v", n, err)
					return
				}
				last.Store(n)
			}
		})
	}
	ctx := context.Background()
	forever(func(n int64) error {
		_, err := s.pg.Exec(ctx, "insert into rows values ($1, repeat('x', 1000))", n)
		return err
	}, &s.row)
	forever(func(n int64) error {
		// Always the same key: the cache is small, and the machine may be slow.
		return s.redis.Set(ctx, "last", fmt.Sprintf("%d %s", n, strings.Repeat("x", 1000)), 0).Err()
	}, &s.key)
	forever(func(n int64) error {
		if status := s.Call(t, "PATCH", "/apps/shop/config-vars", map[string]any{"STONE": fmt.Sprint(n)}, nil); status != 200 {
			return fmt.Errorf("status %d", status)
		}
		return nil
	}, &s.stone)
	s.version.Store(1)
	forever(func(n int64) error { s.push(t, int(n)); return nil }, &s.version)
	return all.Wait
}

// counts are what is there, to be held against what was told.
func (s *shop) counts(t *testing.T) (row, key, stone, version int64) {
	t.Helper()
	if err := s.pg.QueryRow(t.Context(), "select count(*) from rows").Scan(&row); err != nil {
		t.Fatal(err)
	}
	last, err := s.redis.Get(t.Context(), "last").Result()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Sscan(last, &key)
	var config map[string]string
	ok(t, s.Call(t, "GET", "/apps/shop/config-vars", nil, &config), 200)
	fmt.Sscan(config["STONE"], &stone)
	platformtest.Await(t, "the app", func() (string, bool) {
		resp, _, err := s.Get("shop", "/")
		if err != nil {
			return err.Error(), false
		}
		fmt.Sscan(resp.Header.Get("Version"), &version)
		return resp.Status, resp.StatusCode == http.StatusOK
	})
	return row, key, stone, version
}

func TestABackupTakenWhileAllIsWrittenToIsTheWholePlatformElsewhere(t *testing.T) {
	first := newShop(t, platformtest.Dir(t), "--runtime", "process", "--engines", "native")
	file := filepath.Join(t.TempDir(), "backup")
	stop := make(chan struct{})
	wait := first.write(t, stop)
	platformtest.Await(t, "all of it to be written to", func() (string, bool) {
		row, key, stone, version := first.row.Load(), first.key.Load(), first.stone.Load(), first.version.Load()
		return fmt.Sprint(row, key, stone, version), row > 100 && key > 100 && stone > 3 && version > 1 || t.Failed()
	})
	row, key, stone, version := first.row.Load(), first.key.Load(), first.stone.Load(), first.version.Load()
	out := niwa(t, first.Binary, first.Data, 0, "backup", file)
	if !strings.Contains(out, "1 apps and 2 add-ons") || !strings.Contains(out, "every secret") {
		t.Errorf("it says %s", out)
	}
	if first.row.Load() == row || first.key.Load() == key {
		t.Error("nothing was written during the backup, so that nothing is shown")
	}
	close(stop)
	wait()
	lines := first.Log(t, "")

	// While the first runs, so that what is restored has to listen elsewhere.
	elsewhere := filepath.Join(platformtest.Dir(t), "new")
	cutOff(t, first.Binary, elsewhere, file, syscall.SIGTERM)
	if left, _ := filepath.Glob(elsewhere + "*"); len(left) > 0 || strings.Contains(processes(t), elsewhere) {
		t.Errorf("an interrupted restore leaves %v, and\n%s", left, processes(t))
	}
	cutOff(t, first.Binary, elsewhere, file, syscall.SIGKILL)
	niwa(t, first.Binary, elsewhere, 0, "restore", "--engines", "native", file)
	if left, _ := filepath.Glob(elsewhere + ".*"); len(left) > 0 {
		t.Errorf("beside the restored platform there is %v", left)
	}
	first.Stop(t)

	second := &shop{App: platformtest.Up(t, first.Binary, elsewhere, "--runtime", "process", "--engines", "native").App("shop")}
	second.Dir = first.Dir
	second.connect(t)
	gotRow, gotKey, gotStone, gotVersion := second.counts(t)
	if gotRow < row || gotKey < key || gotStone < stone || gotVersion < version {
		t.Errorf("acknowledged before the backup were %d rows, key %d, config var %d and version %d; restored are %d, %d, %d and %d",
			row, key, stone, version, gotRow, gotKey, gotStone, gotVersion)
	}
	if after := second.Log(t, ""); !strings.Contains(after, strings.SplitN(lines, "\n", 2)[0]) {
		t.Errorf("the first line of the log is gone:\n%.300s", after)
	}
	second.row.Store(gotRow)
	second.exec(t, "insert into rows values (-1, 'after')")

	// What was pushed is there to be pushed to, and gone back to.
	platformtest.Git(t, second.Dir, second.Environment(t), "fetch", "-q", second.Repository(), "main")
	second.push(t, 1000)
	ok(t, second.Call(t, "POST", "/apps/shop/releases", map[string]any{"release": "v2"}, nil), 201)
	platformtest.Await(t, "version 1 again", func() (string, bool) {
		resp, _, err := second.Get("shop", "/")
		if err != nil {
			return err.Error(), false
		}
		return resp.Header.Get("Version"), resp.Header.Get("Version") == "1"
	})
}

// cutOff ends a restore in the midst of it. The data directory is as it was.
func cutOff(t *testing.T, binary, data, file string, with syscall.Signal) {
	t.Helper()
	cmd := exec.Command(binary, "restore", "--data", data, "--engines", "native", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	platformtest.Await(t, "a server to be started", func() (string, bool) {
		_, err := os.Stat(filepath.Join(data+".restoring", "engines", "postgres", "server.log"))
		return fmt.Sprint(err), err == nil
	})
	if err := cmd.Process.Signal(with); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was told to end
	if there, err := os.ReadDir(data); err == nil && len(there) > 1 {
		t.Errorf("in the data directory there is %v", there)
	}
}

func processes(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("ps", "-eo", "pid,args").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
)

// Cache keeps users in Redis before Postgres, for speed alone: no read that
// begins after a change was acknowledged shows what was before it, whatever
// becomes of Redis. The README of the folder above tells why.
//
//   - An entry says in which epoch and in which life of the server it was made.
//     Only those of this epoch and this life are believed, so that a server
//     that comes back with what it once saved has nothing.
//   - A reader that fills the cache takes a lease first, and then holds a lock
//     on the row. A writer, which has the row for itself, deletes entry and
//     lease before it commits: what was read before can no longer be put.
//   - Where Redis does not say that it has deleted, the writer's transaction
//     begins a new epoch, and the change is acknowledged only when nobody
//     trusts the old one any more.
//
// Reads use a credential that may be unable to write.
type Cache struct {
	db          *pgxpool.Pool
	read, write *redis.Client // nil without REDIS_URL
	known       atomic.Pointer[epoch]
}

// What X-Cache says.
const (
	hit    = "hit"    // from Redis
	miss   = "miss"   // from Postgres: Redis had nothing to believe
	bypass = "bypass" // from Postgres: Redis did not answer
)

const (
	cacheTimeout = 100 * time.Millisecond
	entryTTL     = time.Minute
	leaseTTL     = 2 * time.Second
	epochTrust   = 500 * time.Millisecond
)

type epoch struct {
	id    string
	asked time.Time // when Postgres was asked, not when it answered
}

// entry is what Redis keeps of a user, as JSON.
type entry struct {
	Epoch string `json:"epoch"`
	Life  string `json:"life"` // run id of the server that was asked for the lease
	User  User   `json:"user"`
}

// OpenCache returns the cache at a URL, read through readURL if that is set.
// Without a URL there is none, and every look is a bypass.
func OpenCache(db *pgxpool.Pool, url, readURL string) (*Cache, error) {
	c := &Cache{db: db}
	if url == "" {
		return c, nil
	}
	if readURL == "" {
		readURL = url
	}
	var err error
	if c.write, err = openRedis(url); err != nil {
		return nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	if c.read, err = openRedis(readURL); err != nil {
		return nil, fmt.Errorf("REDIS_READER_URL: %w", err)
	}
	return c, nil
}

func openRedis(url string) (*redis.Client, error) {
	opts, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("it is not a redis:// or rediss:// URL") // err would show the password
	}
	if opts.TLSConfig != nil {
		// Heroku's servers have certificates that they signed themselves;
		// its manual says not to verify them, so TLS hides the traffic and
		// the password tells friend from foe.
		// https://devcenter.heroku.com/articles/connecting-heroku-redis
		opts.TLSConfig = &tls.Config{InsecureSkipVerify: true}
	}
	opts.DialTimeout, opts.ReadTimeout, opts.WriteTimeout = cacheTimeout, cacheTimeout, cacheTimeout
	opts.ContextTimeoutEnabled = true
	opts.MaxRetries, opts.DialerRetries = -1, 1 // Postgres answers sooner
	// A mini server takes 20 connections, and while a release is rolled out
	// two dynos share them, each with a reader and a writer, and each of
	// those with a pool of its own for pipelines.
	opts.PoolSize, opts.MaxActiveConns, opts.PipelinePoolSize = 2, 2, 2
	opts.Protocol = 2
	opts.DisableIdentity = true
	return redis.NewClient(opts), nil
}

// Look is what a look into the cache found.
type Look struct {
	How  string
	User User // of a hit

	// Of a miss: what an entry is to say, and the token for the one reader
	// that is to put it in.
	epoch, life, lease string
}

// Look looks for a user. It fails only without Postgres, which has the epoch.
func (c *Cache) Look(ctx context.Context, id int64) (Look, error) {
	if c.read == nil {
		return Look{How: bypass}, nil
	}
	current, err := c.current(ctx)
	if err != nil {
		return Look{}, err
	}
	var found *redis.StringCmd
	life, err := ask(ctx, c.read, func(p redis.Pipeliner) { found = p.Get(ctx, entryKey(id)) })
	if err != nil {
		slog.WarnContext(ctx, "the cache does not answer", "error", err)
		return Look{How: bypass}, nil
	}
	var e entry
	if json.Unmarshal([]byte(found.Val()), &e) == nil && e.Epoch == current && e.Life == life && e.User.ID == id {
		return Look{How: hit, User: e.User}, nil
	}
	look := Look{How: miss, epoch: current}
	look.lease, look.life = c.lease(ctx, id)
	return look, nil
}

// lease returns a token for the one reader that may fill, and the life of the
// server that gave it; or none.
func (c *Cache) lease(ctx context.Context, id int64) (token, life string) {
	token = rand.Text()
	var leased *redis.BoolCmd
	life, err := ask(ctx, c.write, func(p redis.Pipeliner) { leased = p.SetNX(ctx, leaseKey(id), token, leaseTTL) })
	if err != nil || !leased.Val() {
		return "", ""
	}
	return token, life
}

// current returns the epoch, or one that was it less than epochTrust ago.
func (c *Cache) current(ctx context.Context) (string, error) {
	if known := c.known.Load(); known != nil && time.Since(known.asked) < epochTrust {
		return known.id, nil
	}
	now := epoch{asked: time.Now()}
	if err := c.db.QueryRow(ctx, `SELECT epoch::text FROM cache_epoch`).Scan(&now.id); err != nil {
		return "", err
	}
	c.known.Store(&now)
	return now.id, nil
}

// ask sends a command and the question which life of the server answers it, on
// one connection. A server that refuses has answered.
func ask(ctx context.Context, client *redis.Client, command func(redis.Pipeliner)) (life string, err error) {
	ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	pipe := client.Pipeline()
	info := pipe.Info(ctx, "server")
	command(pipe)
	var refused redis.Error
	if _, err := pipe.Exec(ctx); err != nil && !errors.As(err, &refused) {
		return "", err
	}
	_, rest, _ := strings.Cut(info.Val(), "run_id:")
	life, _, _ = strings.Cut(rest, "\r\n")
	return life, nil
}

// put writes an entry if the lease for it is still there.
var put = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[1])
return 1`)

// Fill puts in what was read from Postgres after a look that got the lease,
// while the row is locked.
func (c *Cache) Fill(ctx context.Context, look Look, user User) {
	ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	text, err := json.Marshal(entry{look.epoch, look.life, user})
	if err == nil {
		err = put.Run(ctx, c.write, []string{leaseKey(user.ID), entryKey(user.ID)}, look.lease, text, entryTTL.Milliseconds()).Err()
	}
	if err != nil {
		slog.WarnContext(ctx, "the cache was not filled", "user", user.ID, "error", err)
	}
}

// Forget deletes a user from the cache, before tx commits its change. If
// Redis cannot be told, the commit begins a new epoch; then the change may
// be acknowledged only epochTrust after it.
func (c *Cache) Forget(ctx context.Context, tx pgx.Tx, id int64) (untold bool, err error) {
	if c.write == nil {
		return false, nil
	}
	told, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	failed := c.write.Del(told, entryKey(id), leaseKey(id)).Err()
	if failed == nil {
		return false, nil
	}
	slog.WarnContext(ctx, "the cache cannot be told to forget; a new epoch begins", "user", id, "error", failed)
	_, err = tx.Exec(ctx, `UPDATE cache_epoch SET epoch = gen_random_uuid()`)
	return true, err
}

func entryKey(id int64) string { return "user:" + strconv.FormatInt(id, 10) }
func leaseKey(id int64) string { return "lease:" + strconv.FormatInt(id, 10) }

// State is off, ok or down.
func (c *Cache) State(ctx context.Context) string {
	if c.read == nil {
		return "off"
	}
	ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	if err := errors.Join(c.read.Ping(ctx).Err(), c.write.Ping(ctx).Err()); err != nil {
		return "down"
	}
	return "ok"
}

// Close closes the connections.
func (c *Cache) Close() error {
	if c.read == nil {
		return nil
	}
	return errors.Join(c.read.Close(), c.write.Close())
}

package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// Cache keeps users in Redis before Postgres. It is for speed alone: whatever
// it does or holds, an answer is the one Postgres would give.
//
//   - It may be away or slow. Every call is given cacheTimeout, and then
//     Postgres answers (X-Cache: bypass).
//   - It may hold anything. Entries are sealed: an HMAC over id, version and
//     content, with a key that is kept in Postgres. What does not verify is a
//     miss.
//   - It may hold what was true. Three races could leave the old there:
//     A slow reader reads version 1, a writer commits 2 and deletes the entry,
//     the reader puts 1 back. So the reader holds a lock on the row until it
//     has put; and lest a put is late all the same, a writer does not delete,
//     it leaves a mark "2 " that lasts longer than any reader takes, and put
//     does not replace a higher version with a lower.
//     A writer cannot reach Redis, which later comes back with the entry. So
//     in the transaction of its change it replaces the key, and every entry
//     that was sealed before is worthless.
//     Redis restarts and comes back with what it once saved to disk. So the
//     key is replaced when a connection meets a server that is not the last.
//
// Other dynos learn of a new key within keyRefresh. That is the one window in
// which they can answer with the old, and only when Redis failed in a write.
//
// Reads use a credential that may be unable to write; the write side, which
// puts and forgets, has its own.
type Cache struct {
	read, write *redis.Client
	keys        *keys
}

// What X-Cache says.
const (
	hit    = "hit"    // from the cache
	miss   = "miss"   // from Postgres; the cache had nothing to trust
	bypass = "bypass" // from Postgres; the cache did not answer
)

const (
	cacheTimeout = 100 * time.Millisecond
	entryTTL     = time.Minute
	fillWindow   = 5 * time.Second // a fill after that could outlive a mark
)

// OpenCache returns the cache at a URL, read through readURL if that is set.
// Without a URL there is none, and every look is a bypass.
func OpenCache(url, readURL string, keys *keys) (*Cache, error) {
	c := &Cache{keys: keys}
	if url == "" {
		return c, nil
	}
	if readURL == "" {
		readURL = url
	}
	var err error
	if c.write, err = c.client(url); err != nil {
		return nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	if c.read, err = c.client(readURL); err != nil {
		return nil, fmt.Errorf("REDIS_READER_URL: %w", err)
	}
	return c, nil
}

func (c *Cache) client(url string) (*redis.Client, error) {
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
	opts.Protocol = 2
	opts.DisableIdentity = true
	opts.OnConnect = c.meet
	return redis.NewClient(opts), nil
}

// meet sees to it that a server which is not the one the entries were given
// to starts with none that count.
func (c *Cache) meet(ctx context.Context, conn *redis.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	info, err := conn.Info(ctx, "server").Result()
	var refused redis.Error
	if errors.As(err, &refused) {
		return nil // a credential, or a server, that does not tell
	}
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(info, "run_id:")
	id, _, _ := strings.Cut(rest, "\r\n")
	if id == "" {
		return nil
	}
	return c.keys.ReplaceFor(ctx, id)
}

// Look is what a look into the cache found.
type Look struct {
	How  string
	User User   // when How is hit
	key  []byte // seals what is read from Postgres after this
}

// Look looks for a user.
func (c *Cache) Look(ctx context.Context, id int64) Look {
	if c.read == nil {
		return Look{How: bypass}
	}
	ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	entry, err := c.read.Get(ctx, entryName(id)).Bytes()
	if err != nil && !errors.Is(err, redis.Nil) && !redis.HasErrorPrefix(err, "WRONGTYPE") {
		slog.WarnContext(ctx, "the cache does not answer", "error", err)
		return Look{How: bypass}
	}
	key, ok := c.keys.Current() // now, since a new connection may have replaced it
	if !ok {
		return Look{How: bypass}
	}
	user, err := open(key, id, entry)
	if err != nil {
		return Look{How: miss, key: key}
	}
	return Look{How: hit, User: user}
}

// Fill puts a user in that was read from Postgres after a look that missed.
func (c *Cache) Fill(ctx context.Context, key []byte, user User) {
	entry, err := seal(key, user)
	if err == nil {
		err = c.put(ctx, user.ID, user.Version, entry)
	}
	if err != nil {
		slog.WarnContext(ctx, "the cache was not filled", "user", user.ID, "error", err)
	}
}

// Forget leaves a mark in place of a user before tx commits, so that nothing
// old is left when the new is true, even if this process dies in between.
// Where Redis cannot be told, the commit makes all of it worthless. What it
// returns is to be called after the commit: it marks again, in case the first
// mark has been lost, and ends the use of a replaced key.
func (c *Cache) Forget(ctx context.Context, tx pgx.Tx, id, version int64) (committed func(), err error) {
	if c.write == nil {
		return func() {}, nil
	}
	told := c.mark(ctx, id, version)
	if told != nil {
		slog.WarnContext(ctx, "the cache cannot be told to forget; replacing its key", "user", id, "error", told)
		if err := c.keys.ReplaceIn(ctx, tx); err != nil {
			return nil, err
		}
	}
	return func() {
		if told != nil {
			c.keys.Distrust()
		}
		if err := c.mark(ctx, id, version); err != nil && told == nil {
			slog.WarnContext(ctx, "the cache was not told of a commit", "user", id, "error", err)
		}
	}, nil
}

// mark says that versions before this one are not to come back.
func (c *Cache) mark(ctx context.Context, id, version int64) error {
	return c.put(ctx, id, version, fmt.Appendf(nil, "%d ", version))
}

// put writes an entry unless a newer one, or the mark of one, is there. A
// value of another type, or with no version, is none.
var put = redis.NewScript(`
local there = redis.pcall('GET', KEYS[1])
if type(there) == 'string' then
	local version = tonumber(string.match(there, '^%d+') or '0')
	if version > tonumber(ARGV[1]) then
		if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
		return 0
	end
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`)

func (c *Cache) put(ctx context.Context, id, version int64, entry []byte) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cacheTimeout)
	defer cancel()
	return put.Run(ctx, c.write, []string{entryName(id)}, version, entry, entryTTL.Milliseconds()).Err()
}

func entryName(id int64) string { return "user:" + strconv.FormatInt(id, 10) }

// seal writes an entry: "VERSION MAC JSON".
func seal(key []byte, user User) ([]byte, error) {
	body, err := json.Marshal(user)
	return fmt.Appendf(nil, "%d %s %s", user.Version, mac(key, user.ID, body), body), err
}

var errSeal = errors.New("the entry is none, or not sealed with the key in use")

func open(key []byte, id int64, entry []byte) (user User, err error) {
	parts := bytes.SplitN(entry, []byte(" "), 3)
	if len(parts) != 3 || !hmac.Equal(parts[1], mac(key, id, parts[2])) {
		return User{}, errSeal
	}
	err = json.Unmarshal(parts[2], &user)
	return user, err
}

func mac(key []byte, id int64, body []byte) []byte {
	h := hmac.New(sha256.New, key)
	fmt.Fprintf(h, "%d ", id)
	h.Write(body)
	return base64.RawURLEncoding.AppendEncode(nil, h.Sum(nil))
}

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

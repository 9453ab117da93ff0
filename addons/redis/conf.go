package redis

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"niwa/addons"
)

// adminUser is niwa's own login.
const adminUser = "niwa"

// directive is a line of redis.conf that CONFIG SET can change too.
type directive struct{ name, value string }

func directives(r record) []directive {
	clients := 10000
	if r.Plan.Connections > 0 {
		clients = r.Plan.Connections + 1 // niwa holds one
	}
	return []directive{
		{"maxclients", strconv.Itoa(clients)},
		{"maxmemory", strconv.FormatInt(r.Plan.MemoryBytes, 10)},
		{"maxmemory-policy", r.setting("maxmemory_policy")},
		{"timeout", r.setting("timeout")},
		{"notify-keyspace-events", r.setting("notify_keyspace_events")},
	}
}

// configFile is the whole redis.conf.
func configFile(hosts []string, r record) string {
	lines := append([]string{"# Written by niwa."}, fixed(hosts, r.Port)...)
	for _, d := range directives(r) {
		lines = append(lines, fmt.Sprintf("%s %q", d.name, d.value))
	}
	return strings.Join(lines, "\n") + "\n"
}

// fixed are the lines of redis.conf that only a new start can change. Every
// write is in the append-only file before it is answered, so that a killed
// server loses nothing; what the machine's own crash can take is the last
// second's.
func fixed(hosts []string, port int) []string {
	return []string{
		"bind " + strings.Join(hosts, " "),
		"port 0",
		fmt.Sprintf("tls-port %d", port),
		"tls-cert-file server.pem",
		"tls-key-file server-key.pem",
		"tls-auth-clients no",
		"aclfile users.acl",
		"daemonize no",
		// A title would be written over the environment, by whose mark a
		// server is found that niwa was killed over while starting it.
		"set-proc-title no",
		"databases 16",
		"save \"\"",
		"appendonly yes",
		"appendfsync everysec",
		"loglevel notice",
	}
}

// user is a line of the ACL file.
type user struct{ name, rules string }

// set makes the user on a server that runs.
func (u user) set(ctx context.Context, c *redis.Client) error {
	args := []any{"acl", "setuser", u.name}
	for rule := range strings.FieldsSeq(u.rules) {
		args = append(args, rule)
	}
	return c.Do(ctx, args...).Err()
}

// kick ends the connections of a user.
func kick(ctx context.Context, c *redis.Client, name string) error {
	err := c.Do(ctx, "client", "kill", "user", name).Err()
	if err != nil && strings.Contains(err.Error(), "No such user") {
		return nil // its connections went with it
	}
	return err
}

// mayRead are the rules of the read-only credential, but for the names of keys
// and channels.
const mayRead = "+@read +@connection +@transaction +subscribe +psubscribe +unsubscribe +punsubscribe" +
	" -@dangerous -@admin +info +command +acl|whoami"

// users are the logins of a server, with their rights. Passwords are given as
// hashes, so that none is in a file of the server's or in its memory.
//
// The default user may do what concerns its data; what would lift the plan's
// limits, write elsewhere on the disk or reach other machines is niwa's.
func users(r record) []user {
	all := []user{
		{adminUser, login(r.Admin) + " ~* &* +@all"},
		{addons.Default, login(r.Credentials[addons.Default]) +
			" ~* &* +@all -@admin -migrate +client|list +slowlog +latency +lastsave +monitor +acl|whoami"},
	}
	if secret := r.Credentials[readOnly]; secret != "" {
		all = append(all, user{readOnly, login(secret) + " ~* &* " + mayRead})
	}
	return all
}

func login(password string) string {
	sum := sha256.Sum256([]byte(password))
	return "reset on #" + hex.EncodeToString(sum[:])
}

package escape

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// databases are attempts on another app's data, with one's own credentials and
// without any.
func databases() []try {
	return []try{
		{"open another app's database with one's own credentials", ownCredentials},
		{"open it with its user and a guessed password", guessedPassword},
		{"open Postgres as its superuser", func(t Targets) (string, error) { return each(t.superusers(), login) }},
		{"see what other apps ask their databases", queries},
		{"see the names of other apps' databases", names},
		{"read files and run programs through Postgres", throughPostgres},
		{"end other apps' sessions in Postgres", terminate},
		{"use another app's Redis without a password", func(t Targets) (string, error) { return redis(t.Redis, "", "") }},
		{"use another app's Redis with one's own password", func(t Targets) (string, error) {
			own, err := url.Parse(os.Getenv("REDIS_URL"))
			if err != nil || own.User == nil {
				return "", fmt.Errorf("%w: there is no REDIS_URL", errUntried)
			}
			password, _ := own.User.Password()
			return redis(t.Redis, own.User.Username(), password)
		}},
		{"write files and load code through Redis", throughRedis},
	}
}

// within is a context for one attempt of several.
func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 2*time.Second)
}

func login(to string) error {
	ctx, cancel := within()
	defer cancel()
	c, err := pgx.Connect(ctx, to)
	if err != nil {
		return reason(err)
	}
	return c.Close(ctx)
}

// reason is what the server said, without its address and its users.
func reason(err error) error {
	text := err.Error()
	if i := strings.LastIndex(text, "FATAL: "); i >= 0 {
		return errors.New(strings.TrimSpace(text[i+len("FATAL: "):]))
	}
	if i := strings.LastIndex(text, ": "); i >= 0 {
		return errors.New(text[i+2:])
	}
	return err
}

func ownCredentials(t Targets) (string, error) {
	own, err := url.Parse(os.Getenv("DATABASE_URL"))
	if err != nil || own.Path == "" {
		return "", fmt.Errorf("%w: there is no DATABASE_URL", errUntried)
	}
	theirs, err := url.Parse(t.Postgres)
	if err != nil {
		return "", err
	}
	own.Path = theirs.Path
	return strings.Trim(theirs.Path, "/"), login(own.String())
}

func guessedPassword(t Targets) (string, error) {
	theirs, err := url.Parse(t.Postgres)
	if err != nil {
		return "", err
	}
	user := theirs.User.Username()
	return each([]string{"", user, "postgres", "password"}, func(password string) error {
		theirs.User = url.UserPassword(user, password)
		return login(theirs.String())
	})
}

// superusers are URLs of the server's likely superusers, over TCP and by the
// sockets that servers of this machine may have.
func (t Targets) superusers() []string {
	theirs, err := url.Parse(t.Postgres)
	if err != nil {
		return nil
	}
	port := theirs.Port()
	hosts := []string{theirs.Hostname(), "/run/postgresql", "/var/run/postgresql", "/tmp", t.Data + "/engines/postgres"}
	var all []string
	for _, user := range []string{"postgres", "niwa", "root", "nobody", os.Getenv("USER")} {
		for _, host := range hosts {
			if user != "" {
				all = append(all, fmt.Sprintf("host=%s port=%s user=%s dbname=postgres sslmode=prefer", host, port, user))
			}
		}
	}
	return all
}

// asSelf asks one's own database.
func asSelf(query string, into func(found []string) (string, error)) (string, error) {
	ctx, cancel := within()
	defer cancel()
	c, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return "", fmt.Errorf("%w: one's own database: %w", errUntried, err)
	}
	defer c.Close(context.Background())
	rows, err := c.Query(ctx, query)
	if err != nil {
		return "", reason(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return "", reason(err)
	}
	return into(found)
}

// some succeeds when there is anything.
func some(found []string) (string, error) {
	if len(found) == 0 {
		return "", errors.New("nothing is shown")
	}
	return fmt.Sprintf("%d: %s", len(found), found[0]), nil
}

func queries(Targets) (string, error) {
	return asSelf(`select query from pg_stat_activity
		where datname <> current_database() and query <> '' and query <> '<insufficient privilege>'`, some)
}

func names(t Targets) (string, error) {
	theirs, err := url.Parse(t.Postgres)
	if err != nil {
		return "", err
	}
	return asSelf("select datname::text from pg_database", func(found []string) (string, error) {
		for _, name := range found {
			if name == strings.Trim(theirs.Path, "/") {
				return name, nil
			}
		}
		return "", errors.New("nothing is shown")
	})
}

func throughPostgres(Targets) (string, error) {
	return each([]string{
		"select pg_read_file('/etc/passwd')", "copy (select 1) to program 'id'", "copy (select 1) to '/tmp/escape'",
		"select lo_import('/etc/passwd')::text", "create extension file_fdw", "create function f() returns int as '/lib/x86_64-linux-gnu/libc.so.6', 'system' language c",
		"alter system set archive_command = 'id'", "create role escape superuser",
	}, func(query string) error {
		_, err := asSelf(query, func([]string) (string, error) { return "", nil })
		return err
	})
}

func terminate(Targets) (string, error) {
	return asSelf(`select pid::text from pg_stat_activity where usename <> current_user and pg_terminate_backend(pid)`, some)
}

// redis logs in, and asks for all keys.
func redis(to, user, password string) (string, error) {
	c, err := redisDial(to)
	if err != nil {
		return "", err
	}
	defer c.Close()
	in := bufio.NewReader(c)
	if password != "" {
		if answer, err := redisAsk(c, in, "AUTH "+strings.TrimSpace(user+" "+password)); err != nil {
			return "", err
		} else if answer[0] == '-' {
			return "", errors.New(strings.TrimPrefix(answer, "-"))
		}
	}
	answer, err := redisAsk(c, in, "DBSIZE")
	if err != nil {
		return "", err
	}
	if answer[0] == '-' {
		return "", errors.New(strings.TrimPrefix(answer, "-"))
	}
	return "keys " + answer, nil
}

func redisDial(to string) (net.Conn, error) {
	at, err := url.Parse(to)
	if err != nil {
		return nil, err
	}
	c, err := net.DialTimeout("tcp", at.Host, reach)
	if err != nil {
		return nil, unwrap(err)
	}
	c.SetDeadline(time.Now().Add(reach))
	if at.Scheme == "rediss" {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	return c, nil
}

func redisAsk(c net.Conn, in *bufio.Reader, command string) (string, error) {
	if _, err := fmt.Fprintf(c, "%s\r\n", command); err != nil {
		return "", unwrap(err)
	}
	answer, err := in.ReadString('\n')
	return strings.TrimSpace(answer), err
}

func throughRedis(Targets) (string, error) {
	own, err := url.Parse(os.Getenv("REDIS_URL"))
	if err != nil || own.User == nil {
		return "", fmt.Errorf("%w: there is no REDIS_URL", errUntried)
	}
	c, err := redisDial(own.String())
	if err != nil {
		return "", fmt.Errorf("%w: one's own Redis: %w", errUntried, err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	password, _ := own.User.Password()
	if answer, err := redisAsk(c, in, "AUTH "+strings.TrimSpace(own.User.Username()+" "+password)); err != nil || answer != "+OK" {
		return "", fmt.Errorf("%w: one's own password is not taken: %s %v", errUntried, answer, err)
	}
	return each([]string{
		"CONFIG SET dir /tmp", "MODULE LOAD /tmp/x.so", "REPLICAOF 127.0.0.1 1", "DEBUG SLEEP 0", "ACL SETUSER x on", "SAVE", "SHUTDOWN NOSAVE",
		"MIGRATE 127.0.0.1 1 k 0 1",
	}, func(command string) error {
		answer, err := redisAsk(c, in, command)
		if err == nil && strings.HasPrefix(answer, "-") {
			err = errors.New(strings.TrimPrefix(answer, "-"))
		}
		return err
	})
}

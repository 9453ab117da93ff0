package chaos

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// owners are the ids of all that may own something on the machine, by what
// they are the ids of.
type owners map[string]map[string]bool

func (o *observation) owners() owners {
	all := owners{}
	add := func(kind, id string) {
		if all[kind] == nil {
			all[kind] = map[string]bool{}
		}
		all[kind][id] = true
	}
	for _, a := range o.apps {
		add("app", a.id)
		for _, d := range a.dynos {
			add("dyno", d.ID)
		}
		for _, b := range a.builds {
			add("output", b)
		}
		for _, r := range a.releases {
			add("output", r.ID)
			if r.Slug != nil {
				add("slug", r.Slug.ID)
			}
		}
	}
	for _, a := range o.addons {
		add(a.service, a.id)
		add("database", a.database)
		for _, role := range a.roles {
			add("role", role)
		}
	}
	return all
}

// machine is where a platform runs.
type machine struct {
	data   string
	tmp    string  // its directory for temporary files
	keeper int     // whose descendants are the platform's processes
	engine *engine // nil where there is none
}

// family lists the platform's processes. Those without a mark have that of
// their parents. An engine that does not answer cannot say what they are.
func (m *machine) family(ctx context.Context) ([]process, error) {
	all := descendants(m.keeper)
	if m.engine != nil {
		if err := m.engine.mark(ctx, all); err != nil {
			return nil, err
		}
	}
	marks := map[int]string{}
	for i, p := range all {
		all[i].mark = cmp.Or(p.mark, marks[p.ppid])
		marks[p.pid] = all[i].mark
	}
	return all, nil
}

// orphans describes what is on the machine and has no owner. niwa is the
// process that is to be there.
func (m *machine) orphans(ctx context.Context, niwa int, own owners) ([]string, error) {
	var stray []string
	var errs []error
	add := func(found []string, err error) {
		stray, errs = append(stray, found...), append(errs, err)
	}
	add(m.strayProcesses(ctx, niwa, own))
	add(m.strayFiles(own))
	add(m.strayDatabases(ctx, own))
	add(filepath.Glob(filepath.Join(m.tmp, "*")))
	add(filepath.Glob(filepath.Join(m.tmp, ".*")))
	if m.engine != nil {
		add(m.engine.orphans(ctx, own))
	}
	return stray, errors.Join(errs...)
}

func (m *machine) strayProcesses(ctx context.Context, niwa int, own owners) (stray []string, err error) {
	all, err := m.family(ctx)
	for _, p := range all {
		if p.pid != niwa && !own.mark(p.mark) {
			stray = append(stray, p.String())
		}
	}
	return stray, err
}

// mark says whether a mark is that of something that is to run. The server of
// all databases stays when the last of them goes.
func (own owners) mark(mark string) bool {
	if id, ok := strings.CutPrefix(mark, "dyno."); ok {
		return own["dyno"][id]
	}
	if id, ok := strings.CutPrefix(mark, "redis-"); ok {
		return own["heroku-redis"][id]
	}
	return mark == "postgres" || mark == "engine" || mark == emptyShim || strings.HasPrefix(mark, "shim of ")
}

// place is a pattern of paths below the data directory. What its first group
// holds must be the id of an owner.
type place struct {
	path  *regexp.Regexp
	owner string // kind of the owner; empty for the platform itself
	whole bool   // all below belongs to the same
}

func places() []place {
	const id = `([0-9a-f-]{36})`
	at := func(path, owner string, whole bool) place {
		return place{regexp.MustCompile("^(?:" + path + ")$"), owner, whole}
	}
	return []place{
		at(`niwa\.(?:db|db-wal|db-shm|lock|json)|key|token|id|routes\.log|certificates`, "", false),
		at(`ca`, "", true),
		at(`repos|slugs|output|logs|cache|builds|dynos|procs|engines|tmp|routers`, "", false),
		at(`routers/socket`, "", false),
		at(`repos/hooks(?:/pre-receive)?`, "", false),
		at(`repos/`+id+`\.git`, "app", true),
		at(`slugs/`+id+`\.tgz`, "slug", false),
		at(`output/`+id, "output", false),
		at(`logs/`+id, "app", true),
		at(`cache/`+id, "app", true),
		at(`dynos/`+id, "dyno", true),
		at(`procs/dyno\.`+id+`\.json`, "dyno", false),
		at(`procs/redis-`+id+`\.json`, "heroku-redis", false),
		at(`procs/postgres\.json`, "", false),
		at(`engines/postgres|engines/redis`, "", false),
		at(`engines/postgres/(?:cluster\.json|server\.log(?:\.old|\.config)?)`, "", false),
		at(`engines/postgres/(?:cluster|tls)`, "", true),
		at(`engines/(?:postgres|redis)/addons`, "", false),
		at(`engines/postgres/addons/`+id+`\.json`, "heroku-postgresql", false),
		at(`engines/redis/addons/`+id+`\.json`, "heroku-redis", false),
		at(`engines/redis/`+id, "heroku-redis", true),
	}
}

// leftover is what a program that was killed leaves half made, wherever it is.
func leftover() *regexp.Regexp {
	return regexp.MustCompile(`^(?:tmp_objdir-.*|tmp_(?:obj|pack|idx)_.*|.*\.lock|\..*[0-9]{6,}|\..*\.tmp)$`)
}

// strayFiles looks at every file below the data directory.
func (m *machine) strayFiles(own owners) (stray []string, err error) {
	half, known := leftover(), places()
	var inside string // a place that is whole
	err = filepath.WalkDir(m.data, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		rel, _ := filepath.Rel(m.data, path)
		if err != nil || rel == "." {
			return err
		}
		if half.MatchString(e.Name()) && rel != "niwa.lock" && !strings.HasPrefix(rel, "engines/postgres/cluster/") {
			stray = append(stray, "half made: "+describe(path, rel))
		}
		if inside != "" && strings.HasPrefix(rel, inside+"/") {
			return nil
		}
		p, owner, ok := find(known, rel)
		switch {
		case !ok:
			stray = append(stray, "unknown: "+describe(path, rel))
		case p.owner != "" && !own[p.owner][owner]:
			stray = append(stray, fmt.Sprintf("of no %s: %s", p.owner, describe(path, rel)))
		}
		if !ok || p.whole {
			inside = rel
		}
		return nil
	})
	return stray, err
}

func find(known []place, rel string) (p place, owner string, ok bool) {
	for _, p := range known {
		if found := p.path.FindStringSubmatch(rel); found != nil {
			return p, found[len(found)-1], true
		}
	}
	return place{}, "", false
}

func describe(path, rel string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return rel
	}
	stat := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%s %s, of user %d, of %s", info.Mode(), rel, stat.Uid, info.ModTime().Format("15:04:05.000"))
}

// strayDatabases asks the server itself, as its superuser.
func (m *machine) strayDatabases(ctx context.Context, own owners) (stray []string, err error) {
	data, err := os.ReadFile(filepath.Join(m.data, "engines/postgres/cluster.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var server struct {
		Port     int
		Password string
	}
	if err := errors.Join(err, json.Unmarshal(data, &server)); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(m.data, "engines/postgres/cluster/postmaster.pid")); errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it was to be made when niwa was killed, for an add-on that is no more
	}
	url := fmt.Sprintf("postgres://postgres:%s@127.0.0.1:%d/postgres", server.Password, server.Port)
	err = withPostgres(ctx, url, func(c *pgx.Conn) error {
		for kind, query := range map[string]string{
			"database": "select datname from pg_database where not datistemplate and datname <> 'postgres'",
			"role":     "select rolname from pg_roles where rolname !~ '^pg_' and rolname <> 'postgres'",
		} {
			found, err := c.Query(ctx, query)
			if err != nil {
				return err
			}
			names, err := pgx.CollectRows(found, pgx.RowTo[string])
			if err != nil {
				return err
			}
			for _, name := range names {
				if !own[kind][name] {
					stray = append(stray, fmt.Sprintf("%s %s in Postgres", kind, name))
				}
			}
		}
		return nil
	})
	return stray, err
}

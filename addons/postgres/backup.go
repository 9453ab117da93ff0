package postgres

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"niwa/addons/engine"
)

// saved begins a backup. The content of the database follows, as pg_dump's
// custom format; of one elsewhere nothing does.
type saved struct {
	Record   record    `json:"record"`
	Port     uint16    `json:"port"`     // of the cluster here
	Settings []setting `json:"settings"` // of the database and its roles, which a dump leaves out
}

// setting is one "alter database set" or "alter role set".
type setting struct {
	Role     string `json:"role"`     // empty for all
	Database bool   `json:"database"` // in this database, not in all
	Name     string `json:"name"`
	Value    string `json:"value"`
}

// Backup writes the record of a database and what is in it at one moment.
func (p *Provider) Backup(ctx context.Context, id string, w io.Writer) error {
	unlock, err := p.Locks.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := p.load(id)
	if err != nil {
		return err
	}
	s := saved{Record: r}
	if r.Elsewhere {
		return json.NewEncoder(w).Encode(s)
	}
	c, err := p.cluster(ctx, false)
	if err != nil {
		return err
	}
	s.Port = c.login.Port
	if s.Settings, err = c.settings(ctx, r); err != nil {
		return err
	}
	if err := json.NewEncoder(w).Encode(s); err != nil {
		return err
	}
	return p.dump(ctx, c, r, w)
}

// Restore makes a database of what Backup wrote.
func (p *Provider) Restore(ctx context.Context, id string, from io.Reader) error {
	unlock, err := p.Locks.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := p.load(id); !engine.IsMissing(err) {
		return errors.Join(errors.New("it is there already"), err)
	}
	in := bufio.NewReader(from)
	first, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	var s saved
	if err := json.Unmarshal(first, &s); err != nil || s.Record.ID != id || s.Record.owner() == "" {
		return errors.Join(errors.New("what was saved of it cannot be read"), err)
	}
	r := s.Record
	if r.Elsewhere {
		r.Settled = false
		return p.Save(id, r) // and what is there is told of it when it is next needed
	}
	if err := p.suggestPort(s.Port); err != nil {
		return err
	}
	c, err := p.cluster(ctx, false) // which may choose another port, before there is a record
	if err != nil {
		return err
	}
	return p.settle(&r, func() error {
		if err := c.apply(ctx, r); err != nil {
			return err
		}
		if err := p.undump(ctx, c, r, in); err != nil {
			return err
		}
		if err := c.applyGrants(ctx, r); err != nil { // now that there is something to read
			return err
		}
		return c.applySettings(ctx, r, s.Settings)
	})
}

// suggestPort gives the cluster the port that config vars name, unless it has
// one.
func (p *Provider) suggestPort(port uint16) error {
	record, err := p.clusterRecord()
	if err != nil || p.made() {
		return err
	}
	record.Port = int(port)
	return engine.Save(p.clusterFile(), record)
}

// settings reads what was set for the database or its roles.
func (c *cluster) settings(ctx context.Context, r record) (all []setting, err error) {
	err = c.admin(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `select coalesce(r.rolname, ''), d.oid is not null, unnest(s.setconfig)
			from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole left join pg_database d on d.oid = s.setdatabase
			where d.datname = $1 or s.setdatabase = 0 and r.rolname = any($2)`, r.database(), r.roles())
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s setting, err error) {
			var text string
			err = row.Scan(&s.Role, &s.Database, &text)
			s.Name, s.Value, _ = strings.Cut(text, "=")
			return s, err
		})
		return err
	})
	return all, err
}

// applySettings sets them again, each as who had set it: nobody gets more
// rights by that than they have.
func (c *cluster) applySettings(ctx context.Context, r record, all []setting) error {
	conns := map[string]*pgx.Conn{} // before the first of them can be in the way of another
	for _, login := range r.Credentials {
		conn, err := pgx.ConnectConfig(ctx, c.as(r, login))
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		conns[login.Role] = conn
	}
	for _, s := range all {
		conn, target := conns[s.Role], "role "+ident(s.Role)
		switch {
		case s.Role == "":
			conn, target = conns[r.owner()], "database "+ident(r.database())
		case s.Database:
			target += " in database " + ident(r.database())
		}
		if conn == nil {
			continue // of a role that is gone
		}
		value := quote(s.Value)
		if slices.Contains([]string{"search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries"}, s.Name) {
			value = s.Value // a list, whose names are quoted already
		}
		if err := do(ctx, conn, "alter %s set %s to %s", target, ident(s.Name), value); err != nil {
			return fmt.Errorf("setting %s: %w", s.Name, err)
		}
	}
	return nil
}

// as is how a credential of a database logs in to it.
func (c *cluster) as(r record, login credential) *pgx.ConnConfig {
	config := c.login.Copy()
	config.User, config.Password, config.Database = login.Role, login.Password, r.database()
	return config
}

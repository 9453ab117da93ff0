package postgres_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"niwa/addons"
)

// moved is a database filled by statements, saved, and restored to a provider
// of another directory, while the first one runs.
func moved(t *testing.T, statements ...string) *pgx.Conn {
	t.Helper()
	needPostgres(t)
	p, _ := open(t)
	id, url := provision(t, p)
	conn := connect(t, url)
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	var saved bytes.Buffer
	if err := p.Backup(t.Context(), id, &saved); err != nil {
		t.Fatal(err)
	}
	other, _ := open(t)
	if err := other.Restore(t.Context(), id, &saved); err != nil {
		t.Fatal(err)
	}
	credentials, err := other.Credentials(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	again := credentials[addons.Default]["URL"]
	if parseURL(t, again).Port == parseURL(t, url).Port {
		t.Error("the second cluster has the port of the first, which runs")
	}
	return connect(t, again)
}

func value(t *testing.T, conn *pgx.Conn, sql string) (text string) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), sql).Scan(&text); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return text
}

func TestABackupHasAllThatADatabaseMayHold(t *testing.T) {
	conn := moved(t,
		"create schema shop",
		"create extension hstore", "create extension citext schema shop",
		"create type shop.mood as enum ('calm', 'wild')",
		"create table shop.things (id serial primary key, name shop.citext unique, mood shop.mood, more hstore, twice int generated always as (id * 2) stored)",
		"insert into shop.things (name, mood, more) select 'thing ' || n, 'calm', 'a=>1' from generate_series(1, 1000) n",
		"create view shop.calm as select * from shop.things where mood = 'calm'",
		"create materialized view shop.counted as select count(*) from shop.things",
		"create function shop.twice(n int) returns int language sql as 'select n * 2'",
		"create index on shop.things (shop.twice(id))",
		"comment on table shop.things is 'what there is'",
		`do $$ begin perform lo_from_bytea(4711, 'a large object'); end $$`,
		`do $$ begin execute format('alter database %I set search_path to shop, public', current_database()); end $$`,
		`do $$ begin execute format('alter role %I set statement_timeout to ''7s''', current_user); end $$`,
		`do $$ begin execute format('alter database %I set application_name to ''it''''s granite''', current_database()); end $$`,
		`do $$ begin execute format('alter database %I set default_transaction_read_only to on', current_database()); end $$`,
	)
	got := map[string]string{}
	for name, sql := range map[string]string{
		"rows":              "select count(*)::text from shop.things where more -> 'a' = '1' and twice = id * 2",
		"view":              "select count(*)::text from shop.calm",
		"materialized view": "select count::text from shop.counted",
		"comment":           "select obj_description('shop.things'::regclass)",
		"sequence":          "select last_value::text from shop.things_id_seq",
		"large object":      "select convert_from(lo_get(4711), 'UTF8')",
		"search path":       "show search_path",
		"timeout":           "show statement_timeout",
		"quoted setting":    "show application_name",
		"read only":         "show default_transaction_read_only",
		"owner":             "select (tableowner = current_user)::text from pg_tables where tablename = 'things'",
	} {
		got[name] = value(t, conn, sql)
	}
	want := map[string]string{
		"rows": "1000", "view": "1000", "materialized view": "1000", "comment": "what there is", "sequence": "1000",
		"large object": "a large object", "search path": "shop, public", "timeout": "7s", "quoted setting": "it's granite",
		"read only": "on", "owner": "true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What an app puts into its database may run when that is restored: here the
// check of a table that tells who it was run by.
func TestNothingOfAnAppRunsAsTheSuperuserWhenItIsRestored(t *testing.T) {
	conn := moved(t,
		"create table a_witness (who text)",
		`create function tell(n int) returns boolean language plpgsql as $$ begin
			reset role; reset session authorization;
			insert into public.a_witness values (current_user || ' ' || (select rolsuper from pg_roles where rolname = current_user));
			return true; end $$`,
		"create table b_checked (n int check (tell(n)))",
		"insert into b_checked values (1)",
		"truncate a_witness",
	)
	if n := value(t, conn, "select count(*)::text from a_witness"); n == "0" {
		t.Error("the check did not run, so that nothing is shown")
	}
	if who := value(t, conn, "select string_agg(distinct who, ', ') from a_witness"); who != user(t, conn.Config().ConnString())+" false" {
		t.Errorf("the check ran as %s", who)
	}
}

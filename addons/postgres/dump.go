package postgres

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"niwa/addons"
	"niwa/addons/engine"
	"niwa/platform"
)

// work is a directory in which the programs of PostgreSQL work on one
// database. What they read and write is in files, as only those are the same
// to a process and to a container.
type work struct {
	provider *Provider
	dir      string
	tools    tools
	task     string // begins the ids of what runs in it
}

func (p *Provider) work(ctx context.Context, c *cluster, r record) (*work, error) {
	found, err := p.tools(ctx, c)
	if err != nil {
		return nil, err
	}
	w := &work{provider: p, dir: filepath.Join(p.Dir, "dump-"+r.ID), tools: found, task: "postgres-dump-" + r.ID}
	if err := os.RemoveAll(w.dir); err != nil {
		return nil, err
	}
	if err := p.User.MkdirAll(w.dir); err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(p.CA.CertFile())
	if err == nil {
		err = w.write("ca.pem", bytes.NewReader(ca))
	}
	return w, err
}

func (w *work) close() { os.RemoveAll(w.dir) } // or the next clean does

func (w *work) path(name string) string { return filepath.Join(w.dir, name) }

// write makes a file that the programs can read.
func (w *work) write(name string, content io.Reader) error {
	file, err := os.OpenFile(w.path(name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.Copy(file, content); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return w.provider.User.Own(file.Name())
}

// login lets the programs log in, and returns the connection string, which is
// seen in lists of processes, for it.
func (w *work) login(config *pgx.ConnConfig) (string, error) {
	escape := strings.NewReplacer(`\`, `\\`, `:`, `\:`)
	line := fmt.Sprintf("*:*:*:*:%s\n", escape.Replace(config.Password))
	quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	return fmt.Sprintf("host='%s' port=%d user='%s' dbname='%s' passfile='%s' sslmode=verify-full sslrootcert='%s'",
		config.Host, config.Port, quoted.Replace(config.User), quoted.Replace(config.Database),
		quoted.Replace(w.path("pgpass")), quoted.Replace(w.path("ca.pem"))), w.write("pgpass", strings.NewReader(line))
}

// run runs one of the programs to its end.
func (w *work) run(ctx context.Context, name, program string, args ...string) error {
	_, err := engine.Run(ctx, w.tools.launcher, engine.Task{
		ID: w.task + "-" + name, Dir: w.dir, Log: w.path(name + ".log"), Args: append([]string{program}, args...),
	})
	return err
}

// dump writes what is in a database.
func (p *Provider) dump(ctx context.Context, c *cluster, r record, out io.Writer) error {
	w, err := p.work(ctx, c, r)
	if err != nil {
		return err
	}
	defer w.close()
	config := c.login.Copy()
	config.Database = r.database()
	conn, err := w.login(config)
	if err != nil {
		return err
	}
	// It is compressed with all the rest, and better so.
	err = w.run(ctx, "dump", w.tools.dump, "--format=custom", "--compress=0", "--lock-wait-timeout=60s", "--no-password",
		"--file="+w.path("content"), "--dbname="+conn)
	if err != nil {
		return err
	}
	file, err := os.Open(w.path("content"))
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(out, file)
	return err
}

// undump fills a database that is empty, all of it or nothing. It does so as
// the database's owner, and everything becomes the owner's: as the superuser,
// the functions of one app would run with rights over all.
func (p *Provider) undump(ctx context.Context, c *cluster, r record, content io.Reader) error {
	w, err := p.work(ctx, c, r)
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.write("content", content); err != nil {
		return err
	}
	if err := w.run(ctx, "list", w.tools.restore, "--list", "--file="+w.path("list"), w.path("content")); err != nil {
		return err
	}
	list, err := os.ReadFile(w.path("list"))
	if err != nil {
		return err
	}
	if err := w.write("list", strings.NewReader(ownersPart(string(list), r.owner()))); err != nil {
		return err
	}
	conn, err := w.login(c.as(r, r.Credentials[addons.Default]))
	if err != nil {
		return err
	}
	return w.run(ctx, "restore", w.tools.restore, "--no-owner", "--single-transaction", "--exit-on-error", "--no-password",
		"--use-list="+w.path("list"), "--dbname="+conn, w.path("content"))
}

// ownersPart leaves out of a list of what is in a dump what the owner of the
// database cannot make: what is said of extensions, which are the
// superuser's, and what others give away by default, which niwa sets itself.
func ownersPart(list, owner string) string {
	var kept strings.Builder
	for line := range strings.Lines(list) {
		fields := strings.Fields(line)
		switch {
		case strings.Contains(line, " COMMENT - EXTENSION "):
		case strings.Contains(line, " DEFAULT ACL ") && fields[len(fields)-1] != owner:
		default:
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// tools are the programs that dump and restore.
type tools struct {
	launcher      engine.Launcher
	dump, restore string
}

// tools finds programs that are not older than the server. Those for download
// are not among what embedded clusters run on.
func (p *Provider) tools(ctx context.Context, c *cluster) (tools, error) {
	if c.engine == engine.Docker {
		launcher, err := p.Containers(ctx)
		return tools{launcher, "pg_dump", "pg_restore"}, err
	}
	dirs := []string{}
	for _, found := range engine.FindPostgres() {
		dirs = append(dirs, found.Bin)
	}
	if path, err := exec.LookPath("pg_dump"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	type candidate struct {
		dir   string
		major int
	}
	var fit []candidate
	for _, dir := range dirs {
		said, err := exec.CommandContext(ctx, filepath.Join(dir, "pg_dump"), "--version").Output()
		if version, ok := engine.Version(string(said)); err == nil && ok && version[0] >= c.major {
			fit = append(fit, candidate{dir, version[0]})
		}
	}
	if len(fit) == 0 {
		return tools{}, platform.Errorf(platform.Unavailable,
			"PostgreSQL's databases cannot be saved or restored: pg_dump and pg_restore %d or newer are not here; apt-get install postgresql-client, or brew install libpq.", c.major)
	}
	// An old restorer does not read what a new dumper wrote; a new one reads
	// it all.
	slices.SortStableFunc(fit, func(a, b candidate) int { return cmp.Compare(a.major, b.major) })
	return tools{p.Processes(), filepath.Join(fit[0].dir, "pg_dump"), filepath.Join(fit[len(fit)-1].dir, "pg_restore")}, nil
}

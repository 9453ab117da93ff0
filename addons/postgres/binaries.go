package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	embedded "github.com/fergusstrange/embedded-postgres"

	"niwa/addons/engine"
	"niwa/platform"
)

// installation is what the cluster runs on.
type installation struct {
	engine     engine.Mode
	launcher   engine.Launcher
	bin        string // directory of the programs; empty where they are on PATH
	statements bool   // pg_stat_statements is there
}

// program is how one of the installation's programs is called.
func (in installation) program(name string) string { return filepath.Join(in.bin, name) }

// install finds what the cluster can run on. One that exists needs the major
// version that made it; a new one gets the newest there is.
func (p *Provider) install(ctx context.Context, last engine.Mode) (installation, error) {
	major, err := p.madeBy()
	if err != nil {
		return installation{}, err
	}
	var why []string
	for _, mode := range p.Here(last) {
		in, err := p.installed(ctx, mode, major, mode == last)
		if err == nil || ctx.Err() != nil {
			return in, errors.Join(err, ctx.Err())
		}
		why = append(why, err.Error())
	}
	if len(why) == 0 {
		why = []string{"start niwa with --engines auto"}
	}
	what := "PostgreSQL"
	if major != 0 {
		what = fmt.Sprintf("PostgreSQL %d, which the databases here were made with,", major)
	}
	return installation{}, platform.Errorf(platform.Unavailable, "%s cannot run here: %s.", what, strings.Join(why, "; "))
}

func (p *Provider) installed(ctx context.Context, mode engine.Mode, major int, last bool) (installation, error) {
	switch mode {
	case engine.Docker:
		launcher, err := p.Containers(ctx)
		if err == nil && major != 0 && !last {
			err = p.checkImage(ctx, launcher, major)
		}
		// The public images have pg_stat_statements.
		return installation{engine: mode, launcher: launcher, statements: true}, err
	case engine.Embedded:
		fetched, err := p.fetched(ctx)
		if err != nil {
			return installation{}, fmt.Errorf("its binaries cannot be downloaded (%w)", err)
		}
		if major != 0 && fetched.Major != major {
			return installation{}, fmt.Errorf("the binaries for download are version %d", fetched.Major)
		}
		return p.binaries(mode, fetched), nil
	}
	for _, found := range engine.FindPostgres() {
		if major == 0 || found.Major == major {
			return p.binaries(mode, found), nil
		}
	}
	return installation{}, errors.New("it is not installed (" + engine.FixPostgres + ")")
}

// checkImage makes sure that the image is of the major version.
func (p *Provider) checkImage(ctx context.Context, l engine.Launcher, major int) error {
	said, err := engine.Run(ctx, l, engine.Task{ID: "postgres-version", Dir: p.tlsDir(), Args: []string{"postgres", "--version"}})
	if err != nil {
		return err
	}
	if found, ok := engine.Version(said); !ok || found[0] != major {
		return fmt.Errorf("the image %s is another version: %s", p.Image, said)
	}
	return nil
}

func (p *Provider) binaries(mode engine.Mode, in engine.Postgres) installation {
	return installation{engine: mode, launcher: p.Processes(), bin: in.Bin, statements: hasStatements(in)}
}

// hasStatements looks where the extensions are: Debian has them under
// /usr/share/postgresql/15, others beside bin.
func hasStatements(in engine.Postgres) bool {
	for _, dir := range []string{
		filepath.Join(in.Bin, "../share/postgresql/extension"),
		filepath.Join(in.Bin, fmt.Sprintf("../share/postgresql@%d/extension", in.Major)),
		filepath.Join(in.Bin, "../share/extension"),
		fmt.Sprintf("/usr/share/postgresql/%d/extension", in.Major),
	} {
		if _, err := os.Stat(filepath.Join(dir, "pg_stat_statements.control")); err == nil {
			return true
		}
	}
	return false
}

// madeBy is the major version of the cluster on disk, 0 when there is none.
func (p *Provider) madeBy() (int, error) {
	data, err := os.ReadFile(filepath.Join(p.dataDir(), "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}

// fetched returns the embedded binaries, downloading them the first time.
// A download goes on when ctx ends, for the benefit of the next call.
func (p *Provider) fetched(ctx context.Context) (engine.Postgres, error) {
	dir := filepath.Join(p.Dir, "embedded", string(embedded.V18))
	done := p.fetch.DoChan("", func() (any, error) {
		if _, err := os.Stat(dir); err == nil {
			return nil, nil
		}
		return nil, download(dir)
	})
	select {
	case r := <-done:
		if r.Err != nil {
			return engine.Postgres{}, r.Err
		}
	case <-ctx.Done():
		return engine.Postgres{}, ctx.Err()
	}
	found, ok := engine.PostgresIn(filepath.Join(dir, "bin"))
	if !ok {
		return engine.Postgres{}, fmt.Errorf("the binaries in %s do not run on this machine", dir)
	}
	return found, nil
}

// download unpacks PostgreSQL into dir, whole or not at all.
//
// The library that knows where the binaries are offers to fetch them only as
// the first step of starting a server, which it does as its caller's user and
// with the password in the open. So its server is given a data directory that
// says it is initialised and holds nothing: the start ends right after the
// binaries are in place, and they, not its error, tell whether they came.
func download(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".download-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	data := filepath.Join(tmp, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	major, _, _ := strings.Cut(string(embedded.V18), ".")
	if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte(major), 0o600); err != nil {
		return err
	}
	port, err := engine.FreePort("127.0.0.1")
	if err != nil {
		return err
	}
	unpacked := filepath.Join(tmp, "unpacked")
	server := embedded.NewDatabase(embedded.DefaultConfig().
		Version(embedded.V18).Port(uint32(port)).Logger(io.Discard).
		CachePath(filepath.Join(tmp, "cache")).RuntimePath(filepath.Join(tmp, "runtime")).
		DataPath(data).BinariesPath(unpacked))
	startErr := server.Start()
	if startErr == nil {
		return errors.Join(errors.New("a server started in an empty data directory"), server.Stop())
	}
	if _, err := os.Stat(filepath.Join(unpacked, "bin", "postgres")); err != nil {
		return startErr
	}
	if err := os.Chmod(unpacked, 0o755); err != nil {
		return err
	}
	return os.Rename(unpacked, dir)
}

package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	embedded "github.com/fergusstrange/embedded-postgres"

	"niwa/addons/engine"
	"niwa/platform"
)

// installation is what the cluster runs on.
type installation struct {
	engine.Postgres
	engine engine.Mode
}

// install finds the binaries for the cluster. A cluster that exists needs the
// major version that made it; a new one gets the newest there is.
func (p *Provider) install(ctx context.Context) (installation, error) {
	major, err := p.madeBy()
	if err != nil {
		return installation{}, err
	}
	fits := func(i engine.Postgres) bool { return major == 0 || i.Major == major }
	found := engine.FindPostgres()
	if i := slices.IndexFunc(found, fits); i >= 0 && p.Mode.Allows(engine.Native) {
		return installation{found[i], engine.Native}, nil
	}
	if !p.Mode.Allows(engine.Embedded) {
		return installation{}, missing(major, nil)
	}
	fetched, err := p.fetched(ctx)
	if ctx.Err() != nil {
		return installation{}, ctx.Err()
	}
	if err != nil || !fits(fetched) {
		return installation{}, missing(major, err)
	}
	return installation{fetched, engine.Embedded}, nil
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

func missing(major int, fetch error) error {
	message := "PostgreSQL is not installed"
	if major != 0 {
		message = fmt.Sprintf("PostgreSQL %d, which the databases here were made with, is not installed", major)
	}
	if fetch != nil {
		message += fmt.Sprintf(", and its binaries cannot be downloaded (%v)", fetch)
	}
	return platform.Errorf(platform.Unavailable, "%s: %s.", message, engine.FixPostgres)
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
	port, err := engine.FreePort()
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

package engine

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// OldestPostgres is the oldest major version that will do: the first with the
// roles pg_read_all_data and pg_database_owner.
const OldestPostgres = 14

// Postgres is an installation of the server.
type Postgres struct {
	Bin     string // the directory of initdb and postgres
	Major   int
	Version string // 15.20
}

// FindPostgres lists the usable installations of this machine, newest first.
// They are on PATH or where the usual packages put them; Debian keeps them
// off PATH.
func FindPostgres() []Postgres {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",
		"/usr/pgsql-*/bin",
		"/opt/homebrew/opt/postgresql@*/bin",
		"/usr/local/opt/postgresql@*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		found, _ := filepath.Glob(pattern) // its one error is a malformed pattern
		dirs = append(dirs, found...)
	}
	var all []Postgres
	for _, dir := range dirs {
		p, ok := PostgresIn(dir)
		if ok && p.Major >= OldestPostgres && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	slices.SortStableFunc(all, func(a, b Postgres) int {
		return newestFirst(numbers(a.Version), numbers(b.Version))
	})
	return all
}

// PostgresIn looks at one directory of programs, or of links to them.
func PostgresIn(dir string) (Postgres, bool) {
	server, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
	if err != nil {
		return Postgres{}, false
	}
	dir = filepath.Dir(server)
	if _, err := exec.LookPath(filepath.Join(dir, "initdb")); err != nil {
		return Postgres{}, false
	}
	version, ok := version(server)
	if !ok {
		return Postgres{}, false
	}
	return Postgres{Bin: dir, Major: numbers(version)[0], Version: version}, true
}

// Program is the path of one of the installation's programs.
func (p Postgres) Program(name string) string { return filepath.Join(p.Bin, name) }

// OldestRedis is the oldest version that will do: the first whose ACLs know
// channels.
const OldestRedis = "6.2"

// Redis is an installation of the server.
type Redis struct {
	Path    string
	Version string // 7.0.15
}

// FindRedis looks for redis-server, or its fork Valkey, on PATH and where
// Homebrew puts it.
func FindRedis() (Redis, bool) {
	for _, name := range []string{"redis-server", "/opt/homebrew/bin/redis-server", "/usr/local/bin/redis-server", "valkey-server"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		version, ok := version(path)
		if ok && slices.Compare(numbers(version), numbers(OldestRedis)) >= 0 {
			return Redis{Path: path, Version: version}, true
		}
	}
	return Redis{}, false
}

// version asks a program for its version.
func version(program string) (string, bool) {
	out, err := exec.Command(program, "--version").Output()
	if err != nil {
		return "", false
	}
	return find(string(out))
}

// Version reads the numbers of what a server's program says of its version.
func Version(said string) ([]int, bool) {
	version, ok := find(said)
	return numbers(version), ok
}

// find finds a version. The shortest words that all these programs use are
// "postgres (PostgreSQL) 15.20 (Debian …)", "postgres (PostgreSQL) 18beta1"
// and "Redis server v=7.0.15 sha=…".
func find(said string) (string, bool) {
	found := regexp.MustCompile(`(?:\) |v=)(\d+(?:\.\d+)*)`).FindStringSubmatch(said)
	if found == nil {
		return "", false
	}
	return found[1], true
}

func numbers(version string) []int {
	var all []int
	for part := range strings.SplitSeq(version, ".") {
		n, _ := strconv.Atoi(part) // version matched digits only; one too long to count is as good as 0
		all = append(all, n)
	}
	return all
}

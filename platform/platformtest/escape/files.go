package escape

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// files are attempts on what is on disk.
func files() []try {
	return []try{
		{"read another app's files: dyno, slug, repository, build cache, logs", func(t Targets) (string, error) { return each(t.Theirs, read) }},
		{"change another app's files", func(t Targets) (string, error) { return each(t.Theirs, change) }},
		{"read what another app has in /tmp, /var/tmp, /dev/shm", func(t Targets) (string, error) { return each(shared(), t.left) }},
		{"read the platform's database, key, token and CA key", func(t Targets) (string, error) { return each(t.Platforms, read) }},
		{"change the platform's files", func(t Targets) (string, error) { return each(t.Platforms, change) }},
		{"list the platform's directories", func(t Targets) (string, error) { return each(append(t.folders(), t.Data), list) }},
		{"read the data of Postgres and Redis", func(t Targets) (string, error) { return each(t.Engines, read) }},
		{"read them through a link in /app", func(t Targets) (string, error) {
			return each(append(t.Platforms, t.Theirs...), throughLink)
		}},
		{"list the home of niwa's user", func(t Targets) (string, error) { return each([]string{t.Home}, list) }},
		{"read /etc/shadow", func(t Targets) (string, error) { return each([]string{"/etc/shadow"}, read) }},
		{"make files in /, /etc, /usr, /opt, /var, the user's home", func(t Targets) (string, error) {
			dirs := []string{"/", "/etc", "/usr/bin", "/usr/local/bin", "/opt", "/var/lib", "/var/log", "/run", "/boot", "/srv"}
			if list(t.Home) == nil { // otherwise what has its name is one's own
				dirs = append(dirs, t.Home)
			}
			return each(dirs, create)
		}},
	}
}

func read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return short(err)
	}
	defer f.Close()
	_, err = f.Read(make([]byte, 1))
	return err
}

// change opens a file for writing, or makes one beside it.
func change(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) { // it is hidden, and the folder another
		return short(err)
	}
	if err != nil {
		return create(filepath.Dir(path))
	}
	return f.Close()
}

func create(dir string) error {
	f, err := os.CreateTemp(dir, "escape-")
	if err != nil {
		return short(err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// list lists what is not on the way to one's own folder: a build's is where the
// platform keeps it.
func list(dir string) error {
	if dir == "" {
		return errors.New("it has none")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return short(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(os.Getenv("HOME")+"/", filepath.Join(dir, e.Name())+"/") {
			return nil
		}
	}
	return errors.New("nothing of another's is there")
}

// folders are the platform's, but for the one with its certificates.
func (t Targets) folders() []string {
	var all []string
	for _, name := range []string{"dynos", "slugs", "repos", "cache", "builds", "logs", "sources", "procs", "engines", "routers"} {
		all = append(all, filepath.Join(t.Data, name))
	}
	return all
}

// throughLink reads a file by way of a link, as a program would that the link
// is left for.
func throughLink(path string) error {
	link := filepath.Join(os.Getenv("HOME"), "config.json")
	_ = os.Remove(link)
	if err := os.Symlink(path, link); err != nil {
		return err
	}
	return read(link)
}

// shared are places that programs leave things in.
func shared() []string {
	return []string{"/tmp", "/var/tmp", "/dev/shm", "/run/lock"}
}

// largest is the largest file that is read in search of something: a machine has
// others, which would be more than the attacker's memory.
const largest = 16 << 20

// left looks for something of another app's in a shared place.
func (t Targets) left(dir string) error {
	err := errors.New("nothing of another app's is there")
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, walkErr error) error {
		if walkErr != nil || !e.Type().IsRegular() {
			return nil
		}
		if info, err := e.Info(); err != nil || info.Size() > largest {
			return nil
		}
		if text, readErr := os.ReadFile(path); readErr == nil && bytes.Contains(text, t.Secret) {
			err = nil
			return fs.SkipAll
		}
		return nil
	})
	return err
}

// short leaves out what the attempt says already.
func short(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

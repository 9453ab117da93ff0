package instance

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWhatWasBeingWrittenIsRemovedAndNothingElse(t *testing.T) {
	t.Setenv("TMPDIR", os.TempDir()) // which freshTmp changes
	h := &home{dir: t.TempDir()}
	half := []string{
		"tmp/.key12345678", ".routes.log2758299735", "slugs/.a.tgz5577006791947779410",
		"engines/postgres/addons/.a.json12345", "engines/postgres/cluster/.pg_hba.conf12345", "repos/hooks/.pre-receive12345",
	}
	whole := []string{
		"routes.log", "slugs/a.tgz", "engines/postgres/cluster/base/.1234567", "dynos/a/app/.cache1234567",
		"builds/a/.1234567", "cache/a/.1234567", "repos/a.git/.1234567", "logs/a/.2026",
	}
	for _, name := range append(half, whole...) {
		path := filepath.Join(h.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.freshTmp(); err != nil {
		t.Fatal(err)
	}
	for _, name := range half {
		if _, err := os.Stat(filepath.Join(h.dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s is still there (%v)", name, err)
		}
	}
	for _, name := range whole {
		if _, err := os.Stat(filepath.Join(h.dir, name)); err != nil {
			t.Error(err)
		}
	}
	if os.TempDir() != filepath.Join(h.dir, "tmp") {
		t.Errorf("temporary files go to %s", os.TempDir())
	}
}

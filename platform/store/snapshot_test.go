package store_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"niwa/platform"
	"niwa/platform/store"
)

func TestASnapshotIsOneConsistentPictureWhileOthersWrite(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "niwa.db"), 1)
	stop, stopped := make(chan struct{}), make(chan error)
	begun := make(chan struct{})
	go func() {
		for n := 0; ; n++ { // each update adds two apps: a picture with an odd number is torn
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			err := s.Update(t.Context(), func(tx *store.Tx) error {
				return errors.Join(tx.InsertApp(app(fmt.Sprint("a", n), fmt.Sprint("a", n), 2*n)),
					tx.InsertApp(app(fmt.Sprint("b", n), fmt.Sprint("b", n), 2*n+1)))
			})
			if err != nil {
				stopped <- err
				return
			}
			if n == 0 {
				close(begun)
			}
		}
	}()
	<-begun
	for i := range 5 {
		var seen []platform.App
		data, err := s.Snapshot(t.Context(), func(tx *store.Tx) (err error) {
			seen, err = tx.Apps()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, fmt.Sprint("copy", i))
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		again := open(t, path, 1)
		update(t, again, func(tx *store.Tx) error {
			kept, err := tx.Apps()
			if len(kept) == 0 || len(kept)%2 != 0 || len(kept) != len(seen) {
				t.Errorf("the file has %d apps, the picture that was read had %d", len(kept), len(seen))
			}
			return err
		})
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestADamagedFileIsSaidToBeRestored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "niwa.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := store.Open(t.Context(), path, make([]byte, 32))
	if err == nil || !strings.Contains(err.Error(), "niwa restore") || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestAFileOfANewerNiwaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "niwa.db")
	open(t, path, 1).Close()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("insert into bun_migrations (name, group_id, migrated_at) values ('20990101000001', 9, '2099-01-01')"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = store.Open(t.Context(), path, bytes.Repeat([]byte{1}, 32))
	if err == nil || !strings.Contains(err.Error(), "newer niwa") {
		t.Errorf("got %v", err)
	}
}

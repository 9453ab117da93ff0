package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/uptrace/bun"
)

// Snapshot returns the whole state as the content of a database file, and
// runs f over the very picture that is in it. It takes memory rather than
// disk, so that what lies on a full disk can still be saved.
func (s *Store) Snapshot(ctx context.Context, f func(*Tx) error) (file []byte, err error) {
	conn, err := s.read.Conn(ctx)
	if err != nil {
		return nil, explained(err)
	}
	defer conn.Close()
	err = conn.RunInTx(ctx, &sql.TxOptions{}, func(ctx context.Context, db bun.Tx) error {
		if err := f(&Tx{ctx, db, s.seal}); err != nil {
			return err
		}
		return conn.Raw(func(driver any) error {
			serializer, ok := driver.(interface{ Serialize() ([]byte, error) })
			if !ok {
				return fmt.Errorf("the SQLite driver %T cannot serialize", driver)
			}
			file, err = serializer.Serialize()
			return err
		})
	})
	return file, explained(err)
}

// Package store keeps the platform's state in one SQLite file and is the only
// package that knows how. Everything happens in a transaction: View reads a
// consistent picture, Update changes it or leaves it as it was, and what
// Update has returned nil for survives a crash of the machine.
//
// Config vars and credentials are sealed (AES-256-GCM) under a key that lives
// in a file beside the database, so that a copy of the database alone tells
// no secret.
package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/migrate"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"niwa/platform"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is the open state of one platform. One process at a time may have it.
type Store struct {
	write *bun.DB // one connection: writers queue here, not in SQLite
	read  *bun.DB
	seal  cipher.AEAD
}

// Open opens the database at path, makes it when there is none and migrates
// it. key is 32 bytes.
func Open(ctx context.Context, path string, key []byte) (*Store, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("the key file must hold 32 bytes: %w", err)
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	if err := private(path); err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	s := &Store{seal: seal}
	if s.write, err = connect(path, "immediate", 1); err != nil {
		return nil, err
	}
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", path, explained(err)), s.write.Close())
	}
	if s.read, err = connect(path, "deferred", 4); err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	return s, nil
}

// private makes the file, readable by its owner alone: apps run as other users
// of the same machine. SQLite gives the files beside it the same mode.
func private(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Chmod(0o600), file.Close())
}

func connect(path, txlock string, conns int) (*bun.DB, error) {
	q := url.Values{"_txlock": {txlock}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)", "cache_size(-2000)",
	}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns) // those that are open work on when no more files can be opened
	return bun.NewDB(db, sqlitedialect.New()), nil
}

func (s *Store) migrate(ctx context.Context) error {
	all := migrate.NewMigrations()
	if err := all.Discover(migrations); err != nil {
		return err
	}
	m := migrate.NewMigrator(s.write, all, migrate.WithMarkAppliedOnSuccess(true))
	if err := m.Init(ctx); err != nil {
		return err
	}
	applied, err := m.AppliedMigrations(ctx)
	if err != nil {
		return err
	}
	known := all.Sorted()
	for _, one := range applied {
		if !slices.ContainsFunc(known, func(k migrate.Migration) bool { return k.Name == one.Name }) {
			return fmt.Errorf("it was written by a newer niwa (%s); use that one, or a newer one still", one.Name)
		}
	}
	_, err = m.Migrate(ctx)
	return err
}

// Close closes the database.
func (s *Store) Close() error { return errors.Join(s.read.Close(), s.write.Close()) }

// Tx is one transaction. It is used by one goroutine and only inside the
// function it was given to.
type Tx struct {
	ctx  context.Context
	db   bun.Tx
	seal cipher.AEAD
}

// View runs f over a consistent picture of the state.
func (s *Store) View(ctx context.Context, f func(*Tx) error) error {
	return explained(s.read.RunInTx(ctx, &sql.TxOptions{}, func(ctx context.Context, db bun.Tx) error {
		return f(&Tx{ctx, db, s.seal})
	}))
}

// Update runs f and keeps what it did when it returns nil. Updates run one
// after the other.
func (s *Store) Update(ctx context.Context, f func(*Tx) error) error {
	return explained(s.write.RunInTx(ctx, &sql.TxOptions{}, func(ctx context.Context, db bun.Tx) error {
		return f(&Tx{ctx, db, s.seal})
	}))
}

// insert adds a row; taken is the error when a unique name is in use.
func (tx *Tx) insert(row any, taken *platform.Error) error {
	_, err := tx.db.NewInsert().Model(row).Exec(tx.ctx)
	return orTaken(err, taken)
}

// save writes back a row that was read.
func (tx *Tx) save(row any, taken *platform.Error) error {
	_, err := tx.db.NewUpdate().Model(row).WherePK().Exec(tx.ctx)
	return orTaken(err, taken)
}

func orTaken(err error, taken *platform.Error) error {
	var failed *sqlite.Error
	if taken != nil && errors.As(err, &failed) && failed.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE {
		return taken
	}
	return err
}

// one reads the row that matches, or says that the resource is missing.
func one[T any](tx *Tx, resource, where string, args ...any) (T, error) {
	var row T
	err := tx.db.NewSelect().Model(&row).Where(where, args...).Limit(1).Scan(tx.ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return row, platform.Missing(resource)
	}
	return row, err
}

// many reads the rows that match, in order.
func many[T any](tx *Tx, order, where string, args ...any) ([]T, error) {
	rows := []T{}
	err := tx.db.NewSelect().Model(&rows).Where(where, args...).OrderExpr(order).Scan(tx.ctx)
	return rows, err
}

// drop removes the rows that match.
func drop[T any](tx *Tx, where string, args ...any) error {
	_, err := tx.db.NewDelete().Model((*T)(nil)).Where(where, args...).Exec(tx.ctx)
	return err
}

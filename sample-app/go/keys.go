package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	keyRefresh = 500 * time.Millisecond
	keyTrust   = 3 * time.Second // without news from Postgres
)

// keys knows the key that cache entries are sealed with. Postgres has it, so
// that a change and the end of all older entries can be one transaction.
type keys struct {
	db *pgxpool.Pool

	mu   sync.Mutex
	key  []byte
	asOf time.Time // when Postgres was asked
}

// Current returns the key, or false when it may have been replaced unnoticed.
func (k *keys) Current() ([]byte, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.key, k.key != nil && time.Since(k.asOf) < keyTrust
}

// Follow keeps the key fresh until ctx ends.
func (k *keys) Follow(ctx context.Context) {
	for ctx.Err() == nil {
		if err := k.refresh(ctx); err != nil && ctx.Err() == nil {
			slog.Warn("the key of the cache cannot be read", "error", err)
		}
		select {
		case <-time.After(keyRefresh):
		case <-ctx.Done():
		}
	}
}

func (k *keys) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, keyTrust)
	defer cancel()
	asked := time.Now()
	var key []byte
	if err := k.db.QueryRow(ctx, `SELECT key FROM cache_key`).Scan(&key); err != nil {
		return err
	}
	k.set(key, asked)
	return nil
}

// set takes a key unless a later one is known.
func (k *keys) set(key []byte, asked time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if asked.After(k.asOf) {
		k.key, k.asOf = key, asked
	}
}

// Distrust ends the use of the key until Follow has asked again.
func (k *keys) Distrust() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.key, k.asOf = nil, time.Now()
}

// ReplaceIn replaces the key when tx commits.
func (k *keys) ReplaceIn(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `UPDATE cache_key SET key = new_cache_key()`)
	return err
}

// ReplaceFor replaces the key if the server that has the entries was another.
func (k *keys) ReplaceFor(ctx context.Context, server string) error {
	tag, err := k.db.Exec(ctx, `UPDATE cache_key SET key = new_cache_key(), server = $1 WHERE server <> $1`, server)
	if err != nil || tag.RowsAffected() > 0 {
		k.Distrust()
	}
	return err
}

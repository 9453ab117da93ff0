package store

import "niwa/platform"

// Dynos lists the dynos that should be running, of any app, oldest first.
func (tx *Tx) Dynos() ([]platform.Dyno, error) {
	return many[platform.Dyno](tx, "created_at, id", "1 = 1")
}

// InsertDyno adds a dyno.
func (tx *Tx) InsertDyno(d platform.Dyno) error { return tx.insert(&d, nil) }

// SaveDyno writes back a dyno.
func (tx *Tx) SaveDyno(d platform.Dyno) error { return tx.save(&d, nil) }

// DeleteDyno removes a dyno.
func (tx *Tx) DeleteDyno(id string) error { return drop[platform.Dyno](tx, "id = ?", id) }

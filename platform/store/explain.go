package store

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"niwa/platform"
)

// explained says of an error of the disk's what can be done about it.
func explained(err error) error {
	var failed *sqlite.Error
	if !errors.As(err, &failed) {
		return err
	}
	switch code := failed.Code(); {
	case code&0xff == sqlite3.SQLITE_FULL, code == sqlite3.SQLITE_IOERR_SHMSIZE:
		return platform.Errorf(platform.Unavailable, "The disk that holds niwa's data is full; free some space and try again.")
	case code == sqlite3.SQLITE_CANTOPEN:
		return platform.Errorf(platform.Unavailable, "niwa cannot open its database just now, most likely because it has too many files open; try again in a moment.")
	case code&0xff == sqlite3.SQLITE_CORRUPT, code == sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("the file is damaged; put the last backup in its place with \"niwa restore --force FILE\", which keeps this one aside: %w", err)
	}
	return err
}

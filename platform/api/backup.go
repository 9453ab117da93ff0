package api

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"
)

const backupPath = "/niwa/backup"

// BackupURL is where an archive of the whole platform can be read within a
// minute. It is no link of the Platform API, and a token does not open it: the
// archive holds more than a token may see. Whoever can read the key on disk
// can read all the rest there too.
func BackupURL(base string, key []byte) string {
	return signer{key: key}.url(base, http.MethodGet, backupPath, nil, time.Now().Add(time.Minute))
}

// backup streams an archive. One that fails underway says so itself.
func (a *API) backup(f *fiber.Ctx) error {
	if _, err := a.sign.verify(f, time.Now()); err != nil {
		return err
	}
	return a.stream(f, "application/zstd", func(ctx context.Context, w io.Writer) error { return a.Backup(ctx, w) })
}

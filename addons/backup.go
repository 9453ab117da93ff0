package addons

import (
	"context"
	"io"
)

// Backuper writes what a resource holds and what its provider knows of it, in
// a form that depends on no engine. All that clients were told was done before
// the call is in it; they may go on meanwhile. A provider whose data do not
// outlive niwa, or lie where niwa does not rule, writes what it knows alone.
type Backuper interface {
	Backup(ctx context.Context, id string, w io.Writer) error
}

// Restorer makes a resource, which is not there yet, from what Backup wrote,
// with the credentials that it had. Where it listens may have changed:
// Provision and CredentialLister then tell.
type Restorer interface {
	Restore(ctx context.Context, id string, r io.Reader) error
}

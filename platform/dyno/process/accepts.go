package process

import (
	"context"
	"net"
	"os"
	"time"
)

// Accepts implements dyno.Runner. All dynos share this machine's ports. Where
// each app has a user of its own, that user has to be the one who listens:
// whoever is quicker than a dyno is not taken for it.
func (r *Runner) Accepts(ctx context.Context, id string) bool {
	d, ok := r.get(id)
	if !ok || d.note.Port == 0 {
		return false
	}
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", d.addr())
	if err != nil {
		return false
	}
	conn.Close()
	return os.Geteuid() != 0 || listensAlone(d.uid, d.note.Port)
}

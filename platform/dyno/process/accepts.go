package process

import (
	"context"
	"os"

	"niwa/platform/dyno"
)

// Accepts implements dyno.Runner. All dynos share this machine's ports. Where
// each app has a user of its own, that user has to be the one who listens:
// whoever is quicker than a dyno is not taken for it.
func (r *Runner) Accepts(ctx context.Context, id string) bool {
	d, ok := r.get(id)
	if !ok || d.note.Port == 0 || !dyno.Answers(ctx, d.addr()) {
		return false
	}
	return os.Geteuid() != 0 || listensAlone(d.uid, d.note.Port)
}

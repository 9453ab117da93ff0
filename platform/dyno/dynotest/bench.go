package dynotest

import (
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"niwa/platform/dyno"
)

// BenchmarkStart measures how long a runner takes from Start until the dyno's
// command has said its first word, of a slug with one file.
func BenchmarkStart(b *testing.B, r dyno.Runner, opts Options) {
	slug := Slug(b, Entry{Name: "Procfile", Text: "web: true\n"})
	var took []time.Duration
	for b.Loop() {
		said := make(word, 1)
		spec := dyno.Spec{ID: uuid.NewString(), App: uuid.NewString(), UID: opts.UID, Slug: slug, Command: "echo up; exec sleep 600",
			Output: said, Limits: dyno.Limits{Memory: 512 * mega, CPU: 1024, Processes: 256}}
		began := time.Now()
		if _, err := r.Start(context.Background(), spec); err != nil {
			b.Fatal(err)
		}
		<-said
		took = append(took, time.Since(began))
		b.StopTimer()
		if err := r.Stop(context.Background(), spec.ID, time.Minute); err != nil {
			b.Fatal(err)
		}
		if _, err := r.Wait(context.Background(), spec.ID); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	slices.Sort(took)
	for name, share := range map[string]int{"p50-ms": 50, "p95-ms": 95} {
		b.ReportMetric(float64(took[(len(took)-1)*share/100].Microseconds())/1000, name)
	}
}

// word tells of the first byte that is written to it.
type word chan struct{}

var _ io.Writer = word(nil)

func (w word) Write(p []byte) (int, error) {
	select {
	case w <- struct{}{}:
	default:
	}
	return len(p), nil
}

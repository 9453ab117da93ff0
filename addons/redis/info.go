package redis

import (
	"context"
	"fmt"
	"strings"

	"niwa/addons"
	"niwa/addons/engine"
)

// stats are what a server tells of itself.
type stats struct {
	version      string
	connections  int
	memory       int64 // bytes; 0 when it does not know
	hits, misses int64 // of reads
}

// Info has the rows of redis:info, and which engine it is.
func (p *Provider) Info(ctx context.Context, id string, plan addons.Plan) ([]addons.Row, error) {
	r, s, unlock, err := p.open(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	now, err := s.stats(ctx)
	if err != nil {
		return nil, err
	}
	rows := []addons.Row{
		engine.Row("Plan", engine.HumanPlan(plan.Name)),
		engine.Row("Status", "available"),
		engine.Row("Created", r.CreatedAt.Format("2006-01-02 15:04")),
		engine.Row("Version", now.version),
	}
	if s.engine() == engine.Embedded {
		return append(rows,
			engine.Row("Timeout", "none"),
			engine.Row("Maxmemory", "unlimited"),
			engine.Row("Connections", engine.Of(now.connections, plan.Connections)),
			engine.Row("Persistence", "None: data are lost when niwa stops"),
			engine.Row("Engine", "embedded, miniredis"),
		), nil
	}
	return append(rows,
		engine.Row("Timeout", r.setting("timeout")),
		engine.Row("Maxmemory", size(plan.MemoryBytes)),
		engine.Row("Maxmemory policy", r.setting("maxmemory_policy")),
		engine.Row("Connections", engine.Of(now.connections, plan.Connections)),
		engine.Row("Memory", size(now.memory)),
		engine.Row("Hit rate", rate(now.hits, now.misses)),
		engine.Row("Persistence", "AOF"),
		engine.Row("Engine", "native, Redis "+now.version),
	), nil
}

// ResetStats sets the counters of the server back to zero.
func (p *Provider) ResetStats(ctx context.Context, id string) error {
	_, s, unlock, err := p.open(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	return s.resetStats(ctx)
}

func size(n int64) string {
	switch {
	case n == 0:
		return "unlimited"
	case n%(1<<30) == 0:
		return fmt.Sprintf("%d GB", n>>30)
	}
	return strings.Replace(fmt.Sprintf("%.1f MB", float64(n)/(1<<20)), ".0 ", " ", 1)
}

func rate(hits, misses int64) string {
	if hits+misses == 0 {
		return "no reads yet"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(hits)/float64(hits+misses))
}

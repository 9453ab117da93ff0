package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"niwa/addons"
	"niwa/addons/engine"
)

// Info has the rows of redis:info, and which engine it is.
func (p *Provider) Info(ctx context.Context, id string, plan addons.Plan) ([]addons.Row, error) {
	r, s, unlock, err := p.open(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	r.Plan = plan
	version, rows, err := s.info(ctx, r)
	if err != nil {
		return nil, err
	}
	return append([]addons.Row{
		engine.Row("Plan", engine.HumanPlan(plan.Name)),
		engine.Row("Status", "available"),
		engine.Row("Created", r.CreatedAt.Format("2006-01-02 15:04")),
		engine.Row("Version", version),
	}, rows...), nil
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

// facts are what INFO tells.
type facts map[string]string

func readInfo(ctx context.Context, c *redis.Client) (facts, error) {
	text, err := c.Info(ctx).Result()
	if err != nil {
		return nil, err
	}
	found := facts{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			found[name] = value
		}
	}
	return found, nil
}

// number reads a fact; what this version does not tell counts as 0.
func (f facts) number(name string) int64 {
	n, _ := strconv.ParseInt(f[name], 10, 64)
	return n
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

package docker

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/docker/docker/api/types/container"
)

// Memory implements dyno.Runner.
func (r *Runner) Memory(ctx context.Context, id string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	used, err := r.memory(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("memory of dyno %s: %w", id, err)
	}
	return used, nil
}

func (r *Runner) memory(ctx context.Context, id string) (int64, error) {
	if _, ok := r.get(id); !ok {
		return 0, fmt.Errorf("there is no such dyno")
	}
	reply, err := r.cfg.Engine.ContainerStatsOneShot(ctx, containerName(id))
	if err != nil {
		return 0, err
	}
	defer reply.Body.Close()
	var stats container.StatsResponse
	if err := json.NewDecoder(reply.Body).Decode(&stats); err != nil {
		return 0, err
	}
	// What can be dropped at any time is the kernel's; the name of the figure
	// is that of cgroup v1, or of v2.
	cached, ok := stats.MemoryStats.Stats["total_inactive_file"]
	if !ok {
		cached = stats.MemoryStats.Stats["inactive_file"]
	}
	if stats.MemoryStats.Usage < cached {
		return 0, nil
	}
	return int64(stats.MemoryStats.Usage - cached), nil
}

package instance

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"

	"niwa/addons"
	"niwa/addons/engine"
	"niwa/addons/postgres"
	"niwa/addons/redis"
	"niwa/platform/docker"
	"niwa/platform/pki"
	"niwa/platform/proc"
)

// providers opens every provider that elements.yaml may name. They start the
// servers they had before, side by side.
func (i *Instance) providers(ctx context.Context, procs *proc.Table, ca *pki.Authority) (map[string]addons.Provider, error) {
	mode, err := engine.ParseMode(i.cfg.Engines)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(i.cfg.Data, "engines")
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, err
	}
	config := func(name, url, image string) engine.Config {
		return engine.Config{
			Choice: engine.Choice{Mode: mode, URL: url, Image: image},
			Dir:    filepath.Join(dir, name), Procs: procs, CA: ca, Host: i.dataHost, Docker: i.containers(), Log: i.cfg.Log,
		}
	}
	var pg *postgres.Provider
	var rd *redis.Provider
	var pgErr, rdErr error
	var both sync.WaitGroup
	both.Go(func() {
		pg, pgErr = postgres.New(ctx, config("postgres", i.cfg.PostgresURL, cmp.Or(i.cfg.PostgresImage, engine.PostgresImage)))
	})
	both.Go(func() {
		rd, rdErr = redis.New(ctx, config("redis", i.cfg.RedisURL, cmp.Or(i.cfg.RedisImage, engine.RedisImage)))
	})
	both.Wait()
	if pg != nil {
		i.onStop(pg.Close)
	}
	if rd != nil {
		i.onStop(rd.Close)
	}
	return map[string]addons.Provider{"postgres": pg, "redis": rd}, errors.Join(pgErr, rdErr)
}

// containers connects to the Docker engine once somebody needs it. One that
// does not answer is asked again the next time.
func (i *Instance) containers() func(context.Context) (*docker.Engine, error) {
	var mu sync.Mutex
	var engine *docker.Engine
	return func(ctx context.Context) (*docker.Engine, error) {
		mu.Lock()
		defer mu.Unlock()
		if engine != nil {
			return engine, nil
		}
		var err error
		engine, err = docker.Connect(ctx, i.home.id)
		return engine, err
	}
}

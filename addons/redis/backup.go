package redis

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"niwa/addons/engine"
)

// saved begins a backup. The data follow as an RDB file, but for those
// elsewhere and those that niwa itself holds, which no restart outlives.
type saved struct {
	Record record `json:"record"`
}

// Backup writes the record of an add-on and what its server has at one moment.
func (p *Provider) Backup(ctx context.Context, id string, w io.Writer) error {
	unlock, err := p.Locks.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := p.load(id)
	if err != nil {
		return err
	}
	var s server
	if !r.Elsewhere {
		if s, err = p.ensure(ctx, &r); err != nil {
			return err
		}
	}
	if err := json.NewEncoder(w).Encode(saved{r}); err != nil {
		return err
	}
	if d, ok := s.(*daemon); ok {
		return d.dump(ctx, w)
	}
	return nil
}

// dump has the server write all it has to a file, and copies that.
func (s *daemon) dump(ctx context.Context, w io.Writer) error {
	if err := s.server.Await(ctx); err != nil {
		return err
	}
	if err := s.waitFor(ctx, func() (bool, error) {
		err := s.client.BgSave(ctx).Err()
		if err != nil && (strings.Contains(err.Error(), "in progress") || strings.Contains(err.Error(), "child process")) {
			return false, nil // it compacts its log
		}
		return true, err
	}); err != nil {
		return err
	}
	if err := s.waitFor(ctx, func() (bool, error) {
		now, err := readInfo(ctx, s.client)
		if err != nil || now.number("rdb_bgsave_in_progress") != 0 {
			return false, err
		}
		if now["rdb_last_bgsave_status"] != "ok" {
			err = errors.New("the server could not save its data; the disk may be full")
		}
		return true, err
	}); err != nil {
		return err
	}
	file, err := os.Open(filepath.Join(s.dir, "dump.rdb"))
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.Copy(w, file); err != nil {
		return err
	}
	return os.Remove(file.Name())
}

func (s *daemon) waitFor(ctx context.Context, done func() (bool, error)) error {
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Restore starts a server with what Backup wrote. Nobody depends on its port
// yet, so that another will do.
func (p *Provider) Restore(ctx context.Context, id string, from io.Reader) error {
	unlock, err := p.Locks.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := p.load(id); !engine.IsMissing(err) {
		return errors.Join(errors.New("it is there already"), err)
	}
	in := bufio.NewReader(from)
	first, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	var s saved
	if err := json.Unmarshal(first, &s); err != nil || s.Record.ID != id {
		return errors.Join(errors.New("what was saved of it cannot be read"), err)
	}
	r := s.Record
	if r.Elsewhere {
		return p.save(r)
	}
	on, err := p.choose(ctx, r) // while the record says that there are data
	if err != nil {
		return err
	}
	if r.Engine != engine.Embedded {
		if err := p.place(id, in); err != nil {
			return err
		}
	}
	r.Engine, r.Provisioned = on.engine, false
	if _, err := p.ensure(ctx, &r); err != nil {
		return err
	}
	r.Provisioned = true
	return p.save(r)
}

// place puts an RDB file where a server looks for its log: a log may begin
// with one, and also a server that keeps its log in parts takes it up.
func (p *Provider) place(id string, content io.Reader) error {
	dir := p.serverDir(id)
	if err := p.User.MkdirAll(dir); err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(dir, "appendonly.aof"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(file, content)
	if err == nil && n == 0 {
		err = errors.New("what was saved of it lacks its data")
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return p.User.Own(file.Name())
}

package instance

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"
	"github.com/google/uuid"
)

// lockFile is locked while a niwa is at work on its directory.
const lockFile = "niwa.lock"

// home is the data directory, locked to one niwa at a time.
type home struct {
	dir   string
	lock  *flock.Flock
	key   []byte // seals secrets and signs URLs
	token string // speaks for the account
	id    string // tells this platform's containers from another's
}

// Record is what niwa.json tells other commands about the niwa that runs, or
// ran last, on a data directory.
type Record struct {
	PID       int       `json:"pid"`
	API       string    `json:"api"` // URL
	Router    string    `json:"router"`
	RouterTLS string    `json:"router_tls"`
	Metrics   string    `json:"metrics,omitempty"` // URL; empty where no router is
	Domain    string    `json:"domain"`
	Runtime   string    `json:"runtime"`
	Reason    string    `json:"runtime_reason"` // why that one
	Version   string    `json:"version"`
	StartedAt time.Time `json:"started_at"`
}

func openHome(dir string) (*home, error) {
	// Apps' users must be able to reach what is theirs below it.
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, spaceless(fmt.Errorf("data directory: %w", err))
	}
	h := &home{dir: dir, lock: flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600))}
	if err := h.take(); err != nil {
		return nil, spaceless(err)
	}
	if err := h.secrets(); err != nil {
		return nil, spaceless(errors.Join(err, h.close()))
	}
	return h, nil
}

// secrets reads the key, the token and the id, or makes them at first start.
func (h *home) secrets() (err error) {
	keyFile, tokenFile := filepath.Join(h.dir, "key"), filepath.Join(h.dir, "token")
	if h.key, err = kept(keyFile, func() []byte { k := make([]byte, 32); rand.Read(k); return k }); err != nil {
		return err
	}
	if len(h.key) != 32 {
		return fmt.Errorf("the key file %s holds %d bytes, not 32; put the original back, config vars cannot be read without it", keyFile, len(h.key))
	}
	token, err := kept(tokenFile, func() []byte { return []byte("HRKU-" + rand.Text() + rand.Text()) })
	if err != nil {
		return err
	}
	id, err := kept(filepath.Join(h.dir, "id"), func() []byte { return []byte(uuid.NewString()) })
	if err != nil {
		return err
	}
	if h.id = strings.TrimSpace(string(id)); uuid.Validate(h.id) != nil {
		return fmt.Errorf("the file %s is not the platform's id; put the original back, or remove it to have a new one made", filepath.Join(h.dir, "id"))
	}
	if h.token = strings.TrimSpace(string(token)); len(h.token) < 20 {
		return fmt.Errorf("the token file %s is too short to be safe; remove it to have a new one made", tokenFile)
	}
	return nil
}

// patientLock takes a lock, and is false when somebody else has it. Other
// commands hold it for an instant, to learn whether a niwa does, so one refusal
// is none.
func patientLock(lock *flock.Flock) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	locked, err := lock.TryLockContext(ctx, 50*time.Millisecond)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	return locked, err
}

// take locks the directory.
func (h *home) take() error {
	locked, err := patientLock(h.lock)
	if err != nil {
		return fmt.Errorf("data directory %s: %w", h.dir, err)
	}
	if !locked {
		return fmt.Errorf("another niwa%s runs on %s; stop it with \"niwa down --data %s\", or give this one another directory with --data", pidOf(h.dir), h.dir, h.dir)
	}
	// What a niwa that was killed said of itself is no longer true.
	if err := os.Remove(h.record()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, h.close())
	}
	return nil
}

func (h *home) record() string { return filepath.Join(h.dir, "niwa.json") }

// kept reads a secret file, or makes it, readable by its owner alone.
func kept(path string, fresh func() []byte) ([]byte, error) {
	data, err := os.ReadFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return data, err
	}
	data = fresh()
	return data, renameio.WriteFile(path, data, 0o600)
}

// spaceless words a full disk as what it is.
func spaceless(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("the disk is full; free some space and start again (%w)", err)
	}
	return err
}

func (h *home) email() string {
	name := "gardener"
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	return name + "@localhost"
}

func (h *home) publish(r Record) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(h.record(), append(data, '\n'), 0o644)
}

// ReadRecord reads what the niwa on a data directory last told of itself. It
// may have ended since.
func ReadRecord(dir string) (r Record, err error) {
	data, err := os.ReadFile(filepath.Join(dir, "niwa.json"))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(data, &r)
}

func pidOf(dir string) string {
	if r, err := ReadRecord(dir); err == nil {
		return fmt.Sprintf(" (pid %d)", r.PID)
	}
	return ""
}

func (h *home) close() error { return h.lock.Unlock() }

func (i *Instance) record(p parts) Record {
	s := p.nets
	return Record{
		PID: os.Getpid(), API: s.apiURL("http"), Router: "http://" + s.httpAddr,
		RouterTLS: "https://" + s.httpsAddr, Metrics: i.metricsURL(), Domain: i.cfg.Domain, Runtime: p.runtime.name, Reason: p.runtime.reason, Version: i.cfg.Version, StartedAt: time.Now().UTC(),
	}
}

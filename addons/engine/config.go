package engine

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"niwa/platform"
	"niwa/platform/docker"
	"niwa/platform/pki"
	"niwa/platform/proc"
)

// Config is what a provider works with.
type Config struct {
	Choice
	Dir    string // everything is kept here; users of other processes must be able to traverse it
	Procs  *proc.Table
	CA     *pki.Authority
	Host   string                                        // the address of this machine that apps reach; empty for 127.0.0.1
	Docker func(context.Context) (*docker.Engine, error) // connects to the engine of containers
	Log    *slog.Logger
}

// loopback is where niwa itself reaches the servers it runs.
const loopback = "127.0.0.1"

// Home is the directory of a provider, and what is made of its config.
type Home struct {
	Config
	User  User
	Roots *x509.CertPool // who signs the servers' certificates
	Locks Locks          // by add-on

	fetching   Locks       // of one key: who asks for the image
	containers *containers // nil until they are needed
}

// Open makes the directory, if it is not there.
func Open(c Config) (*Home, error) {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, err
	}
	c.Dir = dir
	if c.Host == "" {
		c.Host = loopback
	}
	h := &Home{Config: c, Roots: x509.NewCertPool()}
	if h.User, err = ServerUser(); err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(c.CA.CertFile())
	if err != nil {
		return nil, err
	}
	if !h.Roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no certificate", c.CA.CertFile())
	}
	if err := os.MkdirAll(h.records(), 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(h.Dir, 0o711); err != nil { // the servers' user passes through
		return nil, err
	}
	return h, errors.Join(Clean(h.Dir), Clean(h.records()))
}

// Hosts are the addresses at which servers listen.
func (h *Home) Hosts() []string { return slices.Compact([]string{loopback, h.Host}) }

// Names are whom a server's certificate is for.
func (h *Home) Names() []string { return append([]string{"localhost", "::1"}, h.Hosts()...) }

// FreePort chooses a port for a server of this machine.
func (h *Home) FreePort() (int, error) { return FreePort(h.Hosts()...) }

// CheckPort says whether a server could listen on a port.
func (h *Home) CheckPort(port int) error { return CheckPort(port, h.Hosts()...) }

// Processes is the launcher of the native and embedded engines.
func (h *Home) Processes() Launcher { return processes{h} }

func (h *Home) records() string             { return filepath.Join(h.Dir, "addons") }
func (h *Home) recordFile(id string) string { return filepath.Join(h.records(), id+".json") }
func (h *Home) Save(id string, r any) error { return Save(h.recordFile(id), r) }

// Load reads the record of an add-on, and says so when there is none.
func (h *Home) Load(id string, r any) error {
	if err := CheckID(id); err != nil {
		return err
	}
	err := Load(h.recordFile(id), r)
	if errors.Is(err, fs.ErrNotExist) {
		return platform.Missing("add_on")
	}
	return err
}

// Forget removes the record of an add-on, the last that there is of it.
func (h *Home) Forget(id string) error {
	if err := os.Remove(h.recordFile(id)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// IDs lists the add-ons that have a record.
func (h *Home) IDs() ([]string, error) {
	entries, err := os.ReadDir(h.records())
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), ".json"); ok && CheckID(id) == nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// IsMissing says that an error is that of Load for no record.
func IsMissing(err error) bool {
	var e *platform.Error
	return errors.As(err, &e) && e.ID == platform.NotFound
}

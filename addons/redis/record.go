package redis

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"niwa/addons"
	"niwa/addons/engine"
	"niwa/platform"
)

// readOnly is the one credential beside the default: it reads every key and
// writes none.
const readOnly = "readonly"

// record is what is kept of an add-on beside its server's own files.
type record struct {
	ID          string            `json:"id"`
	Port        int               `json:"port"` // apps have it in their config vars
	Plan        addons.Plan       `json:"plan"`
	Engine      engine.Mode       `json:"engine"`      // that ran last
	Provisioned bool              `json:"provisioned"` // somebody has been told the config
	CreatedAt   time.Time         `json:"created_at"`
	Admin       string            `json:"admin"`       // password of niwa's own user
	Credentials map[string]string `json:"credentials"` // passwords
	Settings    map[string]string `json:"settings"`    // those that were changed
}

func newRecord(req addons.Request) (record, error) {
	port, err := engine.FreePort()
	return record{
		ID:          req.ID,
		Port:        port,
		CreatedAt:   time.Now().UTC(),
		Admin:       engine.Password(),
		Credentials: map[string]string{addons.Default: engine.Password()},
		Settings:    map[string]string{},
	}, err
}

// addr is where the server listens.
func (r record) addr() string { return fmt.Sprintf("127.0.0.1:%d", r.Port) }

// config is what apps get. Like Heroku's, the default credential has no user
// name: old clients send none.
func (r record) config(credential string) map[string]string {
	user := credential
	if credential == addons.Default {
		user = ""
	}
	u := url.URL{Scheme: "rediss", User: url.UserPassword(user, r.Credentials[credential]), Host: r.addr()}
	return map[string]string{"URL": u.String()}
}

// setting is the value in force of a setting.
func (r record) setting(name string) string {
	if value, ok := r.Settings[name]; ok {
		return value
	}
	return r.defaultOf(name)
}

func (p *Provider) recordsDir() string          { return filepath.Join(p.Dir, "addons") }
func (p *Provider) recordFile(id string) string { return filepath.Join(p.recordsDir(), id+".json") }
func (p *Provider) serverDir(id string) string  { return filepath.Join(p.Dir, id) }
func (p *Provider) save(r record) error         { return engine.Save(p.recordFile(r.ID), r) }

// load reads the record of an add-on.
func (p *Provider) load(id string) (record, error) {
	var r record
	if err := engine.CheckID(id); err != nil {
		return r, err
	}
	err := engine.Load(p.recordFile(id), &r)
	if errors.Is(err, fs.ErrNotExist) {
		return r, platform.Missing("add_on")
	}
	return r, err
}

// ids lists the add-ons that were provisioned.
func (p *Provider) ids() ([]string, error) {
	entries, err := os.ReadDir(p.recordsDir())
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), ".json"); ok && engine.CheckID(id) == nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func isMissing(err error) bool {
	var e *platform.Error
	return errors.As(err, &e) && e.ID == platform.NotFound
}

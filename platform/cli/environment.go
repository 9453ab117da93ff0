package cli

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"
)

// variable is one line of the environment block.
type variable struct{ name, value string }

// environment is what the official CLI, and git, need in their environment to
// speak to one niwa and to nobody else. Each variable was tried against
// heroku 11.10.0; https://devcenter.heroku.com/articles/heroku-cli names few.
type environment struct {
	data  string // absolute path of the data directory
	port  string // where the API listens
	token string
	// lookup reads the environment that the block is to be merged into.
	lookup func(name string) (string, bool)
	// noEmpty says that the shell cannot set a variable to nothing.
	noEmpty bool
}

func (e environment) variables() ([]variable, error) {
	api := "http://localhost:" + e.port
	ca, err := e.authorities("NODE_EXTRA_CA_CERTS")
	if err != nil {
		return nil, err
	}
	vars := []variable{
		{"HEROKU_HOST", api},
		{"HEROKU_API_KEY", e.token},
		// Otherwise whoami waits seconds for particleboard.heroku.com and
		// shows it the token.
		{"HEROKU_PARTICLEBOARD_URL", api},
		// A host name alone: scheme and port are taken from HEROKU_HOST.
		{"HEROKU_DATA_HOST", "localhost"},
		{"HEROKU_BUILDPACK_REGISTRY_URL", api},
		{"HEROKU_STATUS_HOST", api},
		{"HEROKU_LOGIN_HOST", api},
		{"HEROKU_EXEC_URL", "https://localhost:" + e.port + "/"},
		{"HEROKU_CI_WEBSOCKET_URL", "ws://localhost:" + e.port + "/socket"},
		{"PGDIAGNOSE_URL", "localhost"},
		{"NODE_EXTRA_CA_CERTS", ca},
		{"DISABLE_TELEMETRY", "true"},
		{"HEROKU_SKIP_NEW_VERSION_CHECK", "true"},
		{"HEROKU_DISABLE_AUTOUPDATE", "1"},
	}
	vars = append(vars, e.noProxy()...)
	git, err := e.git()
	return append(vars, git...), err
}

// authorities returns a file that holds niwa's CA and, where the variable
// names one already (a company's), that too: the programs that read the
// variable read one file.
func (e environment) authorities(name string) (string, error) {
	own := filepath.Join(e.data, "ca", "ca.pem")
	theirs, _ := e.lookup(name)
	if theirs == "" || theirs == own {
		return own, nil
	}
	ours, err := os.ReadFile(own)
	if err != nil {
		return "", err
	}
	extra, err := os.ReadFile(theirs)
	if errors.Is(err, fs.ErrNotExist) {
		return own, nil // Node would have ignored it too
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if bytes.Contains(extra, bytes.TrimSpace(ours)) {
		return theirs, nil // the block is evaluated a second time
	}
	hash := sha256.Sum256([]byte(theirs))
	both := filepath.Join(e.data, "ca", fmt.Sprintf("ca-with-%x.pem", hash[:8]))
	bundle := slices.Concat(bytes.TrimSpace(extra), []byte("\n"), ours)
	return both, renameio.WriteFile(both, bundle, 0o644)
}

// noProxy keeps what is said to niwa away from a proxy, if there is one.
func (e environment) noProxy() []variable {
	proxies := []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"}
	if !slices.ContainsFunc(proxies, func(name string) bool { v, _ := e.lookup(name); return v != "" }) {
		return nil
	}
	var vars []variable
	for _, name := range []string{"NO_PROXY", "no_proxy"} { // programs differ in which they read
		value, _ := e.lookup(name)
		hosts := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
		for _, host := range []string{"localhost", "127.0.0.1"} {
			if !slices.Contains(hosts, host) {
				hosts = append(hosts, host)
			}
		}
		vars = append(vars, variable{name, strings.Join(hosts, ",")})
	}
	return vars
}

// git configures git without touching a file of the user's: settings in the
// environment are read last and by every git. What the environment holds
// already stays; what an earlier block put there is replaced.
func (e environment) git() ([]variable, error) {
	settings, existing := e.gitSettings(), e.gitExisting()
	all := slices.DeleteFunc(slices.Clone(existing), func(theirs variable) bool {
		return slices.ContainsFunc(settings, func(ours variable) bool { return ours.name == theirs.name })
	})
	all = append(all, settings...)
	vars := []variable{{"GIT_CONFIG_COUNT", strconv.Itoa(len(all))}}
	for i, s := range all {
		if i < len(existing) && existing[i] == s {
			continue // what has not changed may be a secret: not to be printed
		}
		vars = append(vars,
			variable{fmt.Sprintf("GIT_CONFIG_KEY_%d", i), s.name},
			variable{fmt.Sprintf("GIT_CONFIG_VALUE_%d", i), s.value})
	}
	// This variable overrides http.sslCAInfo.
	if theirs, _ := e.lookup("GIT_SSL_CAINFO"); theirs != "" {
		ca, err := e.authorities("GIT_SSL_CAINFO")
		if err != nil {
			return nil, err
		}
		vars = append(vars, variable{"GIT_SSL_CAINFO", ca})
	}
	return vars, nil
}

// gitExisting reads the settings that the environment holds already.
func (e environment) gitExisting() []variable {
	count, _ := e.lookup("GIT_CONFIG_COUNT")
	n, _ := strconv.Atoi(count)
	var settings []variable
	for i := range n {
		key, ok := e.lookup(fmt.Sprintf("GIT_CONFIG_KEY_%d", i))
		if !ok {
			break // git would refuse it
		}
		value, _ := e.lookup(fmt.Sprintf("GIT_CONFIG_VALUE_%d", i))
		settings = append(settings, variable{key, value})
	}
	return settings
}

func (e environment) gitSettings() []variable {
	url := "https://localhost:" + e.port + "/"
	settings := []variable{{"http." + url + ".sslCAInfo", filepath.Join(e.data, "ca", "ca.pem")}}
	// With the trailing slash it is not the key that the official CLI writes
	// at every command, and so neither disturbs the other. Nothing first, so
	// that no other helper is asked for the token or given it to keep.
	helper := "credential." + url + ".helper"
	if !e.noEmpty {
		settings = append(settings, variable{helper, ""})
	}
	return append(settings, variable{helper, e.credentialHelper()})
}

// credentialHelper is a shell function that git calls with get, store or
// erase. It reads the token from its file, so that no process list shows it.
func (e environment) credentialHelper() string {
	return `!f() { test "$1" = get || exit 0; printf 'username=heroku\npassword='; cat ` +
		shQuote(tokenFile(e.data)) + `; echo; }; f`
}

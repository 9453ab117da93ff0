package instance

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"niwa/platform/stack"
)

// freeMemory asks Linux how many bytes programs may still take without
// swapping. Elsewhere nobody knows, and everything is thought to fit.
func freeMemory() (int64, error) {
	data, err := os.ReadFile("/proc/meminfo")
	if errors.Is(err, fs.ErrNotExist) {
		return 1 << 62, nil
	}
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(string(data), "MemAvailable:")
	var kilobytes int64
	if _, err := fmt.Sscan(rest, &kilobytes); !found || err != nil {
		return 0, errors.New("/proc/meminfo does not say what is available")
	}
	return kilobytes << 10, nil
}

// machineEnv is the part of niwa's environment that build programs may see:
// where programs are, and how this machine reaches package sources: proxies,
// certificate authorities, and the mirrors and indexes that take the place of
// public ones. What only holds a secret (NPM_TOKEN, COMPOSER_AUTH,
// BUNDLE_RUBYGEMS__ORG) is not among it: that is for an app's config vars. A
// password in the URL of a proxy or a mirror is, and every app can read it.
func machineEnv() map[string]string {
	env := map[string]string{}
	for _, name := range []string{
		"PATH", "LANG",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
		"SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS",
		"GOPROXY", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOINSECURE", "GOTOOLCHAIN",
		"npm_config_registry", "NPM_CONFIG_REGISTRY", "COREPACK_NPM_REGISTRY", "YARN_REGISTRY", "YARN_NPM_REGISTRY_SERVER",
		"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_CERT", "PIPENV_PYPI_MIRROR",
		"UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INSECURE_HOST",
		"MAVEN_MIRROR_URL",
	} {
		if value, ok := os.LookupEnv(name); ok {
			env[name] = value
		}
	}
	// Bundler has the source in the name: BUNDLE_MIRROR__HTTPS://RUBYGEMS__ORG/.
	for _, pair := range os.Environ() {
		if name, value, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "BUNDLE_MIRROR__") {
			env[name] = value
		}
	}
	return env
}

// private are the folders whose content is no dyno's business: there are
// people's keys in the one, and niwa's own in the other.
func private(data string) []string {
	var dirs []string
	if home, err := os.UserHomeDir(); err == nil && filepath.IsAbs(home) && filepath.Clean(home) != "/" {
		dirs = append(dirs, filepath.Clean(home))
	}
	if abs, err := filepath.Abs(data); err == nil {
		dirs = append(dirs, abs)
	}
	return dirs
}

// certificates are what machineEnv names of this machine's certificate
// authorities, wherever they are.
func certificates() []string {
	var paths []string
	env := machineEnv()
	for _, name := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "PIP_CERT"} {
		if path := env[name]; path != "" {
			paths = append(paths, path)
		}
	}
	return paths
}

// containerEnv is machineEnv for builds in containers, which have programs of
// their own, and this machine's certificate authorities in one file.
func containerEnv() map[string]string {
	env := machineEnv()
	delete(env, "PATH")
	delete(env, "SSL_CERT_DIR")
	for _, name := range []string{"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "PIP_CERT"} {
		if _, ok := env[name]; ok {
			env[name] = stack.CAFile
		}
	}
	return env
}

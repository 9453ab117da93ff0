package instance

import "os"

// machineEnv is the part of niwa's environment that build programs may see:
// where programs are, and how this machine reaches package sources. Secrets
// are not among it, except those that somebody put into a proxy's URL.
func machineEnv() map[string]string {
	env := map[string]string{}
	for _, name := range []string{
		"PATH", "LANG",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
		"SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS",
		"GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOTOOLCHAIN",
		"npm_config_registry", "NPM_CONFIG_REGISTRY", "YARN_NPM_REGISTRY_SERVER",
		"PIP_INDEX_URL", "PIP_CERT",
	} {
		if value, ok := os.LookupEnv(name); ok {
			env[name] = value
		}
	}
	return env
}

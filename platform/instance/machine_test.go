package instance

import (
	"slices"
	"testing"

	"niwa/platform/stack"
)

func TestBuildsAreToldOfMirrorsAndOfNoSecretBesides(t *testing.T) {
	for _, name := range []string{"PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "NPM_CONFIG_REGISTRY", "GOPROXY", "MAVEN_MIRROR_URL", "BUNDLE_MIRROR__HTTPS://RUBYGEMS__ORG/"} {
		t.Setenv(name, "https://mirror.invalid/"+name)
	}
	for _, name := range []string{"NPM_TOKEN", "COMPOSER_AUTH", "BUNDLE_RUBYGEMS__ORG", "UV_INDEX_GARDEN_PASSWORD", "AWS_SECRET_ACCESS_KEY", "HEROKU_API_KEY"} {
		t.Setenv(name, "s3cret")
	}
	t.Setenv("PIP_CERT", "/somewhere/ca.pem")
	env := machineEnv()
	for name, value := range env {
		if value == "s3cret" {
			t.Errorf("builds see %s", name)
		}
	}
	for _, name := range []string{"PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "NPM_CONFIG_REGISTRY", "GOPROXY", "MAVEN_MIRROR_URL", "BUNDLE_MIRROR__HTTPS://RUBYGEMS__ORG/"} {
		if env[name] != "https://mirror.invalid/"+name || containerEnv()[name] != env[name] {
			t.Errorf("%s is %q for builds, and %q for those in containers", name, env[name], containerEnv()[name])
		}
	}
	if !slices.Contains(certificates(), "/somewhere/ca.pem") || containerEnv()["PIP_CERT"] != stack.CAFile {
		t.Errorf("certificate authorities are %v, and %q in containers", certificates(), containerEnv()["PIP_CERT"])
	}
}

package docker_test

import (
	"strings"
	"testing"

	"niwa/platform/docker"
	"niwa/platform/platformtest/need"
)

func TestTheEngineOfThisMachineAnswers(t *testing.T) {
	need.Tool(t, "docker")
	e, err := docker.Connect(t.Context(), "p1")
	if err != nil {
		need.Reason(t, "needs a running Docker engine: "+err.Error())
	}
	defer e.Close()
	gateway, err := e.Gateway(t.Context())
	if err != nil || !strings.Contains(gateway, ".") || e.Version == "" {
		t.Errorf("gateway %q, version %q, %v", gateway, e.Version, err)
	}
	if labels := e.Labels("a", "b"); labels[docker.Label] != "p1" || labels["a"] != "b" {
		t.Errorf("labels are %v", labels)
	}
}

func TestAnEngineThatIsNotThereIsSaidSo(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
	if _, err := docker.Connect(t.Context(), "p1"); err == nil || !strings.Contains(err.Error(), "/nowhere/docker.sock") || !strings.Contains(err.Error(), docker.Fix) {
		t.Errorf("got %v", err)
	}
}

package standin

import (
	"context"
	"os/exec"
	"testing"

	"github.com/google/uuid"
)

// Run runs a command in a container with a network of its own, as dynos have
// one, and returns what it says. Variables are NAME=VALUE.
func Run(t testing.TB, image string, variables []string, command ...string) (string, error) {
	t.Helper()
	network := "niwa-test-" + uuid.NewString()
	run(t, "", "docker", "network", "create", network)
	defer func() {
		if out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "docker", "network", "rm", network).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}()
	args := []string{"run", "--rm", "--network", network}
	for _, v := range variables {
		args = append(args, "--env", v)
	}
	out, err := exec.CommandContext(t.Context(), "docker", append(append(args, image), command...)...).CombinedOutput()
	return string(out), err
}

package standin_test

import (
	"os/exec"
	"testing"

	"niwa/platform/platformtest/standin"
)

func TestTheImagesHoldWhatTheyStandFor(t *testing.T) {
	standin.Engine(t)
	images := standin.Make(t)
	for _, command := range [][]string{
		{images.Postgres, "postgres", "--version"}, {images.Postgres, "pg_isready", "--version"},
		{images.Redis, "redis-server", "--version"}, {images.Redis, "redis-cli", "--version"},
		{images.Tools, "git", "--version"}, {images.Tools, "psql", "--version"},
	} {
		args := []string{"run", "--rm", "--network", "none", "--entrypoint", command[1], command[0], command[2]}
		if out, err := exec.CommandContext(t.Context(), "docker", args...).CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", command, err, out)
		}
	}
}

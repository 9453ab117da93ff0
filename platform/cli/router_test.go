package cli

import (
	"strings"
	"testing"
)

func TestARouterAloneNeedsTheDirectoryOfAPlatform(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	_, problem, status := niwa(t, nil, "router", "--data", data, "--router", "127.0.0.1:0", "--router-tls", "127.0.0.1:0")
	if status != 1 || !strings.Contains(problem, data) || !strings.Contains(problem, "niwa up") {
		t.Errorf("exit status %d, %q", status, problem)
	}
}

func TestThePortsOfARouterAloneAreNamed(t *testing.T) {
	t.Parallel()
	_, problem, status := niwa(t, []string{"NIWA_NO_ROUTER=true"}, "up", "--data", t.TempDir(), "--router", "127.0.0.1:0")
	if status != 1 || !strings.Contains(problem, "--no-router") || !strings.Contains(problem, "--router-tls") {
		t.Errorf("exit status %d, %q", status, problem)
	}
}

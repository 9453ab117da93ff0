package cli

import (
	"strings"
	"testing"
)

func TestSamplesAreListedAndDeployedByLanguage(t *testing.T) {
	t.Parallel()
	out, _, status := niwa(t, nil, "samples")
	if status != 0 || !strings.Contains(out, " go, fiber, postgres") {
		t.Errorf("exit status %d, %q", status, out)
	}
	_, problem, status := niwa(t, nil, "demo", "--lang", "cobol", "--data", t.TempDir())
	if status != 1 || !strings.Contains(problem, "niwa samples") {
		t.Errorf("exit status %d, %q", status, problem)
	}
}

package compare_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"niwa/platform/platformtest"
	"niwa/platform/platformtest/need"
)

// It is PHP that is measured, because it is built in two seconds.
func TestALanguageIsDeployedMeasuredAndGone(t *testing.T) {
	need.Tool(t, "php")
	need.Tool(t, "composer")
	p := platformtest.Up(t, platformtest.Build(t), platformtest.Dir(t), "--runtime", "process")
	plot := filepath.Join(t.TempDir(), "compare.svg")
	out, status := p.Niwa(t, p.Data, "compare", "php", "--reads", "1s", "--plot", plot)
	row := regexp.MustCompile(`(?m)^ +php +\d+\.\d\d s +\d+\.\d\d s +\d+\.\d\d s +[1-9]\d* MB +[1-9]\d* +[1-9]\d* *$`)
	if status != 0 || !row.MatchString(out) {
		t.Errorf("exit status %d:\n%s", status, out)
	}
	if svg, err := os.ReadFile(plot); err != nil || !strings.Contains(string(svg), ">php<") {
		t.Errorf("the plot: %v", err)
	}
	var apps []struct{ Name string }
	if code := p.Call(t, "GET", "/apps", nil, &apps); code != 200 || len(apps) > 0 {
		t.Errorf("afterwards there are %v (%d)", apps, code)
	}
}

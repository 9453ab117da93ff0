package instance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"niwa/platform/pki"
)

func TestWhoVouchesForAnAuthorityIsAskedForInWordsThatHelp(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ca, err := pki.Open(filepath.Join(dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		filepath.Join(dir, "none.pem"): "--acme-ca: there is no file",
		empty:                          "holds no certificate in PEM",
		dir:                            "--acme-ca: ",
	} {
		if _, err := rootsIn(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", file, err)
		}
	}
	if roots, err := rootsIn(ca.CertFile()); err != nil || roots == nil {
		t.Errorf("%v, %v", roots, err)
	}
	if roots, err := rootsIn(""); err != nil || roots != nil {
		t.Errorf("without a file the machine's own roots count: %v, %v", roots, err)
	}
}

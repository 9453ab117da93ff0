package postgres_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// occupy listens on a port until the test ends.
func occupy(t *testing.T, port uint16) {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
}

// writePidFile leaves what a killed server leaves, when its number has gone
// to another process of the same user.
func writePidFile(t *testing.T, dataDir string, pid int) {
	t.Helper()
	text := fmt.Sprintf("%d\n%s\n1700000000\n5432\n\n127.0.0.1\n0 0\nready\n", pid, dataDir)
	if err := os.WriteFile(filepath.Join(dataDir, "postmaster.pid"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

package apptest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"niwa/platform/platformtest/need"
)

// connections is how many a dyno has to ports of this machine, now. A server
// would count more: what a dyno has given up it may not have heard of yet.
func (d *dyno) connections(t *testing.T, ports ...string) int {
	t.Helper()
	own := d.sockets()
	n := 0
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(file)
		if err != nil {
			need.Reason(t, "needs /proc/net")
		}
		for line := range strings.Lines(string(table)) {
			fields := strings.Fields(line)
			_, port, _ := strings.Cut(fields[2], ":") // of the other side, in hexadecimal
			if number, err := strconv.ParseUint(port, 16, 16); err == nil && slices.Contains(ports, fmt.Sprint(number)) && own["socket:["+fields[9]+"]"] {
				n++
			}
		}
	}
	return n
}

// sockets are those of the dyno's processes, as /proc calls them.
func (d *dyno) sockets() map[string]bool {
	all := map[string]bool{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is a constant
	for _, stat := range stats {
		text, _ := os.ReadFile(stat) // a process may just have ended
		_, rest, _ := strings.Cut(string(text), ") ")
		if fields := strings.Fields(rest); len(fields) < 3 || fields[2] != fmt.Sprint(d.cmd.Process.Pid) { // its group
			continue
		}
		open, _ := filepath.Glob(filepath.Join(filepath.Dir(stat), "fd", "*"))
		for _, fd := range open {
			if what, err := os.Readlink(fd); err == nil {
				all[what] = true
			}
		}
	}
	return all
}

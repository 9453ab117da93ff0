package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"niwa/platform/instance"
)

// disk says how much room there is for what the data directory is to hold.
func disk(data string) finding {
	for _, err := os.Stat(data); err != nil && data != filepath.Dir(data); _, err = os.Stat(data) {
		data = filepath.Dir(data) // made at first start
	}
	space, err := instance.SpaceOf(data)
	if err != nil {
		return finding{"disk", "note", err.Error()}
	}
	if space.Scarce() {
		return finding{"disk", "note", space.String()}
	}
	return finding{"disk", "ok", space.String()}
}

// fewFiles is less than niwa should be able to have open: a request takes two
// connections, and every dyno a few pipes.
const fewFiles = 4096

// openFiles says how many files niwa may have open. Programs made with Go have
// the soft limit raised to the hard one as they start; dynos get the soft one
// that niwa was started with.
func openFiles() finding {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return finding{"files", "note", err.Error()}
	}
	text := fmt.Sprintf("%d may be open at a time, connections included", limit.Max)
	switch {
	case limit.Max > 1<<40:
		return finding{"files", "ok", "as many may be open as the system can"}
	case limit.Max < fewFiles:
		return finding{"files", "note", text + "; that is few: raise the hard limit (ulimit -Hn, or LimitNOFILE= of a systemd service)"}
	}
	return finding{"files", "ok", text}
}

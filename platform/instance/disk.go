package instance

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Space is what is left of the disk that a directory is on.
type Space struct {
	Free, Size int64 // bytes
	Files      int64 // that can still be made; negative when the file system does not count them
}

// What a disk must have to spare. Below it a push may not go through, and
// soon nothing else will.
const (
	scarceBytes = 64 << 20
	scarceFiles = 1000
)

// SpaceOf asks the file system of a directory.
func SpaceOf(dir string) (Space, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return Space{}, fmt.Errorf("disk of %s: %w", dir, err)
	}
	space := Space{Free: int64(s.Bavail) * int64(s.Bsize), Size: int64(s.Blocks) * int64(s.Bsize), Files: -1}
	if s.Files > 0 {
		space.Files = int64(s.Ffree)
	}
	return space, nil
}

// Scarce says whether there is so little that niwa cannot go on as usual.
func (s Space) Scarce() bool {
	return s.Free < scarceBytes || s.Files >= 0 && s.Files < scarceFiles
}

func (s Space) String() string {
	text := fmt.Sprintf("%s free of %s", SizeText(s.Free), SizeText(s.Size))
	if s.Files >= 0 && s.Files < scarceFiles {
		text += fmt.Sprintf(", and room for %d more files", s.Files)
	}
	if s.Scarce() {
		text += ": what runs goes on, but changes and pushes may be refused until there is more"
	}
	return text
}

// SizeText is a number of bytes for people.
func SizeText(bytes int64) string {
	switch {
	case bytes < 1<<20:
		return fmt.Sprintf("%d kB", bytes>>10)
	case bytes < 1<<30:
		return fmt.Sprintf("%.1f MB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("%.1f GB", float64(bytes)/(1<<30))
}

// watchDisk says when space becomes scarce, and when there is enough again.
func (i *Instance) watchDisk(ctx context.Context) {
	every := time.NewTicker(5 * time.Second)
	defer every.Stop()
	for scarce := false; ; {
		space, err := SpaceOf(i.cfg.Data)
		switch {
		case err != nil:
			i.cfg.Log.Error("looking at the disk", "error", err)
		case space.Scarce() && !scarce:
			i.cfg.Log.Warn("the disk that holds niwa's data is nearly full", "space", space)
		case scarce && !space.Scarce():
			i.cfg.Log.Warn("the disk that holds niwa's data has room again", "space", space)
		}
		scarce = err == nil && space.Scarce()
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

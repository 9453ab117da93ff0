package route

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// preferHugePages makes a random access cheaper by a third. Without them it
// works all the same. What is written after may wait for memory to be put in
// order first; what was written before is moved meanwhile, where the kernel
// (from 6.1 on) can do that, and some time later by another.
func (b *block) preferHugePages() {
	if len(b.bytes) < chunkSize {
		return
	}
	_ = unix.Madvise(b.bytes, unix.MADV_HUGEPAGE)
	go func() {
		_ = unix.Madvise(b.bytes, unix.MADV_COLLAPSE)
		runtime.KeepAlive(b)
	}()
}

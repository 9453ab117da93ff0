//go:build unix

package route

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// allocate makes a block of zeros. Like the runtime, it ends the program when
// the system has no memory.
func allocate(size int) *block {
	if size < largeBlock {
		return &block{make([]byte, size)}
	}
	bytes, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		panic(fmt.Sprintf("no memory for the route table: %d bytes: %v", size, err))
	}
	b := &block{bytes}
	runtime.AddCleanup(b, func(bytes []byte) { unix.Munmap(bytes) }, bytes)
	return b
}

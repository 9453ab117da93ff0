package home

import (
	"os"

	"golang.org/x/sys/unix"
)

// inQueue asks how many bytes can be read.
const inQueue = unix.TIOCINQ

// widen gives the pipe room, if the kernel will.
func widen(f *os.File) {
	if conn, err := f.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, room) })
	}
}

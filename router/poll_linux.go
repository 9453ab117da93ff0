package router

import "golang.org/x/sys/unix"

const hangUpEvents = unix.POLLRDHUP

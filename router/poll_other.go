//go:build unix && !linux

package router

// Without POLLRDHUP only a connection that was closed both ways is noticed.
const hangUpEvents = 0

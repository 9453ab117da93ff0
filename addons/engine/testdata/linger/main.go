// Linger is a server for tests: it says "up" in a file of its working
// directory, and "down" when it is asked to finish.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	if err := os.WriteFile("up", nil, 0o644); err != nil {
		panic(err)
	}
	<-stop
	if err := os.WriteFile("down", nil, 0o644); err != nil {
		panic(err)
	}
}

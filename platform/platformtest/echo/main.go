// Command echo is the app that deploys are tested with: it answers a request
// with what it was asked, and says in the header Version which one it is. One
// request in a thousand takes a while, so that when a dyno is to stop there
// often is one under way.
// At SIGTERM it ends as web servers do, letting the requests under way have
// their answers, or with --abrupt without a thought for them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"niwa/platform/platformtest/load"
)

func main() {
	version := flag.String("version", "", "what the header Version says")
	abrupt := flag.Bool("abrupt", false, "die of SIGTERM")
	flag.Parse()
	s := &http.Server{Addr: ":" + os.Getenv("PORT"), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Version", *version)
		if rand.IntN(1000) == 0 {
			time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond)
		}
		load.Echo(w, r)
	})}
	ended := make(chan struct{})
	if *abrupt {
		close(ended)
	} else {
		go shutdown(s, ended)
	}
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
	<-ended
}

// shutdown waits for SIGTERM and then for the requests under way.
func shutdown(s *http.Server, ended chan<- struct{}) {
	defer close(ended)
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	<-term
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
	}
}

package siege

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"niwa/platform/platformtest/escape"
	"niwa/platform/platformtest/load"
)

// routerConnections has mallory connect to the router as often as it can, and
// then a new visitor come.
func (s *siege) routerConnections(t *testing.T, l *load.Load) (string, bool) {
	dyno := s.run(t, fmt.Sprintf("./attacker sockets %s %d", strings.TrimPrefix(s.Router, "http://"), files))
	said := s.said(t, dyno, escape.Done)
	visited(t, l, 200)
	visitor := s.visitors(1, 1)
	answered := make(chan struct{})
	go func() { visitor.Wait(); close(answered) }()
	kept := false
	select {
	case <-answered:
	case <-time.After(5 * time.Second):
		kept = true
	}
	s.end(t, dyno)
	<-answered
	return fmt.Sprintf("%s; a new visitor of garden has to wait: %t", said, kept), kept
}

// redisConnections has mallory connect to garden's Redis as often as the plan
// allows, and garden then try.
func (s *siege) redisConnections(t *testing.T, _ *load.Load) (string, bool) {
	theirs, err := url.Parse(s.config(t, gardenName)["REDIS_URL"])
	if err != nil {
		t.Fatal(err)
	}
	return s.connections(t, theirs, 1000, func() error {
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: 3 * time.Second}, "tcp", theirs.Host, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return err
		}
		defer c.Close()
		password, _ := theirs.User.Password()
		fmt.Fprintf(c, "AUTH %s\r\n", strings.TrimSpace(theirs.User.Username()+" "+password))
		answer, err := bufio.NewReader(c).ReadString('\n')
		if err == nil && answer != "+OK\r\n" {
			err = errors.New(strings.TrimSpace(answer))
		}
		return err
	})
}

// postgresConnections is the same of Postgres, which both have.
func (s *siege) postgresConnections(t *testing.T, _ *load.Load) (string, bool) {
	theirs, err := url.Parse(s.config(t, gardenName)["DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	return s.connections(t, theirs, 2000, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		c, err := pgx.Connect(ctx, theirs.String())
		if err != nil {
			return err
		}
		return c.Close(ctx)
	})
}

func (s *siege) connections(t *testing.T, theirs *url.URL, n int, use func() error) (string, bool) {
	t.Helper()
	if err := use(); err != nil {
		t.Errorf("garden cannot use its own add-on: %v", err)
	}
	dyno := s.run(t, fmt.Sprintf("./attacker sockets %s %d", theirs.Host, n))
	said := s.said(t, dyno, escape.Done)
	err := use()
	s.end(t, dyno)
	if err != nil {
		return fmt.Sprintf("%s; garden meanwhile: %v", said, err), true
	}
	return said + "; garden connects all the same", false
}

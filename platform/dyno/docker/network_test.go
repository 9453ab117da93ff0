package docker_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"niwa/platform/dyno"
	"niwa/platform/dyno/dynotest"
)

// serving listens at an address of this machine and greets who comes.
func serving(t *testing.T, host string) (port int) {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "hello\n")
			c.Close()
		}
	}()
	return ln.Addr().(*net.TCPAddr).Port
}

func TestADynoIsReachedFromThisMachineAndNotFromOtherDynos(t *testing.T) {
	r, cfg := newRunner(t, configOf)
	gateway, err := cfg.Engine.Gateway(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slug := dynotest.Slug(t)
	app, out := uuid.NewString(), &transcript{}
	victim := dyno.Spec{ID: uuid.NewString(), App: app, UID: uid(1), Slug: slug, Web: true, Output: out,
		Command: `socat TCP-LISTEN:$PORT,fork SYSTEM:'echo hello' & echo up; wait`}
	addr, err := r.Start(within(t), victim)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(within(t), victim.ID, 0); err != nil {
			t.Error(err)
		}
		<-waiting(t, r, victim.ID)
	})
	if got := hear(t, addr); got != "hello\n" {
		t.Errorf("from this machine it says %q", got)
	}
	if !r.Accepts(within(t), victim.ID) || r.Accepts(within(t), uuid.NewString()) {
		t.Error("it is not told whether a dyno accepts connections")
	}

	public, private := serving(t, gateway), serving(t, "127.0.0.1")
	for name, tt := range map[string]struct {
		app, target string
		reached     bool
	}{
		"a dyno of another app":               {uuid.NewString(), addr, false},
		"a dyno of the same app":              {app, addr, false},
		"this machine's loopback":             {app, fmt.Sprintf("%s:%d", gateway, private), false},
		"what this machine offers containers": {app, fmt.Sprintf("%s:%d", gateway, public), true},
	} {
		t.Run(name, func(t *testing.T) {
			out := &transcript{}
			spec := dyno.Spec{ID: uuid.NewString(), App: tt.app, UID: uid(2), Slug: slug, Output: out,
				Command: "socat -u TCP:" + tt.target + ",connect-timeout=2 - 2>/dev/null; echo tried"}
			if _, err := r.Start(within(t), spec); err != nil {
				t.Fatal(err)
			}
			<-waiting(t, r, spec.ID)
			if got := out.String(); !strings.HasSuffix(got, "tried\n") || strings.HasPrefix(got, "hello\n") != tt.reached {
				t.Errorf("it hears %q", got)
			}
		})
	}
}

// hear dials a dyno until it listens, and reads what it says.
func hear(t *testing.T, addr string) string {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err != nil && time.Now().Before(deadline) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		text, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

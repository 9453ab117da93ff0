package dynotest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"niwa/platform/dyno"
	"niwa/platform/platformtest/need"
)

func ownView(t *testing.T, b *bench) {
	app := uuid.NewString()
	spec := dyno.Spec{App: app, Limits: dyno.Limits{Memory: 96 * mega},
		Command: `pwd; echo $HOME $TMPDIR; ls -A /tmp | wc -l; touch /tmp/mine; awk '/^MemTotal|^MemAvailable/ { print $2 }' /proc/meminfo; echo up; sleep 600`}
	want := "/app\n/app /tmp\n0\n98304\n98304\nup\n"
	for range 2 { // the second has a /tmp of its own
		r := b.start(t, spec)
		r.out.expect(t, "up\n")
		if out := r.out.String(); out != want {
			t.Errorf("it sees %q, want %q", out, want)
		}
	}
	exit, out := b.result(t, dyno.Spec{Command: "for dir in / /etc /usr/bin /dev /proc; do touch $dir/x 2>/dev/null && echo made $dir/x; done; exit 0"})
	if exit.Code != 0 || out != "" {
		t.Errorf("ended as %+v with %q", exit, out)
	}
}

func ownProcesses(t *testing.T, b *bench) {
	// It is not the first, and not alone; nobody else is there.
	_, out := b.result(t, dyno.Spec{Command: `sleep 600 & for dir in /proc/[0-9]*; do tr '\0' ' ' <$dir/cmdline; echo; done; kill $!`})
	var others []string
	for line := range strings.Lines(out) {
		program, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		own := []string{"", "sleep", "tr", "bash", "sh", "/bin/bash", "/bin/sh", "/usr/bin/bash"}
		if !slices.Contains(own, program) && !strings.HasSuffix(program, "niwa-pid1") {
			others = append(others, line)
		}
	}
	if len(others) > 0 || !strings.Contains(out, "niwa-pid1") || !strings.Contains(out, "sleep 600") {
		t.Errorf("a dyno sees %q; not its own are %q", out, others)
	}
}

func privileges(t *testing.T, b *bench) {
	_, out := b.result(t, dyno.Spec{Command: "grep -E '^(CapPrm|CapEff|CapAmb|NoNewPrivs)' /proc/self/status"})
	if out == "" {
		need.Reason(t, "needs /proc")
	}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		if want := map[bool]string{true: "1", false: "0000000000000000"}[name == "NoNewPrivs"]; value != want {
			t.Errorf("%s is %s, want %s", name, value, want)
		}
	}
}

// otherApp has the dyno of one app do what it can against another's.
func otherApp(t *testing.T, b *bench) {
	if b.UID == 0 && b.Exposed {
		need.Reason(t, "needs root, or a runner that can hide the machine from dynos here")
	}
	secret := uuid.NewString()
	slug := Slug(t, Entry{Name: "config", Text: secret + "\n", Mode: 0o666})
	victim := b.start(t, dyno.Spec{Slug: slug, Env: map[string]string{"SECRET": secret},
		Command: `echo "$SECRET" | tee "$TMPDIR/kept" >/dev/null; trap 'echo hit; exit 1' HUP TERM INT USR1; echo $$ "$HOME" "$TMPDIR"; while :; do sleep 0.05; done`})
	victim.out.expect(t, "\n")
	var pid, home, tmp string
	if _, err := fmt.Sscan(victim.out.String(), &pid, &home, &tmp); err != nil {
		t.Fatal(err)
	}
	attacker := dyno.Spec{App: uuid.NewString(), Env: map[string]string{"VICTIM": pid, "THERE": home + " " + tmp},
		Command: `cat /proc/*/environ /proc/$VICTIM/root$HOME/config /proc/$VICTIM/cwd/config 2>/dev/null | tr '\0' '\n'
		for dir in $THERE; do cat $dir/config $dir/kept; ls $dir/..; done 2>/dev/null
		trap '' HUP INT TERM USR1
		for signal in HUP INT TERM USR1 KILL; do [ $VICTIM = $$ ] || kill -$signal $VICTIM; done 2>/dev/null
		kill -TERM -1; echo done`}
	if b.UID != 0 {
		attacker.UID = b.UID + 1
	}
	_, out := b.result(t, attacker)
	if strings.Contains(out, secret) {
		t.Errorf("it read the other app's secret:\n%s", out)
	}
	if !b.Exposed && !strings.Contains(out, "done") {
		t.Errorf("it did not get to the end, so that nothing is shown:\n%s", out)
	}
	if said := victim.out.String(); strings.Contains(said, "hit") {
		t.Errorf("it sent a signal to the other app: %q", said)
	}
	victim.stop(t, limit) // which it lived to see
	if exit := victim.wait(t); exit != (dyno.Exit{Code: 1}) {
		t.Errorf("the other app ended as %+v", exit)
	}
}

package dynotest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"niwa/platform/dyno"
)

const mega = 1 << 20

// hog is a command that makes the shell hold so many bytes, for as long as it
// runs.
func hog(bytes int) string {
	return fmt.Sprintf(`hog=$(head -c %d /dev/zero | tr '\0' x)`, bytes)
}

func (b *bench) memory(t *testing.T, r *run) int64 {
	t.Helper()
	used, err := b.runner.Memory(within(t), r.id)
	if err != nil {
		t.Fatal(err)
	}
	return used
}

func memoryMeasured(t *testing.T, b *bench) {
	dir := Dir(t)
	if err := syscall.Mkfifo(filepath.Join(dir, "go"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := b.start(t, dyno.Spec{Dir: dir, Command: `exec 8<>go; echo up; read line <&8; ` + hog(40*mega) + `; echo grown; read line <&8`})
	r.out.expect(t, "up")
	before := b.memory(t, r)
	if before <= 0 || before > 64*mega {
		t.Errorf("a shell and no more uses %d MB", before/mega)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	r.out.expect(t, "grown")
	if grown := b.memory(t, r) - before; grown < 35*mega || grown > 200*mega {
		t.Errorf("it grew by %d MB, and the runner says %d", 40, grown/mega)
	}
	r.stop(t, 0)
	r.wait(t)
	if used, err := b.runner.Memory(within(t), r.id); err == nil {
		t.Errorf("a dyno that has ended uses %d bytes", used)
	}
}

func memoryExhausted(t *testing.T, b *bench) {
	for name, command := range map[string]string{
		"by its command": hog(200*mega) + "; sleep 600",
		"by a child":     "bash -c '" + strings.ReplaceAll(hog(200*mega), "'", `'\''`) + "; sleep 600'; echo the child has gone; sleep 600",
	} {
		t.Run(name, func(t *testing.T) {
			r := b.start(t, dyno.Spec{Command: command, Limits: dyno.Limits{Memory: 64 * mega}})
			if exit := r.wait(t); exit != (dyno.Exit{Code: 137, Signal: "SIGKILL", Exhausted: true}) {
				t.Errorf("ended as %+v", exit)
			}
		})
	}
}

func memoryWithin(t *testing.T, b *bench) {
	exit, out := b.result(t, dyno.Spec{
		Command: hog(90*mega/2) + "; sleep 1.5; echo still here; exit 4", // with what it takes to make that
		Limits:  dyno.Limits{Memory: 64 * mega, CPU: 512, Processes: 64},
	})
	if exit != (dyno.Exit{Code: 4}) || out != "still here\n" {
		t.Errorf("ended as %+v with %q", exit, out)
	}
}

func processLimit(t *testing.T, b *bench) {
	// As fork bombs do, and dash gives up when it cannot.
	r := b.start(t, dyno.Spec{
		Command: `sh -c 'i=0; while [ $i -lt 300 ]; do sleep 600 & i=$((i+1)); done; echo all'; echo over; sleep 600`,
		Limits:  dyno.Limits{Processes: 50},
	})
	r.out.expect(t, "over\n")
	if out := r.out.String(); strings.Contains(out, "all\n") {
		t.Errorf("of 50 processes it has 300: %q", out)
	}
}

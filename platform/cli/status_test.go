package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"niwa/platform/instance"
)

func TestNothingRunsIsSaidByName(t *testing.T) {
	for _, command := range []string{"status", "down"} {
		for name, data := range map[string]string{"after a stop": dataDir(t, "localhost:5100"), "before any start": filepath.Join(t.TempDir(), "none")} {
			t.Run(command+" "+name, func(t *testing.T) {
				stdout, stderr, status := niwa(t, nil, command, "--data", data)
				if status != 1 || stdout != "" || !strings.Contains(stderr, "niwa is not running on "+data) {
					t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
				}
			})
		}
	}
}

func TestStatusSaysWhatRunsWhere(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t0ken" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `[{"name":"users","web_url":"http://users.localhost:8080/"}]`)
	}))
	t.Cleanup(api.Close)
	data := dataDir(t, strings.TrimPrefix(api.URL, "http://"))
	hold(t, data)
	stdout, stderr, status := niwa(t, nil, "status", "--data", data)
	for _, want := range []string{"niwa test", "process: asked for", "http://127.0.0.1:8080", "https://127.0.0.1:8443", "app users", "http://users.localhost:8080/"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("status %d, stderr %q: no %q in\n%s", status, stderr, want, stdout)
		}
	}
}

func TestDownStopsTheRecordedProcessAndWaitsForItsLock(t *testing.T) {
	data := dataDir(t, "localhost:5100")
	lock := hold(t, data)
	// A process in niwa's place: when it has got its SIGTERM the lock goes.
	sleeper := exec.Command("sleep", "60")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		err := sleeper.Wait()
		lock.Unlock()
		ended <- err
	}()
	rec, _ := json.Marshal(instance.Record{PID: sleeper.Process.Pid})
	write(t, filepath.Join(data, "niwa.json"), string(rec))

	stdout, stderr, status := niwa(t, nil, "down", "--data", data)
	if want := fmt.Sprintf("niwa (pid %d) has stopped\n", sleeper.Process.Pid); status != 0 || stdout != want {
		t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
	select {
	case err := <-ended:
		if err == nil || err.Error() != "signal: terminated" {
			t.Errorf("it ended with %v, want SIGTERM", err)
		}
	case <-time.After(10 * time.Second):
		sleeper.Process.Kill()
		t.Error("it was not stopped")
	}
}

func TestARecordThatNamesNoProcessStopsNothing(t *testing.T) {
	data := dataDir(t, "localhost:5100")
	hold(t, data)
	for _, pid := range []string{"0", "-1", "1"} {
		write(t, filepath.Join(data, "niwa.json"), `{"pid":`+pid+`,"api":"localhost:5100"}`)
		if _, stderr, status := niwa(t, nil, "down", "--data", data); status != 1 || !strings.Contains(stderr, "names no process") {
			t.Errorf("pid %s: status %d, stderr %q", pid, status, stderr)
		}
	}
}

func TestAskingForTheLockDoesNotTakeIt(t *testing.T) {
	data := dataDir(t, "localhost:5100")
	lock := hold(t, data)
	if up, err := running(data); !up || err != nil {
		t.Errorf("while it is held: %v, %v", up, err)
	}
	lock.Unlock()
	if up, err := running(data); up || err != nil {
		t.Errorf("when it is free: %v, %v", up, err)
	}
	if ok, err := lock.TryLock(); !ok || err != nil {
		t.Errorf("it cannot be taken after: %v, %v", ok, err)
	}
}

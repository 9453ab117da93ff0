package home_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"niwa/platform/dyno"
	"niwa/platform/dyno/dynotest"
	"niwa/platform/dyno/home"
)

const limit = 30 * time.Second

func uid() int {
	if os.Geteuid() != 0 {
		return 0
	}
	return 61000
}

func newHome(t *testing.T, spec dyno.Spec) *home.Home {
	t.Helper()
	spec.UID = uid()
	h, err := home.Make(t.Context(), filepath.Join(dynotest.Dir(t), "dyno"), spec)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// dynoSide is the pipe as the dyno holds it.
func dynoSide(t *testing.T, h *home.Home) *os.File {
	t.Helper()
	fd, err := syscall.Open(h.Out, syscall.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), h.Out)
	t.Cleanup(func() { f.Close() })
	return f
}

func write(t *testing.T, f *os.File, text string) {
	t.Helper()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func wait(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatal("the output does not end")
	}
}

func TestWhatWasWrittenWhileNobodyReadIsRead(t *testing.T) {
	h := newHome(t, dyno.Spec{Slug: dynotest.Slug(t)})
	side := dynoSide(t, h)
	write(t, side, "before\n")
	var out bytes.Buffer
	ended := make(chan struct{})
	done, err := h.Pump(&out, ended)
	if err != nil {
		t.Fatal(err)
	}
	write(t, side, strings.Repeat("x", 3<<20)) // more than a pipe holds
	close(ended)                               // with the pipe still held
	wait(t, done)
	if got := out.String(); got != "before\n"+strings.Repeat("x", 3<<20) {
		t.Errorf("%d bytes arrived", len(got))
	}
	write(t, side, "after\n")
	if strings.Contains(out.String(), "after") {
		t.Error("somebody who got away is still read")
	}
}

func TestAPumpThatStoppedIsFollowedByAnother(t *testing.T) {
	h := newHome(t, dyno.Spec{Slug: dynotest.Slug(t)})
	side := dynoSide(t, h)
	for _, text := range []string{"one\n", "two\n"} {
		write(t, side, text)
		var out bytes.Buffer
		ended := make(chan struct{})
		close(ended)
		done, err := h.Pump(&out, ended)
		if err != nil {
			t.Fatal(err)
		}
		wait(t, done)
		if out.String() != text {
			t.Errorf("%q arrived, want %q", &out, text)
		}
	}
}

func TestAPipeThatAnAppHasReplacedIsNotRead(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, replace := range map[string]func(path string) error{
		"by a link": func(path string) error { return os.Symlink(secret, path) },
		"by a file": func(path string) error { return os.WriteFile(path, []byte("s3cret"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			spec := dyno.Spec{Slug: dynotest.Slug(t)}
			h := newHome(t, spec)
			if err := errors.Join(os.Remove(h.Out), replace(h.Out)); err != nil {
				t.Fatal(err)
			}
			if _, err := h.Pump(&bytes.Buffer{}, nil); err == nil {
				t.Error("it is read")
			}
			if _, err := home.Open(h.Dir, spec); err == nil {
				t.Error("the home is said to be whole")
			}
		})
	}
}

func TestAnEndIsReadFromItsRecord(t *testing.T) {
	for name, tt := range map[string]struct {
		record string
		want   dyno.Exit
		ok     bool
	}{
		"none yet":            {"", dyno.Exit{}, false},
		"a status":            {`{"code":3,"signal":""}`, dyno.Exit{Code: 3}, true},
		"a signal":            {`{"code":143,"signal":"SIGTERM"}`, dyno.Exit{Code: 143, Signal: "SIGTERM"}, true},
		"torn":                {`{"code":1`, dyno.Exit{}, false},
		"no status there is":  {`{"code":-1}`, dyno.Exit{Code: 255}, true},
		"more than one reads": {strings.Repeat(" ", 1<<20) + `{"code":1}`, dyno.Exit{}, false},
		"what the app makes up": {`{"code":0,"signal":"SIG\u001b[2J","exhausted":true}`,
			dyno.Exit{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t, dyno.Spec{Slug: dynotest.Slug(t)})
			if err := os.WriteFile(h.Exit, []byte(tt.record), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, ok := h.Ended(); got != tt.want || ok != tt.ok {
				t.Errorf("ended as %+v, %v", got, ok)
			}
		})
	}
}

func TestADynosUserHasItsOwnAndNoMore(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("as an ordinary user all is one user's")
	}
	h := newHome(t, dyno.Spec{Slug: dynotest.Slug(t), Limits: dyno.Limits{Memory: 512 << 20}})
	for path, own := range map[string]bool{h.Dir: false, h.Run: false, h.MemInfo: false, h.MemLimit: false, h.App: true, h.Tmp: true, h.Out: true, h.Exit: true} {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if owner := int(info.Sys().(*syscall.Stat_t).Uid); (owner == uid()) != own {
			t.Errorf("%s belongs to %d", path, owner)
		}
		if info.Mode().Perm()&0o022 != 0 {
			t.Errorf("others may write to %s", path)
		}
	}
}

func TestTheMemoryThatADynoSeesIsItsOwn(t *testing.T) {
	h := newHome(t, dyno.Spec{Slug: dynotest.Slug(t), Limits: dyno.Limits{Memory: 512 << 20}})
	info, err := os.ReadFile(h.MemInfo)
	if err != nil || !bytes.HasPrefix(info, []byte("MemTotal:         524288 kB\nMemFree:          524288 kB\nMemAvailable:     524288 kB\n")) {
		t.Errorf("%s, %v", info, err)
	}
	if most, err := os.ReadFile(h.MemLimit); err != nil || string(most) != "536870912\n" {
		t.Errorf("%s, %v", most, err)
	}
	if h := newHome(t, dyno.Spec{Slug: dynotest.Slug(t)}); h.MemInfo != "" || h.MemLimit != "" {
		t.Error("a dyno without a limit has files that tell of it")
	}
}

func TestAHomeIsOpenedAgainWhenItIsWhole(t *testing.T) {
	spec := dyno.Spec{Slug: dynotest.Slug(t), Limits: dyno.Limits{Memory: 512 << 20}}
	h := newHome(t, spec)
	again, err := home.Open(h.Dir, dyno.Spec{Limits: spec.Limits})
	if err != nil || *again != *h {
		t.Errorf("got %+v, %v; want %+v", again, err, h)
	}
	if err := os.Remove(h.Exit); err != nil {
		t.Fatal(err)
	}
	if _, err := home.Open(h.Dir, spec); err == nil {
		t.Error("one without a record is said to be whole")
	}
	if err := h.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := home.Open(h.Dir, spec); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("one that was removed: %v", err)
	}
}

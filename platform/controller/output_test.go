package controller

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"niwa/platform"
)

func TestATranscriptThatIsOnlyAnnouncedTakesNoFile(t *testing.T) {
	o := newOutputs(t.TempDir())
	for range 3 { // the transaction that announced it was rolled back, and tried again
		o.open("one")
	}
	if left, _ := os.ReadDir(o.dir); len(left) > 0 {
		t.Errorf("there is %v", left)
	}
	var missing *platform.Error
	if _, err := o.follow(t.Context(), "another"); !errors.As(err, &missing) || missing.ID != platform.NotFound {
		t.Errorf("following what was never announced: %v", err)
	}
}

func TestWhoFollowsSeesTheTranscriptThatIsWritten(t *testing.T) {
	o := newOutputs(t.TempDir())
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.dir, "one"), []byte("what an earlier run has left, which is longer"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := o.open("one")
	followed, err := o.follow(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	defer followed.Close()
	got := make(chan string)
	go func() {
		text, err := io.ReadAll(followed)
		if err != nil {
			t.Error(err)
		}
		got <- string(text)
	}()
	select {
	case text := <-got:
		t.Fatalf("it ended before it began, with %q", text)
	case <-time.After(20 * time.Millisecond):
	}
	io.WriteString(out, "first ")
	io.WriteString(out, "second")
	if err := out.close(); err != nil {
		t.Fatal(err)
	}
	if text := <-got; text != "first second" {
		t.Errorf("got %q", text)
	}
}

package addonstest

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"niwa/addons"
)

// backup restores what one provider saved to another, on another directory.
// They do not run side by side, as what the engine runs for a platform is
// known by the platform's id.
func backup(t *testing.T, f *fixture) {
	id, config := f.provision(t)
	client := f.dial(t, config)
	put(t, client, "kept", "yes")
	var reader map[string]string
	if creator, ok := f.Provider.(addons.CredentialCreator); ok {
		var err error
		if reader, err = creator.CreateCredential(t.Context(), id, "readonly"); err != nil {
			t.Fatal(err)
		}
	}
	var saved bytes.Buffer
	err := f.Provider.(addons.Backuper).Backup(t.Context(), id, &saved)
	if err != nil && f.Lacks != "" && strings.Contains(err.Error(), f.Lacks) {
		return // which is said, and how to have it
	}
	if err != nil {
		t.Fatal(err)
	}
	put(t, client, "later", "yes") // the server goes on
	client.Close()
	if err := f.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	t.Run("restored", func(t *testing.T) {
		other := f.Suite.open(t)
		restorer := other.Provider.(addons.Restorer)
		if err := restorer.Restore(t.Context(), id, bytes.NewReader(saved.Bytes())); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(config, other.provisionAs(t, id)); diff != "" {
			t.Error("the config is another")
		}
		if f.Durable && !f.Elsewhere {
			client := other.dial(t, config)
			wantValue(t, client, "kept", "yes")
			if value, err := client.Get(t.Context(), "later"); err == nil {
				t.Errorf("what was put after the backup is there: %q", value)
			}
			put(t, client, "more", "yes")
		}
		if reader != nil {
			client := other.dial(t, reader)
			if f.Durable {
				wantValue(t, client, "kept", "yes")
			}
			if err := client.Put(t.Context(), "kept", "no"); !f.WriteRefused(err) {
				t.Errorf("the read-only credential may write: %v", err)
			}
		}
		if err := restorer.Restore(t.Context(), id, bytes.NewReader(saved.Bytes())); err == nil {
			t.Error("it was restored over itself")
		}
		for name, damaged := range map[string]string{
			"nothing": "", "cut off": saved.String()[:saved.Len()/2], "another's": saved.String(), "no backup": strings.Repeat("x", 5000) + "\n",
		} {
			if err := restorer.Restore(t.Context(), uuid.NewString(), strings.NewReader(damaged)); err == nil {
				t.Errorf("%s was restored", name)
			}
		}
	})
	f.reopen(t)
	if err := f.Deprovision(t.Context(), id); err != nil {
		t.Error(err)
	}
}

func backupOfNothing(t *testing.T, f *fixture) {
	var saved bytes.Buffer
	if err := f.Provider.(addons.Backuper).Backup(t.Context(), uuid.NewString(), &saved); !isNotFound(err) {
		t.Errorf("got %v and %d bytes", err, saved.Len())
	}
}

package controller_test

import (
	"testing"
	"time"

	"niwa/platform"
	"niwa/platform/controller"
	"niwa/platform/store"
)

// made sets when an app's dynos were made, on record.
func (f *fixture) made(t *testing.T, at time.Time) {
	t.Helper()
	err := f.store.Update(t.Context(), func(tx *store.Tx) error {
		all, err := tx.Dynos()
		if err != nil {
			return err
		}
		for _, d := range all {
			d.CreatedAt, d.UpdatedAt = at, at
			if err := tx.SaveDyno(d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestARestartIsCarriedOutOnceWhateverTheClockIsSetTo(t *testing.T) {
	for name, at := range map[string]time.Time{
		"set back by a day":        time.Now().UTC().AddDate(0, 0, 1),
		"set forward by two years": time.Now().UTC().AddDate(-2, 0, 0),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.deploy(t, f.app(t, "garden"), map[string]string{"worker": "wait"})
			f.scale(t, "garden", controller.FormationUpdate{Type: "worker", Quantity: ptr("1")})
			f.dynosAre(t, "garden", "worker.1 up v2")
			f.made(t, at.Truncate(time.Microsecond))
			next := f.kill(t)
			next.dynosAre(t, "garden", "worker.1 up v2")
			before := only(t, next).ID
			if err := next.Restart(t.Context(), "garden", ""); err != nil {
				t.Fatal(err)
			}
			await(t, "another", func() string {
				if d := only(t, next); d.ID == before || d.State != platform.DynoUp {
					return d.State
				}
				return "another"
			})
			after := only(t, next).ID
			next.scale(t, "garden", controller.FormationUpdate{Type: "worker", Quantity: ptr("2")}) // by which all is looked at again
			next.dynosAre(t, "garden", "worker.1 up v2, worker.2 up v2")
			dynos, err := next.Dynos(t.Context(), "garden")
			if err != nil || dynos[0].ID != after {
				t.Errorf("it was restarted twice: %v", err)
			}
		})
	}
}

// only is an app's only dyno.
func only(t *testing.T, f *fixture) platform.Dyno {
	t.Helper()
	dynos, err := f.Dynos(t.Context(), "garden")
	if err != nil {
		t.Fatal(err)
	}
	if len(dynos) != 1 {
		return platform.Dyno{}
	}
	return dynos[0]
}

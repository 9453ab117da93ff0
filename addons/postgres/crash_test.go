package postgres_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"niwa/addons/addonstest"
	"niwa/addons/engine"
	"niwa/addons/postgres"
	"niwa/platform/pki"
	"niwa/platform/proc"
)

func TestMain(m *testing.M) { addonstest.Main(m, openProvider) }

func openProvider(ctx context.Context, c engine.Config) (addonstest.Provider, error) {
	return postgres.New(ctx, c)
}

func TestAServerOutlivesAKilledNiwaWithItsConnections(t *testing.T) {
	needPostgres(t)
	dir := filepath.Join(addonstest.NewHome(t).Dir, "niwa")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	niwa := addonstest.Victim{Dir: dir, Choice: only(engine.Native).Choice, ID: uuid.NewString(), Steps: []string{"provision"}}
	niwa.Start(t)
	url := niwa.Await(t, "end", "provision")
	before := connect(t, url)
	if _, err := before.Exec(t.Context(), "create table kept (n int); insert into kept values (1)"); err != nil {
		t.Fatal(err)
	}
	niwa.Kill(t)
	procs, err := proc.Open(filepath.Join(dir, "procs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = procs.Close(context.Background()) })
	ca, err := pki.Open(filepath.Join(dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := postgres.New(t.Context(), (&addonstest.Home{Dir: dir, CA: ca, Procs: procs, Log: slog.Default()}).Config(engine.Native))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	if err := before.Ping(t.Context()); err != nil {
		t.Errorf("a connection from before is cut: %v", err)
	}
	if swept, err := procs.Sweep(""); err != nil || len(swept) > 0 {
		t.Errorf("swept %v, %v", swept, err)
	}
	var n int
	if err := connect(t, url).QueryRow(t.Context(), "select n from kept").Scan(&n); err != nil || n != 1 {
		t.Errorf("got %d, %v", n, err)
	}
}

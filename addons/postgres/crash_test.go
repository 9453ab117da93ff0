package postgres_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"niwa/addons"
	"niwa/addons/addonstest"
	"niwa/addons/engine"
	"niwa/addons/postgres"
	"niwa/platform/pki"
	"niwa/platform/proc"
)

// victimDir tells the test binary to be the niwa that gets killed.
const victimDir = "NIWA_TEST_VICTIM_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		if err := victim(dir); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// victim provisions a database, says its id and URL, and waits for the end.
func victim(dir string) error {
	procs, err := proc.Open(filepath.Join(dir, "procs"))
	if err != nil {
		return err
	}
	ca, err := pki.Open(filepath.Join(dir, "ca"))
	if err != nil {
		return err
	}
	home := &addonstest.Home{Dir: dir, CA: ca, Procs: procs, Log: slog.Default()}
	p, err := postgres.New(context.Background(), home.Config(engine.Native))
	if err != nil {
		return err
	}
	id := uuid.NewString()
	resource, err := p.Provision(context.Background(), addons.Request{ID: id})
	if err != nil {
		return err
	}
	fmt.Println(id, resource.Config["URL"])
	select {}
}

func TestAServerOutlivesAKilledNiwaWithItsConnections(t *testing.T) {
	needPostgres(t)
	dir := filepath.Join(addonstest.NewHome(t).Dir, "niwa")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	niwa := exec.Command(os.Args[0])
	niwa.Env = append(os.Environ(), victimDir+"="+dir)
	out, err := niwa.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := niwa.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	id, url, ok := strings.Cut(strings.TrimSpace(line), " ")
	if err != nil || !ok || engine.CheckID(id) != nil {
		t.Fatalf("it says %q, %v", line, err)
	}
	before := connect(t, url)
	if _, err := before.Exec(t.Context(), "create table kept (n int); insert into kept values (1)"); err != nil {
		t.Fatal(err)
	}
	if err := niwa.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = niwa.Wait() // it was killed
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

package platformtest_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"niwa/platform"
	"niwa/platform/platformtest"
	"niwa/platform/platformtest/standin"
)

// TestDataServicesInContainersOutliveAKilledNiwa takes a database and a
// Key-Value Store in containers through a kill of niwa, and to their end.
func TestDataServicesInContainersOutliveAKilledNiwa(t *testing.T) {
	engine, images := standin.Engine(t), standin.Make(t)
	flags := []string{"--engines", "docker", "--postgres-image", images.Postgres, "--redis-image", images.Redis}
	binary, data := platformtest.Build(t), platformtest.Dir(t)
	p := platformtest.Up(t, binary, data, flags...)
	engine.Platform = platformOf(t, data)

	p.Call(t, http.MethodPost, "/apps", map[string]string{"name": "garden"}, nil)
	for _, plan := range []string{"heroku-postgresql", "heroku-redis"} {
		var addon struct{ ID, State string }
		p.Call(t, http.MethodPost, "/apps/garden/addons", map[string]string{"plan": plan}, &addon)
		platformtest.Await(t, plan, func() (string, bool) {
			p.Call(t, http.MethodGet, "/addons/"+addon.ID, nil, &addon)
			return addon.State, addon.State == platform.AddonProvisioned
		})
	}
	vars := config(t, p, "garden")
	execute(t, vars["DATABASE_URL"], "create table kept ()")
	before := containersOf(t, engine)
	if !strings.HasPrefix(before, "2 containers and 0 networks") {
		t.Errorf("there are %s", before)
	}

	p.Kill(t)
	p = platformtest.Up(t, binary, data, flags...)
	if now := containersOf(t, engine); now != before {
		t.Errorf("there were %s, and now are %s", before, now)
	}
	if now := config(t, p, "garden"); now["DATABASE_URL"] != vars["DATABASE_URL"] || now["REDIS_URL"] != vars["REDIS_URL"] {
		t.Error("the config vars are others")
	}
	execute(t, vars["DATABASE_URL"], "select from kept")

	p.Call(t, http.MethodDelete, "/apps/garden", nil, nil)
	platformtest.Await(t, "the end of the Key-Value Store", func() (string, bool) {
		now := containersOf(t, engine)
		return now, strings.HasPrefix(now, "1 containers")
	})
	p.Stop(t)
	if left := containersOf(t, engine); !strings.HasPrefix(left, "0 containers") {
		t.Errorf("left: %s", left)
	}
}

func execute(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url+"?sslmode=require")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Errorf("%s: %v", sql, err)
	}
}

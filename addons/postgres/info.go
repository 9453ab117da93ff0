package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"niwa/addons"
	"niwa/addons/engine"
)

// Info has the rows of pg:info, under Heroku's names and in its order, and
// which engine it is.
func (p *Provider) Info(ctx context.Context, id string, plan addons.Plan) ([]addons.Row, error) {
	r, c, unlock, err := p.open(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var connections, tables int
	var used int64
	err = c.in(ctx, r.database(), func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `select
			(select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()),
			(select count(*) from pg_stat_user_tables),
			pg_database_size(current_database())`).Scan(&connections, &tables, &used)
	})
	if err != nil {
		return nil, err
	}
	rows := []addons.Row{
		engine.Row("Plan", engine.HumanPlan(plan.Name)),
		engine.Row("Status", "Available"),
		engine.Row("Connections", engine.Of(connections, plan.Connections)),
		engine.Row("PG Version", c.version),
		engine.Row("Created", r.CreatedAt.Format("2006-01-02 15:04")),
		engine.Row("Data Size", dataSize(used, plan)),
		engine.Row("Tables", strconv.Itoa(tables)),
		engine.Row("Fork/Follow", "Unsupported"),
		engine.Row("Rollback", "Unsupported"),
		engine.Row("Continuous Protection", "Off"),
		engine.Row("Maintenance", "not required"),
		engine.Row("Engine", fmt.Sprintf("%s, PostgreSQL %s", c.engine, c.version)),
	}
	return rows, nil
}

// dataSize is Heroku's form for plans that hold a limit against it, and the
// size alone for the dedicated ones.
func dataSize(used int64, plan addons.Plan) string {
	if plan.StorageBytes == 0 || !strings.Contains(plan.Name, ":essential") {
		return size(used)
	}
	compliance := "In compliance"
	if used > plan.StorageBytes {
		compliance = "Over the plan's limit, which is not enforced here"
	}
	return fmt.Sprintf("%s/%s (%.2f%%) (%s)", size(used), size(plan.StorageBytes),
		100*float64(used)/float64(plan.StorageBytes), compliance)
}

func size(n int64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB"}
	value, unit := float64(n), 0
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	return strings.TrimSuffix(strconv.FormatFloat(value, 'f', 1, 64), ".0") + " " + units[unit]
}

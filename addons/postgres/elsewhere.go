package postgres

import (
	"context"
	"errors"
	"net/url"

	"github.com/jackc/pgx/v5"

	"niwa/addons/engine"
	"niwa/platform"
)

// oldestElsewhere is the oldest major version that will do for a server that
// niwa does not administer: before it, everybody might write into the schema
// public of every database.
const oldestElsewhere = 15

// meet looks whether the server elsewhere will do.
func (p *Provider) meet(ctx context.Context) (*cluster, error) {
	if !p.Elsewhere() {
		return nil, platform.Errorf(platform.Unavailable, "This database is on an external server; start niwa with its --postgres-url, and --engines auto or external.")
	}
	u, err := engine.PostgresURL(p.URL)
	if err != nil {
		return nil, err
	}
	login, err := pgx.ParseConfig(u.String())
	if err != nil { // which holds the URL
		return nil, errors.New("the URL of the external Postgres server is not understood")
	}
	if login.Database == "" {
		login.Database = "postgres"
	}
	login.RuntimeParams["application_name"], login.ConnectTimeout = "niwa", patience/2
	c := &cluster{engine: engine.External, login: login, address: url.URL{Scheme: "postgres", Host: u.Host}}
	switch mode := u.Query().Get("sslmode"); mode {
	case "":
	case "verify-ca", "verify-full": // apps have not the certificate to verify it with
		c.address.RawQuery = "sslmode=require"
	default:
		c.address.RawQuery = url.Values{"sslmode": {mode}}.Encode()
	}
	role, err := c.look(ctx)
	if err != nil {
		return nil, platform.Errorf(platform.Unavailable, "The Postgres server at %s does not let niwa in: %v", u.Host, err)
	}
	if err := c.check(u.Host, role); err != nil {
		return nil, err
	}
	return c, nil
}

// check says what the administrator has to do before niwa can work there.
func (c *cluster) check(host string, r role) error {
	name := ident(r.name)
	switch {
	case c.major < oldestElsewhere:
		return platform.Errorf(platform.Unavailable, "The server at %s is PostgreSQL %s, and an external one has to be %d or newer.", host, c.version, oldestElsewhere)
	case c.superuser:
		return nil
	case !r.makesDatabases || !r.makesRoles:
		return platform.Errorf(platform.Unavailable, "The role %s may not make databases and roles at %s: alter role %s createdb createrole.", name, host, name)
	case !r.inherits && c.major < 16:
		return platform.Errorf(platform.Unavailable, "The role %s does not inherit at %s: alter role %s inherit.", name, host, name)
	}
	return nil
}

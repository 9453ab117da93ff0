package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"niwa/platform/client"
	"niwa/platform/instance"
	sampleapp "niwa/sample-app"
)

func demoCommand(opts *options, program Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the platform with the lesson's app deployed: niwa up, and something to look at",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd, opts, program, func(ctx context.Context) error {
				return teach(ctx, opts, cmd.OutOrStdout())
			})
		},
	}
	opts.bindServer(cmd.Flags())
	return cmd
}

func teach(ctx context.Context, opts *options, out io.Writer) error {
	source, err := sampleapp.Tarball("go")
	if err != nil {
		return err
	}
	rec, err := instance.ReadRecord(opts.Data)
	if err != nil {
		return err
	}
	token, err := readToken(opts.Data)
	if err != nil {
		return err
	}
	l := lesson{client: client.New(rec.API, token), router: rec.Router, domain: opts.Domain, source: source, out: out}
	if err := l.run(ctx); err != nil {
		return fmt.Errorf("the lesson is not complete: %w", err)
	}
	app, err := l.client.App(ctx, lessonApp)
	if err != nil {
		return err
	}
	fmt.Fprint(out, nextSteps(self(opts), strings.TrimSuffix(app.WebURL, "/")))
	return nil
}

// self is how to call this niwa from another terminal.
func self(opts *options) string {
	name := os.Args[0]
	if opts.Data != defaultData() {
		name += " --data " + shQuote(opts.Data)
	}
	return name
}

func nextSteps(niwa, app string) string {
	steps := `
The app answers at APP/, from Postgres with a Redis cache before it.
In another terminal, try:

  curl -i APP/users -d '{"name":"Ada","email":"ada@example.com"}' -H 'Content-Type: application/json'
  curl -i APP/users/1            twice: X-Cache says miss, then hit

  NIWA heroku logs --tail --app users
  NIWA heroku ps:scale web=2 --app users
  NIWA heroku pg:psql --app users
  NIWA heroku run bash --app users

  eval "$(NIWA env)"     then heroku and git push heroku main work as they are

Ctrl-C stops everything; the next start finds it as it was.
`
	return strings.NewReplacer("APP", app, "NIWA", niwa).Replace(steps)
}

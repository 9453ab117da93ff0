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
	"niwa/platform/lesson"
	sampleapp "niwa/sample-app"
)

func demoCommand(opts *options, program Program) *cobra.Command {
	lang := lesson.Default
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the platform with the lesson's app deployed: niwa up, and something to look at",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			source, err := sampleapp.Tarball(lang) // before anything is started
			if err != nil {
				return err
			}
			return serve(cmd, opts, program, func(ctx context.Context) error {
				return teach(ctx, opts, lang, source, cmd.OutOrStdout())
			})
		},
	}
	opts.bindServer(cmd.Flags())
	cmd.Flags().StringVar(&lang, "lang", lang, "`LANGUAGE` of the app; \"niwa samples\" lists them")
	return cmd
}

func teach(ctx context.Context, opts *options, lang string, source []byte, out io.Writer) error {
	rec, err := instance.ReadRecord(opts.Data)
	if err != nil {
		return err
	}
	token, err := readToken(opts.Data)
	if err != nil {
		return err
	}
	l := lesson.Lesson{
		Client: client.New(rec.API, token), Router: rec.Router, Domain: opts.Domain,
		Name: lesson.Name(lang), Lang: lang, Source: source, Out: out,
	}
	if err := l.Run(ctx); err != nil {
		return fmt.Errorf("the lesson is not complete: %w", err)
	}
	app, err := l.Client.App(ctx, l.Name)
	if err != nil {
		return err
	}
	fmt.Fprint(out, nextSteps(self(opts), l.Name, strings.TrimSuffix(app.WebURL, "/")))
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

func nextSteps(niwa, name, url string) string {
	steps := `
The app answers at URL/, from Postgres with a Redis cache before it.
In another terminal, try:

  curl -i URL/users -d '{"name":"Ada","email":"ada@example.com"}' -H 'Content-Type: application/json'
  curl -i URL/users/1            twice: X-Cache says miss, then hit

  NIWA heroku logs --tail --app APP
  NIWA heroku ps:scale web=2 --app APP
  NIWA heroku pg:psql --app APP
  NIWA heroku run bash --app APP

  eval "$(NIWA env)"     then heroku and git push heroku main work as they are

Ctrl-C stops everything; the next start finds it as it was.
`
	return strings.NewReplacer("URL", url, "APP", name, "NIWA", niwa).Replace(steps)
}

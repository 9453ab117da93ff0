package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"niwa/platform/instance"
)

func routerCommand(opts *options, program Program) *cobra.Command {
	var follow string
	cmd := &cobra.Command{
		Use:   "router",
		Short: "Run a router alone, which goes on when niwa stops or is killed",
		Long: "A router alone serves the apps of the niwa on the data directory, as the one\n" +
			"inside \"niwa up\" does, but goes on when that niwa stops or is killed. There may\n" +
			"be several. \"niwa up --no-router\" leaves --router and --router-tls to one:\n\n" +
			"  niwa up --no-router\n" +
			"  niwa router\n\n" +
			"With --follow it has a directory of its own, keeps there what it was last told,\n" +
			"and may be on another machine, if the addresses of dynos lead from there to them:\n\n" +
			"  HEROKU_API_KEY=... niwa router --data DIR --follow https://HOST:5100 --listen :80\n\n" +
			"It runs as niwa's user, until Ctrl-C or SIGTERM; requests in flight have 30 s\n" +
			"to end then. \"niwa status\" lists the routers that run.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serveAlone(cmd, opts, program, follow) },
	}
	cmd.Flags().StringVar(&follow, "follow", "", "`URL` of a platform elsewhere, such as https://niwa.example.com:5100; its token is in HEROKU_API_KEY")
	cmd.Flags().StringVar(&opts.Router, "listen", opts.Router, "the same as --router")
	for _, name := range []string{"router", "router-tls", "router-strictness", "metrics", "domain"} {
		opts.bind(cmd.Flags(), name)
	}
	return cmd
}

func serveAlone(cmd *cobra.Command, opts *options, program Program, follow string) error {
	first, second, release := interrupts(cmd.Context())
	defer release()
	cfg := opts.config(program, cmd.ErrOrStderr())
	cfg.Follow, cfg.FollowToken = follow, os.Getenv("HEROKU_API_KEY")
	router, err := instance.StartRouter(first, cfg)
	if err != nil {
		return err
	}
	announce(cmd.OutOrStdout(), router)
	select {
	case <-first.Done():
	case <-router.Done():
		err = router.Err()
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "stopping; requests have 30 s to end, and Ctrl-C cuts them off")
	return errors.Join(err, shutDown(second, router))
}

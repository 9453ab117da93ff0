package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"niwa/platform/instance"
)

func routerCommand(opts *options, program Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "router",
		Short: "Run a router alone, which goes on when niwa stops or is killed",
		Long: "A router alone serves the apps of the niwa on the data directory, as the one\n" +
			"inside \"niwa up\" does, but goes on when that niwa stops or is killed. There may\n" +
			"be several. \"niwa up --no-router\" leaves --router and --router-tls to one:\n\n" +
			"  niwa up --no-router\n" +
			"  niwa router\n\n" +
			"It runs as niwa's user, until Ctrl-C or SIGTERM; requests in flight have 30 s\n" +
			"to end then. \"niwa status\" lists the routers that run.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serveAlone(cmd, opts, program) },
	}
	for _, name := range []string{"router", "router-tls", "router-strictness", "metrics", "domain"} {
		opts.bind(cmd.Flags(), name)
	}
	return cmd
}

func serveAlone(cmd *cobra.Command, opts *options, program Program) error {
	first, second, release := interrupts(cmd.Context())
	defer release()
	router, err := instance.StartRouter(first, opts.config(program, cmd.ErrOrStderr()))
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

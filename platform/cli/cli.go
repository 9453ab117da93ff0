// Package cli is niwa's command line: it reads flags and the environment,
// once, and hands what they say to the platform, or to the official heroku
// CLI. Nothing else in niwa looks at either.
package cli

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"
)

// Program is what the binary carries.
type Program struct {
	Version    string
	Elements   []byte // elements.yaml, the marketplace
	Buildpacks fs.FS  // a folder for each of niwa's own buildpacks
}

// Run runs one command line, without the program's name, and returns the exit
// status. An error is one line on stderr that says what to do.
func Run(ctx context.Context, program Program, args []string, stdout, stderr io.Writer) int {
	root := newRoot(program)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(stderr, "niwa: %s\n", strings.TrimSpace(err.Error()))
		return 1
	}
	return 0
}

func newRoot(program Program) *cobra.Command {
	opts := newOptions()
	root := &cobra.Command{
		Use:   "niwa",
		Short: "A Heroku-shaped platform on this machine",
		Long: "niwa is a Heroku-shaped platform on this machine: the official heroku CLI\n" +
			"and git push drive it unmodified.\n\n" +
			"Start with \"niwa demo\", which also deploys an app to look at, or \"niwa up\".",
		SilenceErrors: true,
		SilenceUsage:  true,
		// So that "niwa --data DIR heroku apps --json" leaves the flags after
		// heroku to the official CLI.
		TraverseChildren: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("there is no command %q; \"niwa help\" lists them", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return opts.check()
		},
	}
	opts.bindData(root.PersistentFlags())
	root.AddCommand(
		upCommand(opts, program),
		routerCommand(opts, program),
		demoCommand(opts, program),
		samplesCommand(),
		compareCommand(opts),
		envCommand(opts),
		herokuCommand(opts),
		doctorCommand(opts),
		stackCommand(opts),
		routingCommand(opts),
		statusCommand(opts),
		downCommand(opts),
		backupCommand(opts, program),
		restoreCommand(opts, program),
		versionCommand(program),
	)
	return root
}

func versionCommand(program Program) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this niwa",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintf(cmd.OutOrStdout(), "niwa %s\n", program.Version)
		},
	}
}

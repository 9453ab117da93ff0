package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"niwa/platform/instance"
)

func restoreCommand(opts *options, program Program) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a platform of what niwa backup wrote",
		Long: "Make the data directory a platform of what niwa backup wrote, data of add-ons\n" +
			"included. It takes the place of an empty directory or of none; with --force\n" +
			"also of a platform, which is kept aside under a name that is printed. An\n" +
			"archive that was cut off or changed is refused before anything is written,\n" +
			"and whatever fails later leaves the directory as it was.\n\n" +
			"It is the same platform: the same token, key, names and ids. Do not run it\n" +
			"beside the one that was backed up on one Docker engine.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			ctx, done := interruptible(cmd.Context())
			defer done()
			r, err := instance.Restore(ctx, opts.config(program, cmd.ErrOrStderr()), file, force)
			if err != nil {
				return interrupted(ctx, err)
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s is the platform of %s: %d apps and %d add-ons\n",
				opts.Data, r.CreatedAt.Local().Format("2006-01-02 15:04:05"), len(r.Apps), len(r.Addons))
			if r.Aside != "" {
				fmt.Fprintf(out, "the one before is in %s; remove it when you need it no more\n", r.Aside)
			}
			fmt.Fprintf(out, "start it with \"niwa up\"\n")
			return nil
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace the platform that is there, and keep it aside")
	opts.bindEngines(cmd.Flags())
	return cmd
}

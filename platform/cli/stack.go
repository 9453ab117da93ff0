package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"niwa/platform/docker"
	"niwa/platform/stack"
)

func stackCommand(opts *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stack",
		Short: "Make the images that containers' dynos are made of",
	}
	force := false
	build := &cobra.Command{
		Use:   "build",
		Short: "Make the stack images, if this niwa's recipe has not made them yet",
		Long: "Make the stack images, if this niwa's recipe has not made them yet, and\n" +
			"remove those of older recipes that no container uses.\n\n" +
			"The recipe starts from an image of a registry. Where none answers it starts\n" +
			"from Debian's packages, which takes root and debootstrap.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			say := func(format string, args ...any) { fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...) }
			engine, err := docker.Connect(cmd.Context(), "")
			if err != nil {
				return err
			}
			defer engine.Close()
			s, err := stack.New(engine, opts.StackBase, say)
			if err != nil {
				return err
			}
			missing, err := s.Missing(cmd.Context())
			if err != nil {
				return err
			}
			if force || len(missing) > 0 {
				if err := s.Build(cmd.Context()); err != nil {
					return err
				}
			}
			for _, name := range []string{s.Images().Run, s.Images().Build} {
				size, err := s.Size(cmd.Context(), name)
				if err != nil {
					return err
				}
				say("%s is there (%d MB)", name, size>>20)
			}
			return s.RemoveOthers(cmd.Context())
		},
	}
	build.Flags().BoolVar(&force, "force", false, "make them anew, with the newest packages")
	opts.bind(build.Flags(), "stack-base")
	cmd.AddCommand(build)
	return cmd
}

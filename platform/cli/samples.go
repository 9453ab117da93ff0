package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	sampleapp "niwa/sample-app"
)

func samplesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "samples",
		Short: "List the sample apps: one workload, in every language",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			samples, err := sampleapp.Samples()
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, s := range samples {
				fmt.Fprintf(w, "%s\t%s\n", s.Language, strings.Join(s.Keywords, ", "))
			}
			if err := w.Flush(); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "\n\"niwa demo --lang LANGUAGE\" deploys one.")
			return nil
		},
	}
}

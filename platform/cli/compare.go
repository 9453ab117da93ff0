package cli

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"niwa/platform/client"
	"niwa/platform/compare"
	sampleapp "niwa/sample-app"
)

func compareCommand(opts *options) *cobra.Command {
	var plot string
	var reads time.Duration
	cmd := &cobra.Command{
		Use:   "compare [LANGUAGE...]",
		Short: "Deploy the sample app in each language, and compare what they cost",
		Long: "Deploy the sample app in each language on the niwa that runs, one after the\n" +
			"other, and print what its builds, its start, its memory and its reads cost. Each\n" +
			"is destroyed when it has been measured.",
		RunE: func(cmd *cobra.Command, langs []string) error {
			c, err := comparison(opts, reads, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			rows, failed := measure(cmd, c, langs)
			if len(rows) == 0 {
				return failed
			}
			if err := compare.Table(cmd.OutOrStdout(), rows); err != nil {
				return err
			}
			if plot != "" {
				if err := compare.Plot(plot, rows); err != nil {
					return fmt.Errorf("the plot: %w", err)
				}
			}
			return failed
		},
	}
	cmd.Flags().StringVar(&plot, "plot", "", "also draw it, into an SVG `FILE`")
	cmd.Flags().DurationVar(&reads, "reads", 5*time.Second, "how long the app is read from, each way")
	return cmd
}

func comparison(opts *options, reads time.Duration, progress io.Writer) (compare.Comparison, error) {
	rec, err := find(opts.Data)
	if err != nil {
		return compare.Comparison{}, err
	}
	token, err := readToken(opts.Data)
	if err != nil {
		return compare.Comparison{}, err
	}
	return compare.Comparison{Client: client.New(rec.API, token), Router: rec.Router, Domain: rec.Domain, Reads: reads, Out: progress}, nil
}

// measure measures each language, all of them where none is named. With an
// error it returns those that could be.
func measure(cmd *cobra.Command, c compare.Comparison, langs []string) (rows []compare.Row, failed error) {
	if len(langs) == 0 {
		samples, err := sampleapp.Samples()
		if err != nil {
			return nil, err
		}
		for _, s := range samples {
			langs = append(langs, s.Language)
		}
	}
	sources := make([][]byte, len(langs))
	for i, lang := range langs { // before anything is deployed
		var err error
		if sources[i], err = sampleapp.Tarball(lang); err != nil {
			return nil, err
		}
	}
	ctx, done := interruptible(cmd.Context())
	defer done()
	for i, lang := range langs {
		row, err := c.Measure(ctx, lang, sources[i])
		if ctx.Err() != nil {
			return nil, fmt.Errorf("interrupted: %w", err)
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s could not be measured: %w", lang, err))
			continue
		}
		rows = append(rows, row)
	}
	return rows, failed
}

package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"niwa/platform/client"
)

func routingCommand(opts *options) *cobra.Command {
	var weights map[string]int
	cmd := &cobra.Command{
		Use:   "routing APP [POLICY]",
		Short: "Show, or choose, which of an app's web dynos get its requests",
		Long: "Show, or choose, which of an app's web dynos get its requests.\n\n" +
			"  random             any of them: Heroku's, and that of every new app\n" +
			"  round-robin        each in its turn\n" +
			"  least-outstanding  the one with the fewest requests in flight\n" +
			"  two-choices        of two at random the one with fewer requests in flight\n\n" +
			"Weights are shares: of web.1=9 and web.2=1, a canary, web.2 gets a tenth, and\n" +
			"of web.2=0 nothing. The rest have 1. What is chosen counts from the next\n" +
			"request on; each router sees only what it has in flight itself.",
		Example: "  niwa routing garden\n  niwa routing garden two-choices\n  niwa routing garden --weight web.1=9 --weight web.2=1",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			rec, err := find(opts.Data)
			if err != nil {
				return err
			}
			token, err := readToken(opts.Data)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 10*time.Second)
			defer cancel()
			c := client.New(rec.API, token)
			var r client.Routing
			if len(args) == 1 && len(weights) == 0 {
				r, err = c.Routing(ctx, args[0])
			} else {
				r, err = c.SetRouting(ctx, args[0], append(args, "")[1], weights)
			}
			if err != nil {
				return err
			}
			return printRouting(cmd.OutOrStdout(), r)
		},
	}
	cmd.Flags().StringToIntVar(&weights, "weight", nil, "share of a dyno, as `DYNO=N`; may be given for several")
	return cmd
}

func printRouting(out io.Writer, r client.Routing) error {
	fmt.Fprintf(out, "%s\n", r.Policy)
	if len(r.Dynos) == 0 {
		_, err := fmt.Fprintln(out, "no web dyno gets requests now")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\nDYNO\tWEIGHT\tIN FLIGHT\n")
	for _, d := range r.Dynos {
		inFlight, note := "unknown", ""
		if d.InFlight != nil {
			inFlight = strconv.Itoa(*d.InFlight)
		}
		if d.Quarantined {
			note = "\tleft out, as it took no connection"
		}
		fmt.Fprintf(w, "%s\t%d\t%s%s\n", d.Name, d.Weight, inFlight, note)
	}
	return w.Flush()
}

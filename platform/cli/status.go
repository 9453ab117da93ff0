package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"niwa/platform/client"
	"niwa/platform/instance"
)

func statusCommand(opts *options) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say whether niwa runs, where it listens and what it serves",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rec, err := find(opts.Data)
			if err != nil {
				return errors.Join(tellAlone(cmd.OutOrStdout(), opts.Data), err)
			}
			token, err := readToken(opts.Data)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 10*time.Second)
			defer cancel()
			apps, err := client.New(rec.API, token).Apps(ctx)
			if err != nil {
				return fmt.Errorf("niwa (pid %d) runs on %s, but its API does not answer: %w", rec.PID, opts.Data, err)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintf(w, "niwa %s\tpid %d, up for %s\n", rec.Version, rec.PID, max(0, time.Since(rec.StartedAt)).Round(time.Second))
			fmt.Fprintf(w, "data\t%s\n", opts.Data)
			fmt.Fprintf(w, "disk\t%s\n", disk(opts.Data).detail)
			fmt.Fprintf(w, "runtime\t%s: %s\n", rec.Runtime, rec.Reason)
			fmt.Fprintf(w, "api\t%s\n", rec.API)
			fmt.Fprintf(w, "router\t%s\n", rec.Router)
			fmt.Fprintf(w, "router, TLS\t%s\n", rec.RouterTLS)
			if rec.Metrics != "" {
				fmt.Fprintf(w, "metrics\t%s\n", rec.Metrics)
			}
			routers, err := alone(opts.Data)
			if err != nil {
				return err
			}
			for _, r := range routers {
				fmt.Fprintf(w, "router alone\t%s\n", r)
			}
			for _, app := range apps {
				fmt.Fprintf(w, "app %s\t%s\n", app.Name, app.WebURL)
			}
			return w.Flush()
		},
	}
}

// alone says of each router that runs alone where it answers. They go on when
// niwa stops.
func alone(data string) (all []string, err error) {
	routers, err := instance.Routers(data)
	for _, r := range routers {
		all = append(all, fmt.Sprintf("%s and %s (pid %d, up for %s; metrics at %s)", r.URL, r.TLS, r.PID, max(0, time.Since(r.StartedAt)).Round(time.Second), r.Metrics))
	}
	return all, err
}

// tellAlone tells of routers while no niwa runs.
func tellAlone(out io.Writer, data string) error {
	routers, err := alone(data)
	for _, r := range routers {
		fmt.Fprintf(out, "a router alone goes on at %s; SIGTERM stops it\n", r)
	}
	return err
}

// downPatience is how long niwa may take to stop: the 30 s that dynos have,
// and what requests in flight and data servers need besides.
const downPatience = 90 * time.Second

func downCommand(opts *options) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Stop the niwa that runs on the data directory, and wait until it has",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rec, err := find(opts.Data)
			if err != nil {
				return err
			}
			if err := stop(rec.PID); err != nil {
				return fmt.Errorf("stopping niwa (pid %d): %w", rec.PID, err)
			}
			progress := client.Ticker{Every: 5 * time.Second}
			err = client.Await(cmd.Context(), downPatience, func(waited time.Duration) (bool, error) {
				if progress.Due(waited) {
					fmt.Fprintf(cmd.ErrOrStderr(), "niwa (pid %d) is stopping; its dynos have 30 s to end (%s so far)\n", rec.PID, waited.Truncate(time.Second))
				}
				up, err := running(opts.Data)
				return !up, err
			})
			if errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("niwa (pid %d) has not stopped after %s; what it is waiting for is in its own output, and \"kill -9 %d\" ends it (its next start cleans up)", rec.PID, downPatience, rec.PID)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "niwa (pid %d) has stopped\n", rec.PID)
			return tellAlone(cmd.OutOrStdout(), opts.Data)
		},
	}
}

func stop(pid int) error {
	if pid <= 1 {
		return errors.New("its record names no process")
	}
	err := syscall.Kill(pid, syscall.SIGTERM)
	if errors.Is(err, os.ErrPermission) {
		return errors.New("it belongs to another user")
	}
	return err
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"niwa/platform/instance"
)

func upCommand(opts *options, program Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run the platform, in the foreground, until Ctrl-C or niwa down",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd, opts, program, func(context.Context) error { return nil })
		},
	}
	opts.bindServer(cmd.Flags())
	return cmd
}

// serve runs a platform until it is told to stop or fails underneath. Once
// everything listens it calls ready; the platform goes on when ready fails,
// because it is there to find out why.
func serve(cmd *cobra.Command, opts *options, program Program, ready func(context.Context) error) error {
	stdout, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	first, second, release := interrupts(cmd.Context())
	defer release()

	platform, err := instance.Start(first, opts.config(program, stderr))
	if err != nil {
		return err
	}
	announce(stdout, platform)
	if err := ready(first); err != nil && first.Err() == nil {
		fmt.Fprintf(stderr, "niwa: %v\nniwa: the platform itself runs; Ctrl-C stops it\n", err)
	}
	select {
	case <-first.Done():
	case <-platform.Done():
		err = platform.Err()
	}
	fmt.Fprintln(stderr, "stopping; dynos have 30 s to end, and Ctrl-C kills them")
	return errors.Join(err, shutDown(second, platform))
}

func announce(stdout io.Writer, platform *instance.Instance) {
	for _, l := range platform.Listeners() {
		fmt.Fprintf(stdout, "ready  %-12s %s\n", l.Name, l.URL)
	}
}

// killPatience is how long a shutdown that was told to hurry may take.
const killPatience = 5 * time.Second

func shutDown(hurry context.Context, platform *instance.Instance) error {
	stopped := make(chan error, 1)
	go func() { stopped <- platform.Shutdown(hurry) }()
	select {
	case err := <-stopped:
		return err
	case <-hurry.Done():
	}
	select {
	case err := <-stopped:
		return err
	case <-time.After(killPatience):
		return errors.New("killed before everything had stopped; the next start cleans up")
	}
}

// interrupts returns a context that ends with the first signal to stop, and
// one that ends with the second.
func interrupts(parent context.Context) (first, second context.Context, release func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup niwa up
		signal.Notify(signals, syscall.SIGHUP)
	}
	// Asked for and not looked at: who reads what niwa prints may be gone, as in
	// niwa up | head, and that is no reason to leave everything behind.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	first, stop := context.WithCancel(parent)
	second, kill := context.WithCancel(parent)
	go func() {
		for _, cancel := range []context.CancelFunc{stop, kill} {
			select {
			case <-signals:
				cancel()
			case <-second.Done():
				return
			}
		}
	}()
	return first, second, func() {
		signal.Stop(signals)
		stop()
		kill()
	}
}

func (o *options) config(program Program, progress io.Writer) instance.Config {
	cycle, _ := time.ParseDuration(o.Cycle) // checked
	return instance.Config{
		Cycle:     cycle,
		Data:      o.Data,
		API:       o.API,
		Router:    o.Router,
		RouterTLS: o.RouterTLS,
		NoRouter:  o.NoRouter == "true",
		Metrics:   o.Metrics,
		Runtime:   o.Runtime,
		StackBase: o.StackBase,
		Engines:   o.Engines,

		PostgresURL: o.PostgresURL, PostgresImage: o.PostgresImage,
		RedisURL: o.RedisURL, RedisImage: o.RedisImage,

		ACMEDirectory: o.ACMEDirectory, ACMEEmail: o.ACMEEmail, ACMERoots: o.ACMERoots,

		Domain:     o.Domain,
		Strictness: o.Strictness,
		Elements:   program.Elements,
		Buildpacks: program.Buildpacks,
		Version:    program.Version,
		Log:        slog.New(slog.NewTextHandler(progress, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Progress: func(format string, args ...any) {
			fmt.Fprintf(progress, format+"\n", args...)
		},
	}
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"niwa/platform/instance"
)

func backupCommand(opts *options, program Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write the whole platform into one file, while it runs or while it does not",
		Long: "Write the whole platform into one file, or to standard output when FILE is -.\n\n" +
			"The file has all that was acknowledged before: apps, releases, config vars,\n" +
			"repositories, slugs, the last log lines, and the data of add-ons. Build caches\n" +
			"are not in it, nor is what lies on servers that are not niwa's. \"niwa restore\"\n" +
			"makes a platform of it, with other versions of data services too, as long as\n" +
			"they are not older.\n\n" +
			"It also has every secret of the platform, the key and the token among them,\n" +
			"and nothing in it is encrypted: keep it as you keep a password.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, done := interruptible(cmd.Context())
			defer done()
			if name := args[0]; name != "-" {
				return interrupted(ctx, backUpTo(ctx, cmd, opts, program, name))
			}
			out := cmd.OutOrStdout()
			if isTerminal(out) {
				return errors.New("an archive is nothing to look at; send it on with | or >, or name a file")
			}
			_, err := backUp(ctx, opts, program, out, cmd.ErrOrStderr())
			return interrupted(ctx, err)
		},
	}
	opts.bindEngines(cmd.Flags())
	return cmd
}

// backUpTo writes an archive to a file, which is there whole or not at all and
// is its owner's alone.
func backUpTo(ctx context.Context, cmd *cobra.Command, opts *options, program Program, name string) error {
	file, err := renameio.NewPendingFile(name, renameio.WithTempDir(filepath.Dir(name)), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return err
	}
	defer file.Cleanup()
	m, err := backUp(ctx, opts, program, file, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := file.CloseAtomicallyReplace(); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: %d apps and %d add-ons in %s; it holds every secret of theirs\n",
		name, len(m.Apps), len(m.Addons), instance.SizeText(info.Size()))
	return nil
}

func backUp(ctx context.Context, opts *options, program Program, out, progress io.Writer) (instance.Manifest, error) {
	up, err := running(opts.Data)
	if err != nil {
		return instance.Manifest{}, err
	}
	cfg := opts.config(program, progress)
	if !up {
		return instance.Backup(ctx, cfg, nil, out)
	}
	rec, err := find(opts.Data)
	if err != nil {
		return instance.Manifest{}, err
	}
	return instance.Backup(ctx, cfg, &rec, out)
}

// interruptible returns a context that ends with the first signal to stop, so
// that what was begun is cleared away; the second kills.
func interruptible(parent context.Context) (ctx context.Context, done func()) {
	ctx, stop := signal.NotifyContext(parent, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// interrupted words the error of what was told to stop.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted; nothing was changed")
	}
	return err
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	return err == nil
}

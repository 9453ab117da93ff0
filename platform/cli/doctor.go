package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"niwa/addons/engine"
	"niwa/platform/instance"
	"niwa/platform/stack"
)

// finding is one line of what doctor has to say.
type finding struct {
	what   string
	state  string // ok, missing, note, problem
	detail string // what is here; or what its absence disables and how to get it
}

func doctorCommand(opts *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what is here, what is missing, and what that disables",
		Long: "Say what is here, what is missing, and what that disables.\n" +
			"The exit status is 1 when niwa itself could not start.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings := examine(cmd.Context(), opts)
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			problems := 0
			for _, f := range findings {
				fmt.Fprintf(w, "%s\t%s\t%s\n", f.state, f.what, f.detail)
				if f.state == "problem" {
					problems++
				}
			}
			if err := w.Flush(); err != nil {
				return err
			}
			if problems > 0 {
				return fmt.Errorf("niwa cannot start until what is marked \"problem\" is solved (%d)", problems)
			}
			return nil
		},
	}
	opts.bindServer(cmd.Flags())
	return cmd
}

func examine(ctx context.Context, opts *options) []finding {
	findings := []finding{user()}
	for _, t := range tools() {
		findings = append(findings, t.examine(ctx))
	}
	findings = append(findings, runtime(ctx, opts)...)
	findings = append(findings, engines(ctx, opts)...)
	findings = append(findings, dataDirectory(opts.Data), disk(opts.Data), openFiles())
	rec, err := find(opts.Data)
	if err == nil {
		return append(findings, finding{"niwa", "ok", fmt.Sprintf("runs already (pid %d), so its ports are taken", rec.PID)})
	}
	return append(findings, ports(opts)...)
}

// ports checks that a niwa could listen where it is to. A router that runs
// alone has the router's ports rightly.
func ports(opts *options) (findings []finding) {
	routers, err := alone(opts.Data)
	if err != nil {
		findings = append(findings, finding{"router alone", "note", err.Error()})
	}
	for _, r := range routers {
		findings = append(findings, finding{"router alone", "ok", r + "; start niwa with --no-router"})
	}
	for _, s := range opts.settings {
		switch s.flag {
		case "router", "router-tls":
			if len(routers) == 0 {
				findings = append(findings, port(s))
			}
		case "api", "metrics":
			findings = append(findings, port(s))
		}
	}
	return findings
}

func user() finding {
	if os.Geteuid() == 0 {
		return finding{"user", "ok", "root: each app runs as a user of its own"}
	}
	return finding{"user", "note", "not root: apps run as you, and could read what you can"}
}

// tool is a program that some part of niwa uses.
type tool struct {
	names    []string // any of them will do
	version  []string // arguments that make it print its version
	disables string
	get      string
}

func tools() []tool {
	return []tool{
		{[]string{"git"}, []string{"--version"}, "git push, and buildpacks named by a git URL", "install git"},
		{[]string{"heroku", "npx"}, []string{"--version"}, "niwa heroku", "install Node.js, then npm install --global heroku"},
		{[]string{"psql"}, []string{"--version"}, "heroku pg:psql and the pg commands built on it", "install postgresql-client"},
		{[]string{"redis-cli"}, []string{"--version"}, "looking into Redis by hand (heroku redis:cli does without)", "install redis-tools"},
	}
}

func (t tool) examine(ctx context.Context) finding {
	for _, name := range t.names {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, path, t.version...).Output()
		if err != nil {
			return finding{t.names[0], "note", fmt.Sprintf("%s is here but does not run: %v", path, err)}
		}
		first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		return finding{t.names[0], "ok", fmt.Sprintf("%s (%s)", path, first)}
	}
	return finding{t.names[0], "missing", fmt.Sprintf("disables %s; %s", t.disables, t.get)}
}

// runtime says what would run dynos, and what builds would find and miss.
func runtime(ctx context.Context, opts *options) []finding {
	name, reason, err := instance.ProbeRuntime(ctx, opts.Runtime, opts.StackBase)
	if err != nil {
		return []finding{{"runtime", "problem", fmt.Sprintf("--runtime %s: %v", opts.Runtime, err)}}
	}
	findings := []finding{{"runtime", "ok", name + ": " + reason}}
	if _, err := stack.Toolchains(); err != nil && name == instance.Docker {
		for line := range strings.Lines(err.Error()) {
			findings = append(findings, finding{"builds", "note", strings.TrimSpace(line)})
		}
	}
	return append(findings, languages(ctx, opts, name)...)
}

// engines says what each data service would run on.
func engines(ctx context.Context, opts *options) []finding {
	var findings []finding
	mode := engine.Mode(opts.Engines)
	for _, r := range engine.Probe(ctx,
		engine.Choice{Mode: mode, URL: opts.PostgresURL, Image: opts.PostgresImage},
		engine.Choice{Mode: mode, URL: opts.RedisURL, Image: opts.RedisImage}) {
		f := finding{r.Service, "ok", fmt.Sprintf("%s: %s", r.Engine, r.Detail)}
		if r.Missing != "" {
			f.state, f.detail = "note", fmt.Sprintf("%s; better with %s: %s", f.detail, r.Missing, r.Fix)
		}
		if r.Engine == "" {
			f.state, f.detail = "missing", fmt.Sprintf("disables the add-on: it needs %s: %s", r.Missing, r.Fix)
		}
		findings = append(findings, f)
	}
	return findings
}

// dataDirectory checks that what is there can be written, or that what is not
// can be made; it makes nothing.
func dataDirectory(data string) finding {
	dir := data
	for {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			return finding{"data", "problem", fmt.Sprintf("%s is not a directory; name another with --data", dir)}
		}
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrNotExist) || dir == filepath.Dir(dir) {
			return finding{"data", "problem", fmt.Sprintf("%v; name another directory with --data", err)}
		}
		dir = filepath.Dir(dir)
	}
	if err := writable(dir); err != nil {
		return finding{"data", "problem", fmt.Sprintf("%s cannot be written: %v; name another with --data", dir, err)}
	}
	if dir != data {
		return finding{"data", "ok", data + " (made at first start)"}
	}
	return finding{"data", "ok", data}
}

func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".niwa-doctor-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func port(s setting) finding {
	l, err := net.Listen("tcp", *s.value)
	if err != nil {
		return finding{s.flag, "problem", fmt.Sprintf("%s cannot be had: %v; choose another with --%s", *s.value, err, s.flag)}
	}
	if err := l.Close(); err != nil {
		return finding{s.flag, "problem", err.Error()}
	}
	return finding{s.flag, "ok", *s.value + " is free"}
}

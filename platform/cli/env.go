package cli

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"niwa/platform/instance"
)

func envCommand(opts *options) *cobra.Command {
	name := "sh"
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print the environment in which heroku and git speak to this niwa",
		Long: "Print the environment in which heroku and git speak to this niwa.\n\n" +
			"  sh, bash, zsh   eval \"$(niwa env)\"\n" +
			"  fish            niwa env --shell fish | source\n" +
			"  PowerShell      niwa env --shell powershell | Out-String | Invoke-Expression\n\n" +
			"What it prints holds the API token. No file of yours is touched: git's\n" +
			"settings are in the environment too.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("sh", "fish", "powershell")(name); err != nil {
				return fmt.Errorf("--shell: %w", err)
			}
			env, err := opts.environment()
			if err != nil {
				return err
			}
			env.noEmpty = name == "powershell"
			vars, err := env.variables()
			if err != nil {
				return err
			}
			return writeVariables(cmd.OutOrStdout(), vars, name)
		},
	}
	cmd.Flags().StringVar(&name, "shell", name, "syntax to print: sh, fish or powershell")
	return cmd
}

// environment describes the niwa that uses the data directory: where it
// listens, or listened last, or where it would.
func (o *options) environment() (environment, error) {
	token, err := readToken(o.Data)
	if err != nil {
		return environment{}, err
	}
	address := o.API
	if rec, err := instance.ReadRecord(o.Data); err == nil {
		address = strings.TrimPrefix(rec.API, "http://")
	}
	_, port, err := net.SplitHostPort(address)
	return environment{data: o.Data, port: port, token: token, lookup: os.LookupEnv}, err
}

func writeVariables(w io.Writer, vars []variable, shell string) error {
	var b strings.Builder
	for _, v := range vars {
		switch shell {
		case "fish":
			fmt.Fprintf(&b, "set -gx %s %s\n", v.name, fishQuote(v.value))
		case "powershell":
			fmt.Fprintf(&b, "$env:%s = %s\n", v.name, powershellQuote(v.value))
		default:
			fmt.Fprintf(&b, "export %s=%s\n", v.name, shQuote(v.value))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Inside single quotes sh knows no escape at all, fish two, and PowerShell
// takes typographic quotes for quotes.

func shQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}

func powershellQuote(s string) string {
	return "'" + strings.NewReplacer("'", "''", "‘", "‘‘", "’", "’’", "‚", "‚‚", "‛", "‛‛").Replace(s) + "'"
}

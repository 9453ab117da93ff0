package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"
)

func herokuCommand(opts *options) *cobra.Command {
	return &cobra.Command{
		Use:   "heroku ARGS...",
		Short: "Run the official heroku CLI against this niwa",
		Long: "Run the official heroku CLI, unmodified, against this niwa: the heroku on\n" +
			"PATH, else npx heroku. Flags of niwa itself go before the word heroku.",
		Example:            "  niwa heroku apps\n  niwa heroku logs --tail --app users",
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			program, argv, err := findHeroku(args)
			if err != nil {
				return err
			}
			// npx fetches the CLI first, and must not be led astray.
			led := argv[0] == "heroku" && !speaksToOthers(args)
			env, err := herokuEnviron(opts, args, led)
			if err != nil {
				return err
			}
			// In niwa's place, so that signals, the terminal and the exit
			// status are the CLI's own.
			return fmt.Errorf("%s: %w", program, syscall.Exec(program, argv, env))
		},
	}
}

func findHeroku(args []string) (program string, argv []string, err error) {
	if program, err = exec.LookPath("heroku"); err == nil {
		return program, append([]string{"heroku"}, args...), nil
	}
	if program, err = exec.LookPath("npx"); err == nil {
		return program, append([]string{"npx", "heroku"}, args...), nil
	}
	return "", nil, errors.New("the official CLI is not here: install Node.js, then run \"npm install --global heroku\" (https://devcenter.heroku.com/articles/heroku-cli)")
}

// herokuEnviron is this process's environment with the block of niwa env
// merged in, and with a git configuration to scribble in. Led, the CLI finds
// niwa even at the hosts of Heroku's that no variable re-points
// (particleboard.heroku.com, api.metrics.heroku.com): to them it would send
// the token. It asks HTTP_PROXY for every host, and niwa is the proxy.
func herokuEnviron(opts *options, args []string, led bool) ([]string, error) {
	// Without a platform to talk to the CLI retries for seconds before it
	// says something less clear.
	rec, err := find(opts.Data)
	if err != nil {
		return nil, err
	}
	env, err := opts.environment()
	if err != nil {
		return nil, err
	}
	vars, err := env.variables()
	if err != nil {
		return nil, err
	}
	global, err := privateGitconfig(opts.Data)
	if err != nil {
		return nil, err
	}
	vars = append(vars, variable{"GIT_CONFIG_GLOBAL", global})
	environ := merged(os.Environ(), vars)
	if speaksOfLogin(args) {
		environ = without(environ, "HEROKU_API_KEY")
	}
	if led {
		environ = without(environ, "NO_PROXY", "no_proxy", "http_proxy")
		environ = merged(environ, []variable{{"HTTP_PROXY", rec.API}})
	}
	return environ, nil
}

// speaksOfLogin picks the commands that HEROKU_API_KEY would turn into
// nonsense: login refuses to run, logout would revoke niwa's own token.
func speaksOfLogin(args []string) bool {
	if len(args) > 1 && args[0] == "auth" {
		args = args[1:]
	}
	return len(args) > 0 && slices.Contains([]string{"login", "logout", "auth:login", "auth:logout"}, args[0])
}

// speaksToOthers picks the commands that fetch plugins or updates, or run a
// program of the user's.
func speaksToOthers(args []string) bool {
	if len(args) == 0 {
		return false
	}
	topic, _, _ := strings.Cut(args[0], ":")
	return slices.Contains([]string{"plugins", "update", "local"}, topic)
}

// merged sets variables in an environment.
func merged(environ []string, vars []variable) []string {
	for _, v := range vars {
		environ = append(without(environ, v.name), v.name+"="+v.value)
	}
	return environ
}

// without returns an environment that lacks the variables named.
func without(environ []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(line string) bool {
		name, _, _ := strings.Cut(line, "=")
		return slices.Contains(names, name)
	})
}

// privateGitconfig makes a global git configuration that includes the user's.
// The official CLI writes a credential helper into the global one at every
// command, and nobody asked for that.
func privateGitconfig(data string) (string, error) {
	file := filepath.Join(data, "gitconfig")
	var includes strings.Builder
	for _, path := range globalGitconfigs() {
		if path == file {
			return file, nil // heroku under heroku
		}
		fmt.Fprintf(&includes, "[include]\n\tpath = \"%s\"\n", strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path))
	}
	existing, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err == nil && bytes.HasPrefix(existing, []byte(includes.String())) {
		return file, nil // with what the CLI added
	}
	return file, renameio.WriteFile(file, []byte(includes.String()), 0o600)
}

// globalGitconfigs are the files that git would have read; one that is
// missing is no error to it.
func globalGitconfigs() []string {
	if path, set := os.LookupEnv("GIT_CONFIG_GLOBAL"); set {
		return []string{path}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	config := os.Getenv("XDG_CONFIG_HOME")
	if config == "" {
		config = filepath.Join(home, ".config")
	}
	return []string{filepath.Join(config, "git", "config"), filepath.Join(home, ".gitconfig")}
}

package cli

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func parse(t *testing.T, args ...string) (*options, error) {
	t.Helper()
	o := newOptions()
	flags := pflag.NewFlagSet("niwa", pflag.ContinueOnError)
	o.bindData(flags)
	o.bindServer(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return o, o.check()
}

func TestEveryFlagHasATwinInTheEnvironment(t *testing.T) {
	good := map[string][2]string{
		"data":       {"/srv/a", "/srv/b"},
		"api":        {"localhost:1", "127.0.0.1:2"},
		"router":     {"127.0.0.1:3", "[::1]:4"},
		"router-tls": {"127.0.0.1:5", "0.0.0.0:0"},
		"runtime":    {"process", "auto"},
		"engines":    {"native", "embedded"},
		"cycle":      {"0", "90m"},
		"domain":     {"localhost", "apps.example.test"},
	}
	for _, s := range newOptions().settings {
		t.Run(s.flag, func(t *testing.T) {
			values := good[s.flag]
			t.Setenv(s.env, values[0])
			o, err := parse(t)
			if err != nil || valueOf(o, s.flag) != values[0] {
				t.Errorf("%s=%s gave %q, %v", s.env, values[0], valueOf(o, s.flag), err)
			}
			o, err = parse(t, "--"+s.flag, values[1])
			if err != nil || valueOf(o, s.flag) != values[1] {
				t.Errorf("with --%s %s over it: %q, %v", s.flag, values[1], valueOf(o, s.flag), err)
			}
		})
	}
}

func valueOf(o *options, flag string) string {
	for _, s := range o.settings {
		if s.flag == flag {
			return *s.value
		}
	}
	return ""
}

func TestABadValueIsAnsweredWithTheGoodOnes(t *testing.T) {
	cases := map[string]struct{ flag, value, want string }{
		"a runtime nobody knows":       {"runtime", "podman", "auto, process"},
		"a runtime that is not here":   {"runtime", "docker", "this niwa has no docker runner; use --runtime process"},
		"an engine nobody knows":       {"engines", "cloud", "use auto, native or embedded"},
		"a port alone":                 {"api", "5100", "HOST:PORT, such as 127.0.0.1:5100"},
		"a port out of range":          {"router", "localhost:70000", "HOST:PORT"},
		"no host":                      {"router-tls", ":8443", "HOST:PORT"},
		"a domain with a scheme":       {"domain", "http://localhost", "not a domain name"},
		"a domain in upper case":       {"domain", "Localhost", "lower case"},
		"a cycle without a unit":       {"cycle", "24", "such as 24h"},
		"a cycle of a moment":          {"cycle", "5s", "a minute or more"},
		"an empty directory":           {"data", "", "not the path of a directory"},
		"a directory git cannot write": {"data", "/srv/a\nb", "not the path of a directory"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := parse(t, "--"+c.flag, c.value)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "--"+c.flag+" (or NIWA_") {
				t.Errorf("got %v, want the flag, its twin and %q", err, c.want)
			}
		})
	}
}

func TestTheDataDirectoryIsMadeAbsolute(t *testing.T) {
	o, err := parse(t, "--data", "here")
	if err != nil || !filepath.IsAbs(o.Data) || filepath.Base(o.Data) != "here" {
		t.Errorf("got %q, %v", o.Data, err)
	}
}

func TestAWrongCommandLineIsOneLineAndStatusOne(t *testing.T) {
	cases := map[string][]string{
		"a command nobody knows":             {"gardening"},
		"a flag nobody knows":                {"status", "--colour"},
		"too many arguments":                 {"version", "please"},
		"a bad value of a command's own":     {"doctor", "--engines", "cloud"},
		"a bad value in front of the heroku": {"--data", "", "heroku", "apps"},
	}
	for name, args := range cases {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, status := niwa(t, nil, args...)
			if status != 1 || stdout != "" || !strings.HasPrefix(stderr, "niwa: ") || strings.Count(stderr, "\n") != 1 {
				t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
			}
		})
	}
}

func TestVersionAndCompletionArePrinted(t *testing.T) {
	if stdout, _, status := niwa(t, nil, "version"); status != 0 || stdout != "niwa test\n" {
		t.Errorf("version: status %d, %q", status, stdout)
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if stdout, _, status := niwa(t, nil, "completion", shell); status != 0 || !strings.Contains(stdout, "niwa") {
			t.Errorf("completion %s: status %d, %d bytes", shell, status, len(stdout))
		}
	}
}

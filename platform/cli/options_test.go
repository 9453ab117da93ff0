package cli

import (
	"os"
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
		"no-router":  {"false", "true"},
		"metrics":    {"127.0.0.1:6", "0.0.0.0:9109"},
		"runtime":    {"process", "docker"},

		"router-strictness": {"strict", "heroku"},

		"stack-base": {"debian:trixie-slim", ""},
		"engines":    {"auto", "external"},

		"postgres-url":   {"postgres://a:b@c", "postgres://d:e@f:1/g?sslmode=require"},
		"redis-url":      {"redis://:a@b", "rediss://c:d@e:1"},
		"postgres-image": {"postgres:16", "registry.example:5000/postgres@sha256:00"},
		"redis-image":    {"redis:6.2", "valkey/valkey:8"},

		"acme-directory": {"https://a.test/dir", "https://[::1]:14000/dir"},
		"acme-email":     {"a@b.test", "c@d.test"},
		"acme-ca":        {"/a.pem", "b.pem"},

		"cycle":  {"0", "90m"},
		"domain": {"localhost", "apps.example.test"},
	}
	for _, s := range newOptions().settings {
		t.Run(s.flag, func(t *testing.T) {
			values := good[s.flag]
			t.Setenv(s.env, values[0])
			if s.flag == "engines" {
				t.Setenv("NIWA_REDIS_URL", "redis://:a@b")
			}
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
		"a runtime nobody knows":       {"runtime", "podman", "auto, docker, process"},
		"an engine nobody knows":       {"engines", "cloud", "use one of [auto external docker native embedded]"},
		"an ACME server without TLS":   {"acme-directory", "http://a.test/dir", "https://acme-v02.api.letsencrypt.org/directory"},
		"no e-mail address":            {"acme-email", "gardener", "not an e-mail address"},
		"a port alone":                 {"api", "5100", "HOST:PORT, such as 127.0.0.1:5100"},
		"a port out of range":          {"router", "localhost:70000", "HOST:PORT"},
		"no host":                      {"router-tls", ":8443", "HOST:PORT"},
		"a domain with a scheme":       {"domain", "http://localhost", "not a domain name"},
		"a domain in upper case":       {"domain", "Localhost", "lower case"},
		"a cycle without a unit":       {"cycle", "24", "such as 24h"},
		"a cycle of a moment":          {"cycle", "5s", "a minute or more"},
		"the URL of something else":    {"redis-url", "http://localhost", "redis://USER:PASSWORD@HOST:6379"},
		"no image":                     {"postgres-image", "", "such as postgres:17"},
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

func TestAURLWithASecretIsShownToNobody(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(secret, []byte("postgres://admin:geheim@db.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const redis = "redis://admin:geheim@cache.example:7"
	t.Setenv("NIWA_REDIS_URL", redis)
	o, err := parse(t, "--postgres-url", "@"+secret)
	if err != nil || o.PostgresURL != "postgres://admin:geheim@db.example" {
		t.Errorf("from the file: %v", err)
	}
	for name, args := range map[string][]string{
		"help":                     {"up", "--help"},
		"doctor":                   {"doctor", "--postgres-url", "@" + secret},
		"a URL that is no good":    {"doctor", "--redis-url", "http://admin:geheim@x"},
		"a file with one like it":  {"doctor", "--redis-url", "@" + secret},
		"an engine that it is not": {"doctor", "--engines", "native"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, _ := niwa(t, append(bare(t), "NIWA_REDIS_URL="+redis), args...)
			if strings.Contains(stdout+stderr, "geheim") || stdout+stderr == "" {
				t.Errorf("stdout %q, stderr %q", stdout, stderr)
			}
		})
	}
	t.Setenv("NIWA_REDIS_URL", "")
	if _, err := parse(t, "--engines", "external"); err == nil || !strings.Contains(err.Error(), "--postgres-url") {
		t.Errorf("external, and no URL: %v", err)
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

package cli

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/adrg/xdg"
	"github.com/spf13/pflag"

	"niwa/addons/engine"
	"niwa/platform/instance"
	"niwa/platform/stack"
)

// options is the whole configuration. Each one is a flag with a twin in the
// environment; the flag wins.
type options struct {
	Data      string
	API       string
	Router    string
	RouterTLS string
	NoRouter  string
	Metrics   string
	Runtime   string
	StackBase string
	Engines   string
	Domain    string
	Cycle     string

	Strictness string // of the router

	PostgresURL, RedisURL     string
	PostgresImage, RedisImage string

	ACMEDirectory, ACMEEmail, ACMERoots string

	settings []setting
}

type setting struct {
	value *string
	flag  string
	env   string
	usage string
	check func(value string) error
}

func newOptions() *options {
	o := &options{
		Data:      defaultData(),
		API:       "localhost:5100",
		Router:    "127.0.0.1:8080",
		RouterTLS: "127.0.0.1:8443",
		NoRouter:  "false",
		Metrics:   "127.0.0.1:0",
		Runtime:   instance.Auto,
		Engines:   "auto",
		Domain:    "localhost",
		Cycle:     "24h",

		Strictness: "strict",

		PostgresImage: engine.PostgresImage, RedisImage: engine.RedisImage,
	}
	o.settings = []setting{
		{&o.Data, "data", "NIWA_DATA", "`DIR` that keeps everything; root's is not under /root, which the users that apps run as cannot enter", directory},
		{&o.API, "api", "NIWA_API", "`HOST:PORT` of the Platform API and of git push", address},
		{&o.Router, "router", "NIWA_ROUTER", "`HOST:PORT` at which apps answer over HTTP", address},
		{&o.RouterTLS, "router-tls", "NIWA_ROUTER_TLS", "`HOST:PORT` at which apps answer over HTTPS", address},
		{&o.NoRouter, "no-router", "NIWA_NO_ROUTER", "leave --router and --router-tls to a \"niwa router\"", oneOf("true", "false")},
		{&o.Strictness, "router-strictness", "NIWA_ROUTER_STRICTNESS", "strict, or heroku: a client's connection then stays open after a request with both a Content-Length and chunks", oneOf("strict", "heroku")},
		{&o.Metrics, "metrics", "NIWA_METRICS", "`HOST:PORT` at which Prometheus asks about the router, at /metrics; \"niwa status\" names the port that 0 is", address},
		{&o.Runtime, "runtime", "NIWA_RUNTIME", "what runs dynos: auto, docker or process", oneOf(instance.Auto, instance.Docker, instance.Process)},
		{&o.StackBase, "stack-base", "NIWA_STACK_BASE", "`IMAGE` that the stack image of containers starts from; empty for " + stack.DefaultBase, anything},
		{&o.Engines, "engines", "NIWA_ENGINES", "what runs data services: auto, external, docker, native or embedded", engineName},
		{&o.PostgresURL, "postgres-url", "NIWA_POSTGRES_URL", "`URL` of an external Postgres server, with an administrator's credentials: " + secretUsage, postgresURL},
		{&o.RedisURL, "redis-url", "NIWA_REDIS_URL", "`URL` of an external Redis server, with an administrator's credentials: " + secretUsage, redisURL},
		{&o.PostgresImage, "postgres-image", "NIWA_POSTGRES_IMAGE", "`IMAGE` of the Postgres that the engine docker runs", image},
		{&o.RedisImage, "redis-image", "NIWA_REDIS_IMAGE", "`IMAGE` of the Redis that the engine docker runs", image},
		{&o.Domain, "domain", "NIWA_DOMAIN", "apps answer at http://APP.`DOMAIN`", domain},
		{&o.ACMEDirectory, "acme-directory", "NIWA_ACME_DIRECTORY", "`URL` of the ACME server that certs:auto gets certificates from, whose terms you accept by naming it; empty for niwa's own authority", acmeDirectory},
		{&o.ACMEEmail, "acme-email", "NIWA_ACME_EMAIL", "`ADDRESS` that the ACME server may write to; empty for none", mailAddress},
		{&o.ACMERoots, "acme-ca", "NIWA_ACME_CA", "`FILE` with the certificate that a private ACME server's own is signed by", anything},
		{&o.Cycle, "cycle", "NIWA_CYCLE", "`TIME` that a dyno runs before a fresh one takes its place, as on Heroku; 0 for ever", span},
	}
	for _, s := range o.settings {
		if v := os.Getenv(s.env); v != "" {
			*s.value = v
		}
	}
	return o
}

// bindData declares --data, which every command has.
func (o *options) bindData(flags *pflag.FlagSet) { o.settings[0].bind(flags) }

// bind declares one flag.
func (o *options) bind(flags *pflag.FlagSet, name string) {
	for _, s := range o.settings {
		if s.flag == name {
			s.bind(flags)
		}
	}
}

// bindServer declares the flags of the commands that start a platform.
func (o *options) bindServer(flags *pflag.FlagSet) {
	for _, s := range o.settings[1:] {
		s.bind(flags)
	}
}

// bindEngines declares the flags of the commands that start data services alone.
func (o *options) bindEngines(flags *pflag.FlagSet) {
	for _, s := range o.settings {
		switch s.flag {
		case "engines", "postgres-url", "redis-url", "postgres-image", "redis-image":
			s.bind(flags)
		}
	}
}

func (s setting) bind(flags *pflag.FlagSet) {
	flags.StringVar(s.value, s.flag, *s.value, s.usage+" ["+s.env+"]")
	if s.flag == "no-router" {
		flags.Lookup(s.flag).NoOptDefVal = "true"
	}
	if strings.HasSuffix(s.flag, "-url") {
		flags.Lookup(s.flag).DefValue = "" // help shows it, and it may be a secret of the environment
	}
}

// check says which value is no good and which would be, makes Data absolute
// and reads URLs from the files that hold them.
func (o *options) check() error {
	for _, s := range o.settings {
		if err := s.check(*s.value); err != nil {
			return fmt.Errorf("--%s (or %s): %w", s.flag, s.env, err)
		}
	}
	if o.NoRouter == "true" && (anyPort(o.Router) || anyPort(o.RouterTLS)) {
		return errors.New("--no-router: name the ports that \"niwa router\" listens on with --router and --router-tls; 0 is none")
	}
	if err := o.resolveURLs(); err != nil {
		return err
	}
	abs, err := filepath.Abs(o.Data)
	if err != nil {
		return err
	}
	o.Data = abs
	return nil
}

func defaultData() string {
	if os.Geteuid() == 0 {
		return "/var/lib/niwa"
	}
	return filepath.Join(xdg.DataHome, "niwa")
}

// directory refuses what would break the files that name the directory: a
// git configuration value and a PEM path cannot hold a newline.
func directory(value string) error {
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' }) {
		return fmt.Errorf("%q is not the path of a directory", value)
	}
	return nil
}

func address(value string) error {
	host, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16) // 0 lets the system pick one
	}
	if err != nil || host == "" {
		return fmt.Errorf("%q is not HOST:PORT, such as 127.0.0.1:5100", value)
	}
	return nil
}

// anyPort is whether the system picks the port of an address.
func anyPort(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	return err == nil && port == "0"
}

func oneOf(good ...string) func(string) error {
	return func(value string) error {
		if !slices.Contains(good, value) {
			return fmt.Errorf("%q is not one of %s", value, strings.Join(good, ", "))
		}
		return nil
	}
}

func anything(string) error { return nil }

func engineName(value string) error {
	_, err := engine.ParseMode(value)
	return err
}

func span(value string) error {
	if d, err := time.ParseDuration(value); err != nil || d < 0 || d > 0 && d < time.Minute {
		return fmt.Errorf("%q is not a time of a minute or more, such as 24h, nor 0", value)
	}
	return nil
}

func acmeDirectory(value string) error {
	if u, err := url.Parse(value); value != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil) {
		return errors.New("it is not the https:// URL of an ACME directory, such as https://acme-v02.api.letsencrypt.org/directory")
	}
	return nil
}

func mailAddress(value string) error {
	if a, err := mail.ParseAddress(value); value != "" && (err != nil || a.Address != value) {
		return fmt.Errorf("%q is not an e-mail address", value)
	}
	return nil
}

func domain(value string) error {
	label := `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`
	if ok, _ := regexp.MatchString(`^`+label+`(\.`+label+`)*$`, value); !ok {
		return fmt.Errorf("%q is not a domain name in lower case; try localhost", value)
	}
	return nil
}

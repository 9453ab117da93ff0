package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"niwa/addons/engine"
)

// secretUsage is how a secret is given without showing it to everybody.
const secretUsage = "@FILE to read it from a file, since every user of this machine can read what is on a command line"

// resolveURLs reads URLs from the files that hold them, and looks whether they
// go with --engines.
func (o *options) resolveURLs() error {
	given := false
	for _, url := range []struct {
		value *string
		names string
		check func(string) error
	}{
		{&o.PostgresURL, "--postgres-url (or NIWA_POSTGRES_URL)", postgresURL},
		{&o.RedisURL, "--redis-url (or NIWA_REDIS_URL)", redisURL},
	} {
		file, ok := strings.CutPrefix(*url.value, "@")
		if ok {
			content, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("%s: %w", url.names, err)
			}
			*url.value = strings.TrimSpace(string(content))
			if err := url.check(*url.value); err != nil {
				return fmt.Errorf("%s: %s: %w", url.names, file, err)
			}
		}
		if *url.value != "" && !engine.Mode(o.Engines).Allows(engine.External) {
			return fmt.Errorf("%s: it is for --engines auto or external, and not for %s", url.names, o.Engines)
		}
		given = given || *url.value != ""
	}
	if o.Engines == string(engine.External) && !given {
		return errors.New("--engines external takes --postgres-url, --redis-url or both")
	}
	return nil
}

func postgresURL(value string) error {
	if value == "" || strings.HasPrefix(value, "@") {
		return nil
	}
	_, err := engine.PostgresURL(value)
	return err
}

func redisURL(value string) error {
	if value == "" || strings.HasPrefix(value, "@") {
		return nil
	}
	_, err := engine.RedisURL(value)
	return err
}

func image(value string) error {
	if value == "" || strings.ContainsAny(value, " \t\n") {
		return fmt.Errorf("%q is not the name of an image, such as postgres:17", value)
	}
	return nil
}

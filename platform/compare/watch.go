package compare

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"niwa/platform/client"
)

// watch reads what the platform's log says of web.1.
type watch struct {
	client *client.Client
	app    string
}

func (w watch) lines(ctx context.Context) (string, error) {
	var out strings.Builder
	err := w.client.Logs(ctx, w.app, "web.1", 1500, &out)
	return out.String(), err
}

var sample = regexp.MustCompile(`sample#memory_total=([0-9.]+)MB`)

// memory is what the dyno uses, in MB: the next sample that the log has.
func (w watch) memory(ctx context.Context) (used float64, err error) {
	if err := w.client.EnableFeature(ctx, w.app, "log-runtime-metrics"); err != nil {
		return 0, err
	}
	err = client.Await(ctx, time.Minute, func(time.Duration) (bool, error) {
		said, err := w.lines(ctx)
		if err != nil {
			return false, err
		}
		found := sample.FindStringSubmatch(said)
		if found == nil {
			return false, nil
		}
		used, err = strconv.ParseFloat(found[1], 64)
		return true, err
	})
	if err != nil {
		return 0, fmt.Errorf("waiting for the log to say how much memory web.1 uses: %w", err)
	}
	return used, nil
}

// boot is how long the dyno took the last time it started.
func (w watch) boot(ctx context.Context) (time.Duration, error) {
	said, err := w.lines(ctx)
	if err != nil {
		return 0, err
	}
	return bootOf(said)
}

func bootOf(said string) (took time.Duration, err error) {
	var began time.Time
	for line := range strings.Lines(said) {
		stamp, text, _ := strings.Cut(line, " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			return 0, fmt.Errorf("a line of the log has no time: %q", line)
		}
		switch {
		case strings.Contains(text, "Starting process with command"):
			began = at
		case strings.Contains(text, "State changed from starting to up") && !began.IsZero():
			took = at.Sub(began)
		}
	}
	if took == 0 {
		return 0, errors.New("the log of web.1 says nothing of a start")
	}
	return took, nil
}

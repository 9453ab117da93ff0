// Package compare deploys the sample apps one after the other on a niwa that
// runs, and measures what each language costs: its builds, its start, its
// memory and its reads. The clients share the machine with the apps, so that
// the figures are there to be compared with each other and with nothing else.
package compare

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"niwa/platform/client"
	"niwa/platform/lesson"
)

// Row is what one language costs.
type Row struct {
	Lang     string
	Cold     time.Duration // a first build with its release phase, with nothing in the cache
	Warm     time.Duration // the same once more
	Boot     time.Duration // from the start of a dyno until it accepts connections
	Memory   float64       // MB, after the reads
	Cached   float64       // reads of one user in a second, from Redis
	Uncached float64       // and from Postgres
}

// Comparison says on which niwa to compare.
type Comparison struct {
	Client *client.Client
	Router string // URL
	Domain string
	Reads  time.Duration // how long each kind of read goes on
	Out    io.Writer     // is told of each step
}

// Measure deploys the sample in a language, given as a tarball, measures it
// and destroys it.
func (c Comparison) Measure(ctx context.Context, lang string, source []byte) (row Row, err error) {
	row.Lang = lang
	l := lesson.Lesson{
		Client: c.Client, Router: c.Router, Domain: c.Domain, Out: c.Out,
		Name: "compare-" + lang + "-" + strings.ToLower(rand.Text()[:6]), Lang: lang, Source: source,
	}
	defer func() {
		gone := c.Client.DestroyApp(context.WithoutCancel(ctx), l.Name)
		if !client.IsNotFound(gone) {
			err = errors.Join(err, gone)
		}
	}()
	err = c.measure(ctx, l, &row)
	return row, err
}

func (c Comparison) measure(ctx context.Context, l lesson.Lesson, row *Row) (err error) {
	if err := l.Create(ctx); err != nil {
		return err
	}
	if err := l.Database(ctx); err != nil {
		return err
	}
	if row.Cold, err = deploy(ctx, l, "cold"); err != nil {
		return err
	}
	r := c.reader(l)
	path, err := r.create(ctx)
	if err != nil {
		return err
	}
	if row.Uncached, err = r.rate(ctx, path, "bypass", c.Reads); err != nil {
		return err
	}
	if err := l.Cache(ctx); err != nil {
		return err
	}
	if row.Warm, err = deploy(ctx, l, "warm"); err != nil {
		return err
	}
	w := watch{c.Client, l.Name}
	if row.Boot, err = w.boot(ctx); err != nil { // before the reads fill the log
		return err
	}
	if row.Cached, err = r.rate(ctx, path, "hit", c.Reads); err != nil {
		return err
	}
	if row.Memory, err = w.memory(ctx); err != nil {
		return err
	}
	return nil
}

// deploy returns how long the build took, once what it made answers.
func deploy(ctx context.Context, l lesson.Lesson, version string) (time.Duration, error) {
	began := time.Now()
	r, err := l.Build(ctx, version)
	took := time.Since(began)
	if err == nil {
		err = l.Replace(ctx, r)
	}
	if err == nil {
		err = l.Up(ctx)
	}
	return took, err
}

func (c Comparison) reader(l lesson.Lesson) *reader {
	return newReader(c.Router, fmt.Sprintf("%s.%s", l.Name, c.Domain))
}

package api

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"niwa/platform"
)

// How many elements a page of a list holds, unless the client says otherwise,
// and at most.
// Source: https://devcenter.heroku.com/articles/platform-api-reference#ranges
const (
	defaultPage = 200
	largestPage = 1000
)

// window is the part of a list that a Range header asks for. from and to are
// in the order of the list; empty means its end.
type window struct {
	key       string
	from, to  string
	exclusive bool // from itself is left out: "id ]FROM.."
	max       int
	desc      bool
}

// parseRange reads "KEY FROM..TO; max=N, order=desc". The options may be parted
// by commas or semicolons and come in any order. keys are those a client may
// sort by; the first counts when there is no header.
func parseRange(header string, keys []string) (window, error) {
	w := window{key: keys[0], max: defaultPage}
	header = strings.TrimSpace(header)
	if header == "" {
		return w, nil
	}
	head, options, _ := strings.Cut(strings.ReplaceAll(header, ",", ";"), ";")
	key, bounds, _ := strings.Cut(strings.TrimSpace(head), " ")
	from, to, ok := strings.Cut(strings.TrimSpace(bounds), "..")
	if !ok || !slices.Contains(keys, key) {
		return w, badRange("use %s, as in \"%s ..; max=10, order=desc\"", strings.Join(keys, " or "), keys[0])
	}
	w.key, w.to = key, to
	w.from, w.exclusive = strings.CutPrefix(from, "]")
	for option := range strings.SplitSeq(options, ";") {
		if err := w.option(strings.TrimSpace(option)); err != nil {
			return w, err
		}
	}
	if w.desc && w.from != "" && w.to != "" && natural(w.from, w.to) < 0 {
		w.from, w.to = w.to, w.from // "1..5; order=desc" means 5 down to 1
	}
	return w, nil
}

func (w *window) option(text string) error {
	name, value, _ := strings.Cut(text, "=")
	switch {
	case text == "" || text == "order=asc":
	case text == "order=desc":
		w.desc = true
	case name == "max":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return badRange("max must be a number from 1 to %d", largestPage)
		}
		w.max = min(n, largestPage)
	default:
		return badRange("the options are max=N and order=asc or order=desc")
	}
	return nil
}

func badRange(format string, args ...any) *platform.Error {
	return platform.Errorf(rangeNotSatisfiable, "The Range header is not one that can be satisfied: "+format+".", args...)
}

// natural compares numbers as numbers and everything else as text.
func natural(a, b string) int {
	x, errX := strconv.Atoi(a)
	y, errY := strconv.Atoi(b)
	if errX == nil && errY == nil {
		return cmp.Compare(x, y)
	}
	return cmp.Compare(a, b)
}

// key is something a list can be sorted by.
type key[T any] struct {
	name string
	of   func(T) string
}

// cut sorts a list, cuts out what a window asks for and says whether more
// follows.
func cut[T any](all []T, w window, of func(T) string) (part []T, more bool) {
	order := func(a, b string) int {
		if w.desc {
			return natural(b, a)
		}
		return natural(a, b)
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b T) int { return order(of(a), of(b)) })
	for _, item := range all {
		value := of(item)
		if w.from != "" && (order(value, w.from) < 0 || w.exclusive && order(value, w.from) == 0) {
			continue
		}
		if w.to != "" && order(value, w.to) > 0 {
			break
		}
		if len(part) == w.max {
			return part, true
		}
		part = append(part, item)
	}
	return part, false
}

// paged answers with the page of a list that the Range header asks for, and
// tells in Next-Range how to ask for the next.
func paged[T any](c *call, all []T, encode func(T) (any, error), keys ...key[T]) (any, error) {
	var names []string
	for _, k := range keys {
		names = append(names, k.name)
	}
	w, err := parseRange(c.Get(fiber.HeaderRange), names)
	if err != nil {
		return nil, err
	}
	of := keys[slices.Index(names, w.key)].of
	part, more := cut(all, w, of)
	c.Set(fiber.HeaderAcceptRanges, strings.Join(names, ", "))
	if len(part) > 0 {
		last := of(part[len(part)-1])
		c.Set(fiber.HeaderContentRange, fmt.Sprintf("%s %s..%s", w.key, of(part[0]), last))
		if more {
			c.partial = true
			c.Set("Next-Range", w.next(last))
		}
	}
	return encodeAll(part, encode)
}

// next is the header that asks for what follows last.
func (w window) next(last string) string {
	order := ""
	if w.desc {
		order = ", order=desc"
	}
	return fmt.Sprintf("%s ]%s..%s; max=%d%s", w.key, last, w.to, w.max, order)
}

// encodeAll encodes a list; an empty one is [], not null.
func encodeAll[T any](all []T, encode func(T) (any, error)) (any, error) {
	out := make([]any, 0, len(all))
	for _, item := range all {
		v, err := encode(item)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

package metrics

import (
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sample is what was counted of an app within some time.
type sample struct {
	inFlight int64 // at most
	slowest  time.Duration
	in, out  uint64
	statuses []count
	codes    []count // by number: H12 is 12
	service  []count // by bucket
}

// count is how often something was counted. Lists of counts are in the order of
// their keys, each there once.
type count struct {
	key int
	n   uint64
}

// take takes what was counted since the last time. There is none when nothing
// was.
func (a *App) take() (s sample, some bool) {
	s.inFlight = a.peak.Swap(a.inFlight.Load())
	s.in, s.out = a.in.take(), a.out.take()
	s.slowest = time.Duration(a.slowest.Swap(0))
	for class := range a.statuses {
		if page := a.statuses[class].Load(); page != nil {
			s.statuses = appendRisen(s.statuses, class*100, page[:])
		}
	}
	s.service = appendRisen(s.service, 0, a.service.counts[:])
	codes := map[int]uint64{}
	for _, byName := range *a.dynos.Load() {
		for _, d := range byName {
			for f, t := range *d.failed.Load() {
				if n := t.take(); n > 0 {
					codes[numberOf(f.code)] += n
				}
			}
		}
	}
	for _, number := range slices.Sorted(maps.Keys(codes)) {
		s.codes = append(s.codes, count{number, codes[number]})
	}
	// A request may be counted this moment, and some of it be taken and some not.
	return s, s.inFlight > 0 || s.in+s.out > 0 || len(s.statuses)+len(s.service)+len(s.codes) > 0
}

func appendRisen(to []count, first int, tallies []tally) []count {
	for i := range tallies {
		if n := tallies[i].take(); n > 0 {
			to = append(to, count{first + i, n})
		}
	}
	return to
}

// numberOf is the number of a code.
func numberOf(code string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(code, "H"))
	return max(0, n)
}

// and is two samples as one.
func (s sample) and(t sample) sample {
	return sample{
		inFlight: max(s.inFlight, t.inFlight), slowest: max(s.slowest, t.slowest), in: s.in + t.in, out: s.out + t.out,
		statuses: sum(s.statuses, t.statuses), codes: sum(s.codes, t.codes), service: sum(s.service, t.service),
	}
}

func sum(a, b []count) []count {
	if len(a) == 0 {
		return b
	}
	all := make([]count, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].key < b[0].key:
			all, a = append(all, a[0]), a[1:]
		case a[0].key > b[0].key:
			all, b = append(all, b[0]), b[1:]
		default:
			all, a, b = append(all, count{a[0].key, a[0].n + b[0].n}), a[1:], b[1:]
		}
	}
	return append(append(all, a...), b...)
}

// pack writes a sample down in few bytes, as most of it is small numbers.
func (s sample) pack() []byte {
	b := binary.AppendUvarint(make([]byte, 0, 128), uint64(s.inFlight))
	b = binary.AppendUvarint(b, uint64(s.slowest))
	b = binary.AppendUvarint(binary.AppendUvarint(b, s.in), s.out)
	for _, counts := range [][]count{s.statuses, s.codes, s.service} {
		b = binary.AppendUvarint(b, uint64(len(counts)))
		last := 0
		for _, c := range counts {
			b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(c.key-last)), c.n)
			last = c.key
		}
	}
	return slices.Clip(slices.Clone(b))
}

// unpack reads what pack wrote.
func unpack(b []byte) (s sample) {
	next := func() uint64 {
		n, size := binary.Uvarint(b)
		b = b[size:]
		return n
	}
	s.inFlight, s.slowest = int64(next()), time.Duration(next())
	s.in, s.out = next(), next()
	for _, counts := range []*[]count{&s.statuses, &s.codes, &s.service} {
		*counts = make([]count, next())
		last := 0
		for i := range *counts {
			last += int(next())
			(*counts)[i] = count{last, next()}
		}
	}
	return s
}

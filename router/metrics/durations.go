package metrics

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// Durations are counted in buckets of which there are eight from any power of
// two to the next: none is wider than an eighth of what is in it. The first
// eight are a unit wide each. Powers of two of a millisecond are borders, and
// so what Prometheus is told is exact.
const (
	unit    = time.Millisecond / 64
	buckets = 160 // up to 65.536 s
	beyond  = buckets
)

// bucketOf is the bucket that a duration is counted in. The upper border of a
// bucket belongs to it.
func bucketOf(d time.Duration) int {
	if d <= 0 {
		return 0
	}
	v := uint64(d-1) / uint64(unit)
	if v < 8 {
		return int(v)
	}
	e := bits.Len64(v) - 4
	return min(e<<3+int(v>>e), beyond)
}

// upper is the upper border of a bucket, but for the last, which has none.
func upper(bucket int) time.Duration {
	if bucket < 8 {
		return time.Duration(bucket+1) * unit
	}
	e := bucket>>3 - 1
	return time.Duration(bucket-e<<3+1) << e * unit
}

// middle is what is taken for the durations in a bucket. It is off by a
// sixteenth at most, or by half a unit.
func middle(bucket int) time.Duration {
	if bucket == 0 {
		return upper(0) / 2
	}
	return (upper(bucket-1) + upper(bucket)) / 2
}

// histogram counts durations.
type histogram struct {
	counts [buckets + 1]tally
	sum    atomic.Int64 // nanoseconds
}

func (h *histogram) observe(d time.Duration) {
	h.counts[bucketOf(d)].add(1)
	h.sum.Add(int64(d))
}

// cumulative is what Prometheus is told: how many durations were no longer than
// 1, 2, 4, … 32,768 ms, in seconds; how many there were, and what they add up to.
func (h *histogram) cumulative() (atMost map[float64]uint64, count uint64, seconds float64) {
	const millisecond, octave, borders = 31, 8, 16
	atMost = make(map[float64]uint64, borders)
	for i := range h.counts {
		count += h.counts[i].n.Load()
		if k := (i - millisecond) / octave; i >= millisecond && (i-millisecond)%octave == 0 && k < borders {
			atMost[upper(i).Seconds()] = count
		}
	}
	return atMost, count, time.Duration(h.sum.Load()).Seconds()
}

// quantile is the duration that a share of those counted is no longer than. None
// was longer than slowest.
func quantile(durations []count, share float64, slowest time.Duration) time.Duration {
	var all, seen uint64
	for _, c := range durations {
		all += c.n
	}
	rank := uint64(math.Ceil(share * float64(all)))
	for _, c := range durations {
		if seen += c.n; seen >= rank && c.key < beyond {
			return min(middle(c.key), slowest)
		}
	}
	return slowest
}

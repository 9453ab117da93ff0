package metrics

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestEveryDurationIsWithinTheBordersOfItsBucket(t *testing.T) {
	var durations []time.Duration
	for i := range buckets {
		durations = append(durations, upper(i)-1, upper(i), upper(i)+1)
	}
	for d := time.Nanosecond; d < 70*time.Second; d = d*101/100 + 1 {
		durations = append(durations, d)
	}
	for _, d := range durations {
		i := bucketOf(d)
		if i > 0 && d <= upper(i-1) || i < beyond && d > upper(i) {
			t.Errorf("%s is counted in bucket %d, of up to %s", d, i, upper(i))
		}
		if off := math.Abs(float64(middle(min(i, beyond-1)) - d)); i < beyond && off > max(float64(d)/16, float64(unit)/2+1) {
			t.Errorf("%s is taken for %s", d, middle(i))
		}
	}
	if i := bucketOf(-1); i != 0 {
		t.Errorf("a clock that went back is counted in bucket %d", i)
	}
}

func TestQuantilesAreOffByASixteenthAtMost(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h histogram
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(math.Exp(random.NormFloat64()*2) * float64(20*time.Millisecond))
		h.observe(d)
		all = append(all, d)
	}
	slices.Sort(all)
	slowest := all[len(all)-1]
	counts := appendRisen(nil, 0, h.counts[:])
	for _, share := range []float64{0.5, 0.95, 0.99, 1} {
		exact := all[int(math.Ceil(share*float64(len(all))))-1]
		got := quantile(counts, share, slowest)
		if off := math.Abs(float64(got-exact)) / float64(exact); off > 1.0/16 {
			t.Errorf("the quantile %g is %s, and %s was found: %.1f %% off", share, exact, got, 100*off)
		}
	}
}

func TestWhatIsBeyondTheBucketsIsTakenForTheSlowest(t *testing.T) {
	var h histogram
	h.observe(time.Hour)
	if got := quantile(appendRisen(nil, 0, h.counts[:]), 0.5, time.Hour); got != time.Hour {
		t.Errorf("got %s", got)
	}
	atMost, count, seconds := h.cumulative()
	if atMost[32.768] != 0 || count != 1 || seconds != 3600 {
		t.Errorf("got %v, %d, %g", atMost, count, seconds)
	}
}

func TestPrometheusIsToldPowersOfTwoOfAMillisecond(t *testing.T) {
	var h histogram
	h.observe(time.Millisecond)
	h.observe(time.Millisecond + 1)
	h.observe(30 * time.Second)
	atMost, count, _ := h.cumulative()
	if len(atMost) != 16 || atMost[0.001] != 1 || atMost[0.002] != 2 || atMost[16.384] != 2 || atMost[32.768] != 3 || count != 3 {
		t.Errorf("got %v, %d", atMost, count)
	}
}

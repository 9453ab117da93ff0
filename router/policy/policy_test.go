package policy

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func seeded(seed uint64) func(int) int { return rand.New(rand.NewPCG(seed, 2)).IntN }

// dynos are idle ones of these weights.
func dynos(weights ...int) (all []*Dyno) {
	for _, w := range weights {
		all = append(all, &Dyno{Weight: w})
	}
	return all
}

// loaded are dynos of weight 1 with so many requests.
func loaded(inFlight ...int) (all []*Dyno) {
	for _, n := range inFlight {
		all = append(all, &Dyno{InFlight: n, Weight: 1})
	}
	return all
}

// choices counts how often each dyno is chosen.
func choices(choose Policy, all []*Dyno, picks int) []int {
	counts := make([]int, len(all))
	for range picks {
		counts[choose(all)]++
	}
	return counts
}

// fits fails the test when counts are none that these expectations have in 999
// of 1000 samples: chi-squared, whose limit Wilson and Hilferty approximate. What
// is expected never must never be.
func fits(t *testing.T, counts []int, shares ...float64) {
	t.Helper()
	picks, total, free := 0, 0.0, -1.0
	for i, n := range counts {
		picks, total = picks+n, total+shares[i]
	}
	chi := 0.0
	for i, n := range counts {
		want := float64(picks) * shares[i] / total
		if want == 0 {
			if n > 0 {
				t.Errorf("dyno %d is chosen %d times and never should be", i, n)
			}
			continue
		}
		free++
		chi += math.Pow(float64(n)-want, 2) / want
	}
	limit := 0.0
	if free > 0 {
		limit = free * math.Pow(1-2/(9*free)+3.0902*math.Sqrt(2/(9*free)), 3)
	}
	if chi > limit {
		t.Errorf("chi-squared %.1f, more than %.1f: %v for shares of %v", chi, limit, counts, shares)
	}
}

const picks = 100_000

func TestPoliciesAreFoundByTheirNames(t *testing.T) {
	if diff := cmp.Diff([]string{"random", "round-robin", "least-outstanding", "two-choices"}, Names()); diff != "" {
		t.Error(diff)
	}
	for _, name := range Names() {
		if choose, err := Named(name, seeded(1)); err != nil || choose(dynos(1)) != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := Named("fastest", seeded(1))
	if want := `"fastest" is not a routing policy; there are random, round-robin, least-outstanding, two-choices`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestRandomIsUniformAndBlindToLoad(t *testing.T) {
	all := loaded(0, 0, 0, 1000, 0, 0, 0, 0, 0, 0)
	fits(t, choices(Random(seeded(1)), all, picks), 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
}

func TestWeightsAreTheSharesOfDynosThatAreAlike(t *testing.T) {
	for _, weights := range [][]int{{1, 1}, {9, 1}, {1, 9}, {5, 0, 3, 2}, {0, 0, 0}, {0, 1}, {1000, 1, 999}, {1}, {0}} {
		shares, none := make([]float64, len(weights)), true
		for i, w := range weights {
			shares[i] = float64(w)
			none = none && w == 0
		}
		for i := range shares {
			if none {
				shares[i] = 1
			}
		}
		for _, name := range Names() {
			t.Run(fmt.Sprint(name, weights), func(t *testing.T) {
				choose, err := Named(name, seeded(uint64(len(weights))))
				if err != nil {
					t.Fatal(err)
				}
				fits(t, choices(choose, dynos(weights...), picks), shares...)
			})
		}
	}
}

func TestRoundRobinIsExactFromTheFirstRequest(t *testing.T) {
	for _, weights := range [][]int{{1, 1, 1}, {9, 1}, {5, 1, 1}, {3, 0, 2}, {7, 4, 2, 1}} {
		for seed := range uint64(20) {
			choose, all := RoundRobin(seeded(seed)), dynos(weights...)
			total := 0
			for _, w := range weights {
				total += w
			}
			for turn := range 5 {
				if diff := cmp.Diff(weights, choices(choose, all, total)); diff != "" {
					t.Fatalf("weights %v, turn %d: %s", weights, turn, diff)
				}
			}
		}
	}
}

func TestRoundRobinKeepsItsOrderAndBeginsAnywhere(t *testing.T) {
	begins := make([]int, 4)
	for seed := range uint64(4000) {
		choose, all := RoundRobin(seeded(seed)), dynos(1, 1, 1, 1)
		var order [8]int
		for i := range order {
			order[i] = choose(all)
		}
		if [4]int(order[:4]) != [4]int(order[4:]) {
			t.Fatalf("the order changes: %v", order)
		}
		begins[order[0]]++
	}
	fits(t, begins, 1, 1, 1, 1)
}

func TestRoundRobinSpreadsTheTurnsOfAHeavyDyno(t *testing.T) {
	choose, all := RoundRobin(seeded(1)), dynos(5, 1, 1)
	var order strings.Builder
	for range 14 {
		fmt.Fprint(&order, choose(all))
	}
	for _, run := range []string{"00000", "11", "22", "12", "21"} {
		if strings.Contains(order.String(), run) {
			t.Errorf("%s in %s", run, &order)
		}
	}
}

func TestRoundRobinGoesOnFairlyWhileDynosComeAndGo(t *testing.T) {
	choose, all := RoundRobin(seeded(1)), dynos(1, 1, 1, 1)
	counts := map[*Dyno]int{}
	draw := rand.New(rand.NewPCG(3, 4))
	for range 1000 { // each time one dyno is left out, or none
		now := append([]*Dyno(nil), all...)
		draw.Shuffle(len(now), func(i, j int) { now[i], now[j] = now[j], now[i] })
		now = now[:len(now)-draw.IntN(2)]
		for range 3 * len(now) {
			counts[now[choose(now)]]++
		}
	}
	for _, d := range all {
		if n := counts[d]; n < 2500 || n > 2750 { // 3 turns of 3.5 dynos, 1000 times, for 4
			t.Errorf("a dyno had %d turns", n)
		}
	}
}

func TestLeastOutstandingTakesTheFewestForItsWeight(t *testing.T) {
	for _, c := range []struct {
		dynos  []*Dyno
		shares []float64
	}{
		{loaded(3, 1, 2), []float64{0, 1, 0}},
		{loaded(2, 0, 5, 0, 0), []float64{0, 1, 0, 1, 1}},
		{loaded(7, 7), []float64{1, 1}},
		{[]*Dyno{{InFlight: 8, Weight: 9}, {InFlight: 1, Weight: 1}}, []float64{1, 0}},
		{[]*Dyno{{InFlight: 10, Weight: 9}, {InFlight: 1, Weight: 1}}, []float64{0, 1}},
		{[]*Dyno{{InFlight: 9, Weight: 9}, {InFlight: 1, Weight: 1}}, []float64{9, 1}},
		{[]*Dyno{{InFlight: 0, Weight: 0}, {InFlight: 50, Weight: 1}}, []float64{0, 1}},
		{[]*Dyno{{InFlight: 2}, {InFlight: 1}, {InFlight: 1}}, []float64{0, 1, 1}},
	} {
		fits(t, choices(LeastOutstanding(seeded(1)), c.dynos, picks), c.shares...)
	}
}

// With loads that all differ, the dyno of rank i of n, counted from 0 for the
// busiest, is chosen when it is drawn with one of the i that are busier.
func TestTwoChoicesIsTheLessBusyOfAnyTwo(t *testing.T) {
	fits(t, choices(TwoChoices(seeded(1)), loaded(4, 3, 2, 1, 0), picks), 0, 1, 2, 3, 4)
	fits(t, choices(TwoChoices(seeded(2)), loaded(0, 9), picks), 1, 0)
	fits(t, choices(TwoChoices(seeded(3)), loaded(6, 6), picks), 1, 1)
	// A heavy dyno is drawn more often: first with 1/2, or second behind one of
	// the others with 1/4 · 2/3 each, and is the less busy for its weight.
	heavy := []*Dyno{{InFlight: 1, Weight: 2}, {InFlight: 1, Weight: 1}, {InFlight: 2, Weight: 1}}
	fits(t, choices(TwoChoices(seeded(4)), heavy, picks), 1./2+2*1./4*2/3, 2*1./4*1/3, 0)
}

// Under load the weights are kept by what is in flight.
func TestInFlightFollowsTheWeights(t *testing.T) {
	for _, name := range []string{"least-outstanding", "two-choices"} {
		choose, err := Named(name, seeded(1))
		if err != nil {
			t.Fatal(err)
		}
		all := dynos(9, 1)
		for range 1000 {
			all[choose(all)].InFlight++
		}
		if n := all[0].InFlight; n < 899 || n > 901 {
			t.Errorf("%s: %d of 1000 requests in flight are at the dyno of weight 9 of 10", name, n)
		}
	}
}

func TestChoosingAllocatesNothing(t *testing.T) {
	all := dynos(3, 0, 1, 2)
	for _, name := range Names() {
		choose, err := Named(name, rand.IntN)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { choose(all) }); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// Whatever there is to choose from, what is chosen is there, and has a weight
// where any has one.
func FuzzWhatIsChosenIsThere(f *testing.F) {
	f.Add(uint64(1), []byte{1, 0, 9, 3, 0, 0})
	f.Add(uint64(2), []byte{0, 0})
	f.Fuzz(func(t *testing.T, seed uint64, data []byte) {
		var all []*Dyno
		weighty := false
		for i := 0; i+1 < len(data); i += 2 {
			d := &Dyno{Weight: int(data[i]) * MaxWeight / 255, InFlight: int(data[i+1])}
			weighty = weighty || d.Weight > 0
			all = append(all, d)
		}
		if len(all) == 0 {
			return
		}
		for _, name := range Names() {
			choose, err := Named(name, seeded(seed))
			if err != nil {
				t.Fatal(err)
			}
			for range 20 {
				i := choose(all)
				if i < 0 || i >= len(all) {
					t.Fatalf("%s chose %d of %d", name, i, len(all))
				}
				if weighty && all[i].Weight == 0 {
					t.Fatalf("%s chose a dyno of weight 0", name)
				}
				all[i].InFlight++
			}
		}
	})
}

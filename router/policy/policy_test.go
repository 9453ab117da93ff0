package policy

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestRandomIsUniformAndBlindToLoad(t *testing.T) {
	const dynos, picks = 10, 100_000
	choose := Random(rand.New(rand.NewPCG(1, 2)).IntN)
	fleet := make([]Dyno, dynos)
	fleet[3].InFlight = 1000
	var got [dynos]int
	for range picks {
		got[choose(fleet)]++
	}
	// Chi-squared with 9 degrees of freedom stays below 27.9 in 999 of 1000 samples.
	chi := 0.0
	for _, n := range got {
		chi += math.Pow(float64(n)-picks/dynos, 2) / (picks / dynos)
	}
	if chi > 27.9 {
		t.Errorf("chi-squared %.1f for %v", chi, got)
	}
}

func TestRandomWithOneDynoIsThatDyno(t *testing.T) {
	if i := Random(rand.IntN)(make([]Dyno, 1)); i != 0 {
		t.Errorf("got %d", i)
	}
}

package controller

import (
	"math/rand/v2"
	"strings"
)

// The words of generated names: what one meets in a garden.
const (
	adjectives = `ancient autumn bright calm cool crimson damp dappled dewy drifting early evening
fading fragrant frosty gentle golden green hidden hushed icy late leafy mellow misty mossy
muddy narrow old pale patient placid polished quiet rainy raked restless rough rustling shaded
shallow silent slender smooth snowy soft solitary sparkling still sunlit sweet twilight wandering
warm weathered white wild winding young`
	nouns = `acorn azalea bamboo bank bell bench blossom boulder branch bridge brook bud camellia
carp cedar cherry clover cloud creek crane cricket dawn dew dragonfly fern field firefly forest
fountain frost gate grass gravel grove heron hill iris island ivy lantern leaf lily lotus maple
meadow mist moon moss path pebble petal pine plum pond rain rake reed ripple river root sand
shade shore slope snow spring star stone stream summit sun terrace thicket tide valley wall wave
willow wind wisteria`
)

// pick chooses one of the words at random.
func pick(words string) string {
	all := strings.Fields(words)
	return all[rand.IntN(len(all))]
}

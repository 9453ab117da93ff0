package engine

import (
	"fmt"
	"strconv"
	"strings"

	"niwa/addons"
)

// Row makes a row with one value.
func Row(name, value string) addons.Row { return addons.Row{Name: name, Values: []string{value}} }

// Of writes a number against its limit, as Heroku does: "2/20". A limit of 0
// is none.
func Of(used, limit int) string {
	if limit == 0 {
		return strconv.Itoa(used)
	}
	return fmt.Sprintf("%d/%d", used, limit)
}

// HumanPlan is how Heroku prints a plan: "Essential 0" for
// heroku-postgresql:essential-0.
func HumanPlan(name string) string {
	_, slug, _ := strings.Cut(name, ":")
	words := strings.Split(slug, "-")
	for i, w := range words {
		if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, " ")
}

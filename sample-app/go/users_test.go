package main

import (
	"strings"
	"testing"
)

func TestInputIsCleaned(t *testing.T) {
	for name, test := range map[string]struct {
		in   Input
		want Input
		says string
	}{
		"fine":                {Input{"Ada", "ada@example.com"}, Input{"Ada", "ada@example.com"}, ""},
		"space around":        {Input{" Ada ", "\tada@example.com\n"}, Input{"Ada", "ada@example.com"}, ""},
		"no name":             {Input{" ", "ada@example.com"}, Input{}, "name is required"},
		"a long name":         {Input{strings.Repeat("ü", 101), "ada@example.com"}, Input{}, "longer than 100"},
		"a control character": {Input{"A\x00da", "ada@example.com"}, Input{}, "control character"},
		"no email":            {Input{"Ada", ""}, Input{}, "email is required"},
		"an email with more":  {Input{"Ada", "Ada <ada@example.com>"}, Input{}, "not an address"},
		"two emails":          {Input{"Ada", "a@example.com, b@example.com"}, Input{}, "not an address"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := test.in.clean()
			switch {
			case test.says == "" && (err != nil || got != test.want):
				t.Errorf("clean() = %+v, %v; want %+v", got, err, test.want)
			case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)):
				t.Errorf("clean() = %v, want %q", err, test.says)
			}
		})
	}
}

func TestHalfOfASurrogatePairIsFound(t *testing.T) {
	for body, want := range map[string]bool{
		`"\ud83c\uDF31"`: false, `"\\ud83c"`: false, `"\ud7ff \ue000 \ufffd"`: false,
		`"\ud83c"`: true, `"\udf31\ud83c"`: true, `"\\\uD83C"`: true, `"\ud83c\ud83c\udf31"`: true,
	} {
		if got := hasHalfPair([]byte(body)); got != want {
			t.Errorf("hasHalfPair(%s) = %t", body, got)
		}
	}
}

func TestSearchTextIsNoPattern(t *testing.T) {
	if got, want := contains(`50%_\`), `%50\%\_\\%`; got != want {
		t.Errorf("contains = %s, want %s", got, want)
	}
}

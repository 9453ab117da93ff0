package api

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"niwa/platform"
)

type everything struct {
	Text   string            `json:"text"`
	Maybe  *bool             `json:"maybe"`
	Who    identity          `json:"who"`
	Any    map[string]scalar `json:"any"`
	Count  *quantity         `json:"count"`
	Number *int              `json:"number"`
	Inner  struct {
		List []string `json:"list"`
	} `json:"inner"`
}

func TestABodyThatDoesNotFitNamesTheField(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"text":1}`:                 "Field text must be a string, not a number.",
		`{"maybe":"yes"}`:            "Field maybe must be a boolean, not a string.",
		`{"who":[]}`:                 "Field who must be a string, not an array.",
		`{"who":{"id":4}}`:           "Field who must be a string, not an object.",
		`{"any":{"a":{}}}`:           "Field any must be a string, not an object.",
		`{"count":1.5}`:              "Field count must be an integer, not a number.",
		`{"count":-1}`:               "A quantity cannot be -1.",
		`{"number":"7"}`:             "Field number must be an integer, not a string.",
		`{"number":9e99}`:            "Field number must be an integer, not a number.",
		`{"inner":{"list":"a"}}`:     "Field inner.list must be an array, not a string.",
		`{"inner":{"lists":[]}}`:     `Field "lists" is not one that this endpoint knows.`,
		`[]`:                         "The request body must be an object, not an array.",
		`"text"`:                     "The request body must be an object, not a string.",
		`{"text":"a` + "\xff" + `"}`: "Unable to parse the JSON request body: it is not valid UTF-8.",
		`{"text":"\u0000"}`:          "The request body holds a string with a zero byte, which is not allowed.",
		`{"any":{"\u0000":"x"}}`:     "The request body holds a string with a zero byte, which is not allowed.",
		`{"text":"a"} {}`:            "Unable to parse the JSON request body.",
		`{"text":`:                   "Unable to parse the JSON request body.",
		`{text:1}`:                   "Unable to parse the JSON request body.",
		strings.Repeat("[", 100_000): "Unable to parse the JSON request body.",
	} {
		var e *platform.Error
		if err := decode([]byte(body), &everything{}); !errors.As(err, &e) || e.Message != want {
			t.Errorf("%.40s: %v, want %s", body, err, want)
		}
	}
}

func TestABodyIsReadAsClientsWriteIt(t *testing.T) {
	t.Parallel()
	var got everything
	body := `{"text":"\\u0000","who":{"name":"n"},"any":{"a":true,"b":1.50,"c":"x"},"count":3,"maybe":null}`
	if err := decode([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	three := quantity("3")
	want := everything{Text: `\u0000`, Who: "n", Any: map[string]scalar{"a": "true", "b": "1.50", "c": "x"}, Count: &three}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, empty := range []string{"", " \n", "null", "{}"} {
		if err := decode([]byte(empty), &everything{}); err != nil {
			t.Errorf("%q: %v", empty, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{}`, `{"who":{"id":null}}`, `{"any":{"a":-0}}`, `{"count":"+1"}`, `{"text":"\ud800"}`, `{"a":1}`, `nul`, `{"who":n}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got everything
		err := decode(body, &got)
		var told *platform.Error
		if err != nil && (!errors.As(err, &told) || statusOf(told.ID) >= 500) {
			t.Fatalf("%q: not an error for the client: %v", body, err)
		}
		if err == nil && strings.ContainsRune(got.Text+string(got.Who), 0) {
			t.Fatalf("%q: a zero byte came through", body)
		}
	})
}

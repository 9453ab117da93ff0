package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// answer is what came back.
type answer struct {
	t      *testing.T
	what   string
	status int
	header http.Header
	body   []byte
}

// want checks the status.
func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: %d, want %d: %s", a.what, a.status, status, a.body)
	}
	return a
}

// fails checks that an answer is an error, whole.
func (a answer) fails(status int, want map[string]any) {
	a.t.Helper()
	a.want(status)
	var got map[string]any
	a.into(&got)
	for field, value := range want {
		if diff := cmp.Diff(value, got[field]); diff != "" {
			a.t.Errorf("%s: %s of the error:\n%s", a.what, field, diff)
		}
	}
	for _, field := range []string{"id", "message"} {
		if text, _ := got[field].(string); text == "" {
			a.t.Errorf("%s: the error has no %s: %s", a.what, field, a.body)
		}
	}
}

func (a answer) into(v any) {
	a.t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		a.t.Fatalf("%s: %v: %s", a.what, err, a.body)
	}
}

// at is a field of the answer: at("plan", "name"), at(0, "id").
func (a answer) at(path ...any) any {
	a.t.Helper()
	var v any
	a.into(&v)
	for _, step := range path {
		switch step := step.(type) {
		case int:
			list, _ := v.([]any)
			if step >= len(list) {
				a.t.Fatalf("%s: no element %v of %v: %s", a.what, step, path, a.body)
			}
			v = list[step]
		case string:
			object, _ := v.(map[string]any)
			field, ok := object[step]
			if !ok {
				a.t.Fatalf("%s: no field %v of %v: %s", a.what, step, path, a.body)
			}
			v = field
		}
	}
	return v
}

func (a answer) text(path ...any) string {
	a.t.Helper()
	s, ok := a.at(path...).(string)
	if !ok {
		a.t.Fatalf("%s: %v is no text: %s", a.what, path, a.body)
	}
	return s
}

// names are the values of a field in a list.
func (a answer) names(field string) []string {
	a.t.Helper()
	var list []map[string]any
	a.into(&list)
	names := []string{}
	for _, item := range list {
		names = append(names, fmt.Sprint(item[field]))
	}
	return names
}

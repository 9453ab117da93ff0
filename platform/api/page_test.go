package api

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestARangeIsReadInEverySpelling(t *testing.T) {
	t.Parallel()
	keys := []string{"version", "id"}
	for header, want := range map[string]window{
		"":                                     {key: "version", max: 200},
		"version ..; max=1, order=desc":        {key: "version", max: 1, desc: true},
		"version ..; order=desc,max=1":         {key: "version", max: 1, desc: true},
		"version ..; order=desc":               {key: "version", max: 200, desc: true},
		"id ..; max=1000;":                     {key: "id", max: 1000},
		"id ..":                                {key: "id", max: 200},
		"id ]abc..; max=5":                     {key: "id", from: "abc", exclusive: true, max: 5},
		"id a..z":                              {key: "id", from: "a", to: "z", max: 200},
		"version ..7; max=5000":                {key: "version", to: "7", max: 1000},
		"version 3..12; order=desc":            {key: "version", from: "12", to: "3", max: 200, desc: true},
		"  version   .. ;  max=3 ;order=asc  ": {key: "version", max: 3},
		"version ]9..; max=2, order=desc":      {key: "version", from: "9", exclusive: true, max: 2, desc: true},
	} {
		got, err := parseRange(header, keys)
		if err != nil {
			t.Errorf("%q: %v", header, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(window{})); diff != "" {
			t.Errorf("%q: %s", header, diff)
		}
	}
}

func TestANonsenseRangeIsRefused(t *testing.T) {
	t.Parallel()
	for _, header := range []string{
		"bytes=0-99", "version", "colour ..", "version ..; max=0", "version ..; max=-1", "version ..; max=many",
		"version ..; max=99999999999999999999", "version ..; order=random", "version ..; limit=3", "..", "; max=1", "version 1-2",
	} {
		if _, err := parseRange(header, []string{"version"}); err == nil {
			t.Errorf("%q was taken", header)
		}
	}
}

func TestPagesTogetherAreTheWholeList(t *testing.T) {
	t.Parallel()
	var all []int
	for i := range 11 {
		all = append(all, i+1)
	}
	for _, order := range []string{"asc", "desc"} {
		var got []int
		header := "n ..; max=4, order=" + order
		for pages := 0; header != ""; pages++ {
			w, err := parseRange(header, []string{"n"})
			if err != nil || pages > 5 {
				t.Fatalf("page %d: %v", pages, err)
			}
			part, more := cut(all, w, strconv.Itoa)
			got, header = append(got, part...), ""
			if more {
				header = w.next(strconv.Itoa(part[len(part)-1]))
			}
		}
		want := slices.Clone(all)
		if order == "desc" {
			slices.Reverse(want)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", order, diff)
		}
	}
}

func FuzzRange(f *testing.F) {
	for _, seed := range []string{"", "id ..; max=1000;", "id ]a..b; order=desc,max=2", "version 9..1", "id .. ; ;", "id \x00..\xff"} {
		f.Add(seed)
	}
	all := []string{"a", "b", "c", "10", "9"}
	f.Fuzz(func(t *testing.T, header string) {
		w, err := parseRange(header, []string{"id", "version"})
		if err != nil {
			return
		}
		if w.max < 1 || w.max > largestPage {
			t.Fatalf("%q: max is %d", header, w.max)
		}
		part, more := cut(all, w, func(s string) string { return s })
		if len(part) > w.max || more && len(part) != w.max {
			t.Fatalf("%q: %d of at most %d, more: %v", header, len(part), w.max, more)
		}
		if !more {
			return
		}
		next, err := parseRange(w.next(part[len(part)-1]), []string{"id", "version"})
		if err != nil {
			t.Fatalf("%q: Next-Range is refused: %v", header, err)
		}
		follow, _ := cut(all, next, func(s string) string { return s })
		for _, item := range follow {
			if slices.Contains(part, item) {
				t.Fatalf("%q: %q is on two pages", header, item)
			}
		}
	})
}

func TestListsComeInPages(t *testing.T) {
	t.Parallel()
	s := open(t)
	var want []string
	for i := range 5 {
		name := fmt.Sprintf("garden-%d", i)
		s.app(name)
		want = append(want, name)
	}
	var got []string
	header := "name ..; max=2"
	for header != "" {
		a := s.do("GET", "/apps", nil, "Range", header)
		got = append(got, a.names("name")...)
		if header = a.header.Get("Next-Range"); header != "" {
			a.want(206)
		} else {
			a.want(200)
		}
		if a.header.Get("Accept-Ranges") != "name, id, updated_at" || !strings.HasPrefix(a.header.Get("Content-Range"), "name garden-") {
			t.Errorf("headers of a page: %v", a.header)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	s.do("GET", "/apps", nil, "Range", "bytes=0-1").fails(416, map[string]any{"id": "requested_range_not_satisfiable"})
	if a := s.do("GET", "/apps", nil).want(200); a.header.Get("Next-Range") != "" {
		t.Error("a list that was whole has a next page")
	}
}

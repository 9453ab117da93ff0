package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"niwa/platform"
)

func serve(t *testing.T, routes map[string]http.HandlerFunc) *Client {
	t.Helper()
	mux := http.NewServeMux()
	for pattern, handler := range routes {
		mux.HandleFunc(pattern, handler)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return New(server.URL+"/", "s3cret")
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func TestACallCarriesTheTokenAndTheVersion(t *testing.T) {
	var got http.Header
	c := serve(t, map[string]http.HandlerFunc{"GET /apps/users": func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		io.WriteString(w, `{"id":"1","name":"users","web_url":"http://users.localhost:8080/"}`)
	}})
	app, err := c.App(t.Context(), "users")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(App{ID: "1", Name: "users", WebURL: "http://users.localhost:8080/"}, app); diff != "" {
		t.Error(diff)
	}
	if got.Get("Authorization") != "Bearer s3cret" || got.Get("Accept") != "application/vnd.heroku+json; version=3" {
		t.Errorf("headers: %v", got)
	}
}

func TestAnErrorOfThePlatformComesBackTheSame(t *testing.T) {
	c := serve(t, map[string]http.HandlerFunc{
		"GET /apps/gone":  answer(404, `{"id":"not_found","message":"Couldn't find that app.","resource":"app"}`),
		"GET /apps/proxy": answer(502, `<html>bad gateway</html>`),
	})
	_, err := c.App(t.Context(), "gone")
	var e *platform.Error
	if !errors.As(err, &e) || *e != *platform.Missing("app") || !IsNotFound(err) {
		t.Errorf("got %#v, want the API's own error", err)
	}
	_, err = c.App(t.Context(), "proxy")
	if err == nil || IsNotFound(err) || !strings.Contains(err.Error(), "502 Bad Gateway") {
		t.Errorf("got %v, want the status", err)
	}
}

func TestAListIsReadPageByPage(t *testing.T) {
	c := serve(t, map[string]http.HandlerFunc{"GET /apps": func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") == "" {
			w.Header().Set("Next-Range", "id ]1..; max=1")
			w.WriteHeader(http.StatusPartialContent)
			io.WriteString(w, `[{"id":"1"}]`)
			return
		}
		io.WriteString(w, `[{"id":"2"}]`)
	}})
	apps, err := c.Apps(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]App{{ID: "1"}, {ID: "2"}}, apps); diff != "" {
		t.Error(diff)
	}
}

func TestABuildUploadsItsSourceWithoutTheToken(t *testing.T) {
	var uploaded, asked, authorization string
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c := New(server.URL, "s3cret")
	mux.HandleFunc("POST /sources", answer(201, `{"source_blob":{"get_url":"http://x/get","put_url":"`+server.URL+`/put"}}`))
	mux.HandleFunc("PUT /put", func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		uploaded, authorization = string(body), r.Header.Get("Authorization")
	})
	mux.HandleFunc("POST /apps/users/builds", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = string(body)
		w.WriteHeader(201)
		io.WriteString(w, `{"id":"b","status":"pending","output_stream_url":"`+server.URL+`/out"}`)
	})
	mux.HandleFunc("GET /out", answer(200, "-----> Go app detected\n"))

	build, err := c.CreateBuild(t.Context(), "users", []byte("tarball"), "v1")
	if err != nil {
		t.Fatal(err)
	}
	if uploaded != "tarball" || authorization != "" {
		t.Errorf("uploaded %q with Authorization %q", uploaded, authorization)
	}
	if want := `{"source_blob":{"url":"http://x/get","version":"v1"}}`; asked != want {
		t.Errorf("asked for %s, want %s", asked, want)
	}
	var out strings.Builder
	if err := c.Stream(t.Context(), build.OutputStreamURL, &out); err != nil || out.String() != "-----> Go app detected\n" {
		t.Errorf("streamed %q, %v", out.String(), err)
	}
}

func TestATransportErrorDoesNotShowASecretURL(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	url := server.URL + "/output?secret=hunter2"
	server.Close()
	err := New("http://localhost", "t").Stream(context.Background(), url, io.Discard)
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want an error without the URL's secret", err)
	}
}

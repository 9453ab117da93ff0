package apptest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	sampleapp "niwa/sample-app"
)

// document is openapi.yaml, which says which answers there are.
type document struct{ router routers.Router }

func openDocument(t *testing.T) *document {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(sampleapp.OpenAPI)
	if err != nil {
		t.Fatalf("openapi.yaml: %v", err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatalf("openapi.yaml: %v", err)
	}
	return &document{router}
}

// check holds an answer against the document: its status, headers and body. A
// path that is not in there is none of its business.
func (d *document) check(req *http.Request, a answer) error {
	route, params, err := d.router.FindRoute(req)
	if err != nil {
		return nil
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 a.status,
		Header:                 a.header,
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true,
			ExcludeResponseBody:   !strings.HasPrefix(a.header.Get("Content-Type"), "application/json"),
		},
	}
	return openapi3filter.ValidateResponse(req.Context(), input.SetBodyBytes(a.body))
}

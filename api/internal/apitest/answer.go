package apitest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// Spec is a family's OpenAPI document, which checks answers.
type Spec struct {
	doc    *openapi3.T
	router routers.Router
}

// LoadSpec reads and validates an OpenAPI document.
func LoadSpec(t testing.TB, path string) *Spec {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(path)
	if err != nil {
		t.Fatalf("load %s: %v", path, err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("%s is not a good OpenAPI document: %v", path, err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatalf("route %s: %v", path, err)
	}
	return &Spec{doc, router}
}

// Check fails the test unless the document describes the answer: its status, its required headers
// and every field of its body. A request with a method that the document lacks is checked as one
// with a method that it has.
func (s *Spec) Check(t testing.TB, r *http.Request, status int, header http.Header, body []byte) {
	t.Helper()
	route, vars := s.route(t, r)
	if r.Method == http.MethodHead && len(body) > 0 {
		t.Errorf("%s %s answers %d bytes", r.Method, r.URL.Path, len(body))
	}
	err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: vars, Route: route},
		Status:                 status, Header: header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
	if err != nil {
		t.Errorf("%s %s answered %d, which its description does not allow: %v\n%s", r.Method, r.URL.Path, status, err, body)
	}
	if route.Operation.Responses.Status(status) == nil {
		t.Errorf("%s %s answered %d, which its description does not name", r.Method, r.URL.Path, status)
	}
}

func (s *Spec) route(t testing.TB, r *http.Request) (*routers.Route, map[string]string) {
	t.Helper()
	var last error
	for _, method := range []string{r.Method, http.MethodGet, http.MethodPost, http.MethodPut} {
		as := r.Clone(r.Context())
		as.Method = method
		route, vars, err := s.router.FindRoute(as)
		if err == nil {
			return route, vars
		}
		last = err
	}
	t.Fatalf("%s %s is not described: %v", r.Method, r.URL.Path, last)
	return nil, nil
}

// Answer is what a handler answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends a request to a handler and checks its answer.
func (s *Spec) Do(t testing.TB, h http.Handler, r *http.Request) Answer {
	t.Helper()
	a := Do(h, r)
	s.Check(t, r, a.Status, a.Header, a.Body)
	return a
}

// Do sends a request to a handler, and does not check the answer.
func Do(h http.Handler, r *http.Request) Answer {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return Answer{w.Code, w.Result().Header, w.Body.Bytes()}
}

// Golden fails the test unless got is the content of the file name in testdata. With
// CALLVAULT_UPDATE_GOLDEN=1 it writes the file instead.
func Golden(t testing.TB, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("CALLVAULT_UPDATE_GOLDEN") == "1" {
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// Pretty indents JSON; it keeps the order of keys and the spelling of numbers.
func Pretty(t testing.TB, body []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.TrimSpace(body), "", "  "); err != nil {
		t.Fatal(err)
	}
	return append(out.Bytes(), '\n')
}

package web_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/api/internal/web"
)

const text = "0123456789abcdef"

func content() web.Content {
	return web.Content{Size: int64(len(text)), ETag: "e", Open: func(_ context.Context, from, to int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text[from:to])), nil
	}}
}

// FuzzRange compares the answers with those of the standard library for the same bytes, and the
// plan with the answer.
func FuzzRange(f *testing.F) {
	for _, header := range []string{"", "bytes=0-", "bytes=5-7", "bytes=-3", "bytes=-99", "bytes=16-", "bytes=3-1", "bytes=1-2,4-5", "bytes=,1-2",
		"bytes= 1-2 , 4-", "bytes=0-0,-1", "bytes=0-9,10-", "bytes=1-3,4-6,7-9", "bytes=0-9,5-12", "bytes=0-2,0-5", "bytes=9-9,99-", "lines=1-", "bytes=--1", "bytes=1-9223372036854775807", "bytes=-0", "bytes="} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Range"] = []string{header}
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "application/zip")
		c := content()
		plan := c.Plan(w, r)
		if plan.Status == http.StatusRequestedRangeNotSatisfiable {
			return
		}
		ready, err := c.Prepare(t.Context(), plan)
		if err != nil {
			t.Fatal(err)
		}
		if err := ready.Serve(w, r); err != nil {
			t.Fatal(err)
		}
		if w.Code != plan.Status {
			t.Fatalf("%q: planned %d, answered %d", header, plan.Status, w.Code)
		}
		if starts := strings.Contains(w.Body.String(), "\r\n\r\n0") || strings.HasPrefix(w.Body.String(), "0"); starts && !plan.Starts {
			t.Fatalf("%q gives the first byte as a continuation: %q", header, w.Body)
		}
		want := httptest.NewRecorder()
		want.Header().Set("Content-Type", "application/zip")
		http.ServeContent(want, r, "", time.Time{}, strings.NewReader(text))
		if plain(w) != plain(want) || w.Header().Get("Content-Length") != want.Header().Get("Content-Length") || w.Code != want.Code || w.Header().Get("Content-Range") != want.Header().Get("Content-Range") {
			t.Fatalf("%q: %d %q, want %d %q", header, w.Code, w.Body, want.Code, want.Body)
		}
	})
}

// plain is an answer's body with the boundary, which differs from answer to answer, replaced.
func plain(w *httptest.ResponseRecorder) string {
	_, boundary, several := strings.Cut(w.Header().Get("Content-Type"), "multipart/byteranges; boundary=")
	if !several {
		return w.Body.String()
	}
	return strings.ReplaceAll(w.Body.String(), boundary, "boundary")
}

// Serve reports a body that ends too early.
func TestShortBody(t *testing.T) {
	c := content()
	c.Open = func(_ context.Context, from, to int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text[from : to-1])), nil
	}
	r := httptest.NewRequest("GET", "/", nil)
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/zip")
	ready, err := c.Prepare(t.Context(), c.Plan(w, r))
	if err != nil {
		t.Fatal(err)
	}
	if err := ready.Serve(w, r); err == nil {
		t.Fatal("a body without its last byte was served as if it were whole")
	}
	if w.Header().Get("Content-Length") != strconv.Itoa(len(text)) {
		t.Fatal("the answer does not say how long it should be")
	}
}

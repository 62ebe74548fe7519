package conversations_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// A recording with another SHA-256 than is known is given without its last byte, and is told once
// an hour. Parts of it can't be compared.
func TestOtherBytes(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	f.sample()
	server := httptest.NewServer(f.handler)
	t.Cleanup(server.Close)
	get := func(span string) (status int, body string, err error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+plainList+"/conv_raw/audio", nil)
		f.must(err)
		r.Header.Set("x-api-key", key)
		if span != "" {
			r.Header.Set("Range", span)
		}
		answer, err := server.Client().Do(r)
		f.must(err)
		all, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		return answer.StatusCode, string(all), err
	}
	const object = "acme/calls/1.webm"
	sum := domain.SHA256(sha256.Sum256([]byte("0123456789")))
	known, err := f.catalog.ReserveUpload(t.Context(), "acme", object)
	f.must(err)
	f.must(f.catalog.RegisterUpload(t.Context(), "acme", catalog.Upload{Key: object, Size: 10, SHA256: &sum, ETag: "e", New: true, Since: known.Since}))
	if status, body, err := get(""); status != http.StatusOK || body != "0123456789" || err != nil {
		t.Errorf("the right bytes: %d %q, %v", status, body, err)
	}
	f.store.Put(object, []byte("0123456780"))
	for span, want := range map[string]string{"": "012345678", "bytes=0-": "012345678", "bytes=-10": "012345678", "bytes=1-": "123456780", "bytes=0-8": "012345678"} {
		_, body, err := get(span)
		if cut := errors.Is(err, io.ErrUnexpectedEOF); body != want || cut == (span == "bytes=1-" || span == "bytes=0-8") {
			t.Errorf("other bytes, %q: %q, %v", span, body, err)
		}
	}
	f.store.Put(object, nil)
	if status, body, err := get(""); status != http.StatusNotFound || err != nil {
		t.Errorf("no bytes: %d %q, %v", status, body, err)
	}
	got := apitest.Audited(t, f.catalog, "acme", "recording.mismatch")
	want := fmt.Sprintf(`"recordings":[{"object":"acme/calls/1.webm","sha256":%q,"sha256Origin":"upload","found":"%x"}]`, sum, sha256.Sum256([]byte("0123456780")))
	if len(got) != 1 || !strings.HasPrefix(got[0], `key recording.mismatch {"reader":"audio","count":1,`) || !strings.Contains(got[0], want) {
		t.Errorf("audited %q, want %s", got, want)
	}
}

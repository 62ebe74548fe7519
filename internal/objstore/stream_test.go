package objstore_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
)

// TestAbortFails has a stream that breaks off, and a store that does not abort the upload.
func TestAbortFails(t *testing.T) {
	cfg := objstoretest.MinIO(t)
	objstoretest.Open(t, cfg) // makes the buckets
	store := between(t, cfg, func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete {
			rw.WriteHeader(http.StatusForbidden)
		}
		return r.Method == http.MethodDelete
	})
	hungUp := domain.Errorf(domain.KindInterrupted, "the caller hung up")
	r := io.MultiReader(bytes.NewReader(make([]byte, objstore.PartSize+1)), iotest.ErrReader(hungUp))
	_, err := store.Archives().PutStream(t.Context(), "a", r, -1, "audio/opus")
	if !errors.Is(err, hungUp) || domain.KindOf(err) != domain.KindInterrupted || strings.Count(err.Error(), "could not be read") != 1 || !strings.Contains(err.Error(), "abort") {
		t.Errorf("the error is %v", err)
	}
}

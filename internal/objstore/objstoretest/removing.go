package objstoretest

import (
	"testing"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// removeMatch: bytes that were written under a key since it was looked up stay.
func removeMatch(t *testing.T, f *fixture) {
	remove := func(key, etag string, want domain.Kind) {
		t.Helper()
		wantKind(t, "remove "+key, f.bucket.RemoveMatch(t.Context(), key, objstore.Match{ETag: etag}), want)
	}
	former := f.put(t, "a/1", []byte("former"))
	present := f.put(t, "a/1", []byte("present"))
	neighbour := f.put(t, "a/12", []byte("neighbour"))
	remove("a/1", former, domain.KindConflict)
	f.holds(t, "a/1", []byte("present"))
	remove("a/1", present, "")
	if _, err := f.bucket.Stat(t.Context(), "a/1"); domain.KindOf(err) != domain.KindNotFound {
		t.Errorf("a/1 is there after its removal, error %v", err)
	}
	remove("a/1", present, "") // it is gone already
	f.put(t, "a/1", []byte("newly written"))
	remove("a/1", present, domain.KindConflict)
	f.holds(t, "a/1", []byte("newly written"))
	f.holds(t, "a/12", []byte("neighbour"))
	remove("a/12", neighbour, "")
}

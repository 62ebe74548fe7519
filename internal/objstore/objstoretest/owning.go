package objstoretest

import (
	"testing"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// owners: the keys below a prefix belong to one installation, and prefixes of two are never nested.
func owners(t *testing.T, f *fixture) {
	own := func(prefix, id string, want domain.Kind) {
		t.Helper()
		wantKind(t, id+" owns "+prefix, objstore.Own(t.Context(), f.bucket, prefix, id), want)
	}
	check := func(prefix, id string, want domain.Kind) {
		t.Helper()
		wantKind(t, "check "+prefix+" of "+id, objstore.CheckOwner(t.Context(), f.bucket, prefix, id), want)
	}
	check("a/b", "one", domain.KindNotFound)
	own("a/b", "one", "")
	own("a/b", "one", "") // again
	check("a/b", "one", "")
	own("a/b", "two", domain.KindConflict)
	check("a/b", "two", domain.KindConflict)
	own("a", "two", domain.KindConflict)       // around it
	own("a/b/c/d", "two", domain.KindConflict) // within it
	own("a/b2", "two", "")                     // beside it
	own("a/b/c", "one", "")                    // an installation may move
	if owner, err := objstore.Owner(t.Context(), f.bucket, "a/b"); err != nil || owner != "one" {
		t.Errorf("the owner is %q, error %v", owner, err)
	}
	if err := objstore.Adopt(t.Context(), f.bucket, "a/b2", "three"); err != nil {
		t.Error("adopt: ", err)
	}
	check("a/b2", "three", "")
	check("a/b2", "two", domain.KindConflict)
	if _, err := f.bucket.Put(t.Context(), "z/installation", []byte("of a mill"), objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	own("z", "one", domain.KindConflict)
	f.holds(t, "z/installation", []byte("of a mill"))
}

package objstoretest

import (
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// try: the store has every capability that callvault needs, and takes long keys as the result says.
func try(t *testing.T, f *s3) {
	results, err := f.archives.Try(t.Context(), "callvault/probes/", true)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Name == objstore.CanLongParts {
			_, err := f.bucket.Put(t.Context(), strings.Repeat("x", 1024), nil, objstore.PutOptions{})
			if (err == nil) != r.Has || err != nil && domain.KindOf(err) != domain.KindInvalid {
				t.Errorf("%+v, and writing gives %v", r, err)
			}
			continue
		}
		if !r.Has {
			t.Errorf("it lacks %s: %s", r.Name, r.Saw)
		}
	}
	if len(results) < 10 {
		t.Errorf("it was tried for %d things", len(results))
	}
	absent(t.Context(), t, f.bucket, "callvault/probes/probe")
}

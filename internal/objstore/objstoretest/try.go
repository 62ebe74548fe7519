package objstoretest

import (
	"testing"
)

// try holds that the store can all that callvault relies on.
func try(t *testing.T, f *fixture) {
	results, err := f.bucket.Try(t.Context(), "callvault/probes", true)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if !r.Has {
			t.Errorf("it lacks %s: %s", r.Name, r.Saw)
		}
	}
	if len(results) < 9 {
		t.Errorf("it was tried for %d things", len(results))
	}
	absent(t.Context(), t, f.bucket, "callvault/probes/probe")
}

package objstoretest

import (
	"slices"
	"testing"
)

// keysOfFolder lists what is right below a folder, and nothing of its neighbours.
func keysOfFolder(t *testing.T, f *fixture) {
	keys := func(folder string) []string {
		t.Helper()
		list, err := f.bucket.Keys(t.Context(), folder)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if list := keys("a/b"); len(list) > 0 {
		t.Errorf("an empty bucket has %q", list)
	}
	for _, key := range []string{"a/b/2.zip", "a/b/1.zip", "a/b/c/3.zip", "a/b0", "a/bc/4.zip"} {
		f.put(t, key, []byte(key))
	}
	if list := keys("a/b"); !slices.Equal(list, []string{"a/b/1.zip", "a/b/2.zip"}) {
		t.Errorf("a/b has %q", list)
	}
	for after, want := range map[string][]string{"a/b/": {"a/b/1.zip", "a/b/2.zip"}, "a/b/1.zip": {"a/b/2.zip"}, "a/b/2.zip": nil} {
		if list, err := f.bucket.KeysAfter(t.Context(), "a/b", after); err != nil || !slices.Equal(list, want) {
			t.Errorf("after %s a/b has %q, error %v", after, list, err)
		}
	}
	if err := f.bucket.Remove(t.Context(), "a/b/1.zip"); err != nil {
		t.Fatal(err)
	}
	if list := keys("a/b"); !slices.Equal(list, []string{"a/b/2.zip"}) {
		t.Errorf("after a removal a/b has %q", list)
	}
}

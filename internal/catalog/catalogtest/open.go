package catalogtest

import (
	"context"
	"testing"

	"github.com/callvault/callvault/internal/catalog"
)

// Open opens and migrates a catalog, and closes it when the test ends.
func Open(t testing.TB, url string) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(context.WithoutCancel(t.Context()), url, catalog.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := c.DB().Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

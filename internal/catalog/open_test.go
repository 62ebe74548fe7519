package catalog

import (
	"testing"

	"github.com/callvault/callvault/internal/catalog/plantest"
)

// databases gives the URL of a new database of each kind, by name.
func databases(t *testing.T) map[string]string {
	t.Helper()
	return plantest.Databases(t)
}

// OpenMigrated opens a catalog with its schema until the test ends.
func OpenMigrated(t testing.TB, url string) *Catalog {
	t.Helper()
	return New(plantest.Open(t, url), Rules{})
}

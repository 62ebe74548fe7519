package catalog_test

import (
	"path/filepath"
	"testing"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/testenv"
)

func TestAccessSQLite(t *testing.T) {
	catalogtest.RunAccess(t, func(t *testing.T) *catalog.Catalog {
		return catalog.OpenMigrated(t, "sqlite://"+filepath.Join(t.TempDir(), "catalog.db"))
	})
}

func TestAccessPostgres(t *testing.T) {
	catalogtest.RunAccess(t, func(t *testing.T) *catalog.Catalog { return catalog.OpenMigrated(t, testenv.Postgres(t)) })
}

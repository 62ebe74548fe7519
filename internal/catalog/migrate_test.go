package catalog_test

import (
	"database/sql"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/testenv"
)

// TestSameSchema compares the schemas of the two databases.
func TestSameSchema(t *testing.T) {
	lite := "sqlite://" + filepath.Join(t.TempDir(), "catalog.db")
	catalog.OpenMigrated(t, lite)
	post := testenv.Postgres(t)
	catalog.OpenMigrated(t, post)
	for what, queries := range map[string][2]string{
		"columns": {
			`SELECT m.name || '.' || c.name FROM sqlite_schema m, pragma_table_info(m.name) c
				WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE 'goose_%'`,
			`SELECT table_name || '.' || column_name FROM information_schema.columns
				WHERE table_schema = 'public' AND table_name NOT LIKE 'goose_%'`,
		},
		"columns that must be set": {
			`SELECT m.name || '.' || c.name FROM sqlite_schema m, pragma_table_info(m.name) c
				WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE 'goose_%' AND (c."notnull" = 1 OR c.pk > 0)`,
			`SELECT c.table_name || '.' || c.column_name FROM information_schema.columns c JOIN information_schema.tables t
				ON t.table_schema = c.table_schema AND t.table_name = c.table_name AND t.table_type = 'BASE TABLE'
				WHERE c.table_schema = 'public' AND c.is_nullable = 'NO' AND c.table_name NOT LIKE 'goose_%'`,
		},
		"keys": {
			`SELECT m.name || '.' || c.name || ' ' || c.pk FROM sqlite_schema m, pragma_table_info(m.name) c
				WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE 'goose_%' AND c.pk > 0`,
			`SELECT k.table_name || '.' || k.column_name || ' ' || k.ordinal_position FROM information_schema.key_column_usage k
				JOIN information_schema.table_constraints c ON c.constraint_name = k.constraint_name AND c.table_name = k.table_name
				WHERE k.table_schema = 'public' AND c.constraint_type = 'PRIMARY KEY' AND k.table_name NOT LIKE 'goose_%'`,
		},
		"indexes": {
			`SELECT tbl_name || '.' || name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL`,
			`SELECT tablename || '.' || indexname FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE 'goose_%'
				AND indexname NOT LIKE '%_pkey' AND indexname NOT LIKE '%_key'`,
		},
	} {
		t.Run(what, func(t *testing.T) {
			got, want := names(t, testenv.Raw(t, lite), queries[0]), names(t, testenv.Raw(t, post), queries[1])
			if len(got) == 0 {
				t.Fatal("nothing was read")
			}
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("sqlite (-) and postgres (+) differ:\n%s", diff)
			}
		})
	}
}

func names(t *testing.T, db *sql.DB, query string) (out []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		out = append(out, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

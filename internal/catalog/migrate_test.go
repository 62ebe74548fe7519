package catalog_test

import (
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMigrate(t *testing.T) {
	for name, database := range databases() {
		t.Run(name, func(t *testing.T) {
			c := open(t, database(t))
			if err := c.CheckSchema(t.Context()); domain.KindOf(err) != domain.KindUnavailable {
				t.Fatalf("an empty database passed: %v", err)
			}
			if _, err := c.Tenant(t.Context(), "a"); domain.KindOf(err) != domain.KindUnavailable {
				t.Fatalf("an empty database gave %v", err)
			}
			for _, want := range []bool{true, false} {
				steps, err := c.Migrate(t.Context())
				if err != nil || (steps > 0) != want {
					t.Fatalf("%d steps, error %v", steps, err)
				}
			}
			if err := c.CheckSchema(t.Context()); err != nil {
				t.Fatal(err)
			}
			list, err := c.Migrations(t.Context())
			if err != nil || len(list) == 0 {
				t.Fatalf("%v, error %v", list, err)
			}
			for _, m := range list {
				if !m.Applied || m.At.IsZero() {
					t.Errorf("%+v is not applied", m)
				}
			}
		})
	}
}

func TestNewerSchema(t *testing.T) {
	for name, database := range databases() {
		t.Run(name, func(t *testing.T) {
			url := database(t)
			c := open(t, url)
			if _, err := c.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := testenv.Raw(t, url).ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, TRUE)`); err != nil {
				t.Fatal(err)
			}
			if err := c.CheckSchema(t.Context()); err != nil {
				t.Errorf("a newer program's schema that only adds does not pass: %v", err)
			}
			if steps, err := c.Migrate(t.Context()); err != nil || steps != 0 {
				t.Errorf("a newer program's schema was migrated by %d steps, error %v", steps, err)
			}
			if _, err := testenv.Raw(t, url).ExecContext(t.Context(), `UPDATE schema_support SET oldest = 99999`); err != nil {
				t.Fatal(err)
			}
			if err := c.CheckSchema(t.Context()); domain.KindOf(err) != domain.KindUnavailable {
				t.Errorf("a schema that ended this program passed: %v", err)
			}
		})
	}
}

// migrateVariable holds the database that a child of TestMigrateTogether migrates.
const migrateVariable = "CALLVAULT_TEST_MIGRATE"

// TestMigrateTogether migrates one database from several connections and processes at once.
func TestMigrateTogether(t *testing.T) {
	if url := os.Getenv(migrateVariable); url != "" {
		migrateOnce(t, url)
		return
	}
	for name, database := range databases() {
		t.Run(name, func(t *testing.T) {
			url := database(t)
			var steps atomic.Int64
			var group sync.WaitGroup
			for range 4 {
				group.Go(func() { steps.Add(int64(migrateOnce(t, url))) })
			}
			for range 2 {
				group.Go(func() {
					child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMigrateTogether$")
					child.Env = append(os.Environ(), migrateVariable+"="+url)
					if out, err := child.CombinedOutput(); err != nil {
						t.Errorf("%v\n%s", err, out)
					}
				})
			}
			group.Wait()
			c := open(t, url)
			if err := c.CheckSchema(t.Context()); err != nil {
				t.Fatal(err)
			}
			list, err := c.Migrations(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := steps.Load(); got > int64(len(list)) {
				t.Errorf("%d steps were taken, there are %d", got, len(list))
			}
		})
	}
}

func migrateOnce(t *testing.T, url string) int {
	t.Helper()
	c, err := catalog.Open(t.Context(), url, catalog.Rules{})
	if err != nil {
		t.Error(err)
		return 0
	}
	steps, err := c.Migrate(t.Context())
	if err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	return steps
}

// TestSameSchema holds the two dialects' schemas against each other.
func TestSameSchema(t *testing.T) {
	lite := "sqlite://" + filepath.Join(t.TempDir(), "catalog.db")
	migrateOnce(t, lite)
	post := testenv.Postgres(t)
	migrateOnce(t, post)
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

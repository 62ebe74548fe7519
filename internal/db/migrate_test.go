package db

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pressly/goose/v3/lock"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMigrate(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			d := open(t, url, 4)
			if err := d.CheckSchema(t.Context()); domain.KindOf(err) != domain.KindUnavailable {
				t.Fatalf("an empty database passed: %v", err)
			}
			if list, err := d.Migrations(t.Context()); err != nil || len(list) != 4 || list[0].Applied {
				t.Fatalf("%v, error %v", list, err)
			}
			if applied, err := testenv.Raw(t, url).ExecContext(t.Context(), `SELECT * FROM goose_db_version`); err == nil {
				t.Fatalf("reading an empty database's schema made a table: %v", applied)
			}
			if _, err := d.ExecContext(t.Context(), `DELETE FROM things`); domain.KindOf(err) != domain.KindUnavailable {
				t.Fatalf("an empty database gave %v", err)
			}
			for _, want := range []int{4, 0} {
				if n, err := d.Migrate(t.Context()); err != nil || n != want {
					t.Fatalf("%d steps, error %v", n, err)
				}
			}
			if err := d.CheckSchema(t.Context()); err != nil {
				t.Fatal(err)
			}
			list, err := d.Migrations(t.Context())
			if err != nil || len(list) != 4 {
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
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			d := open(t, url, 4)
			if _, err := d.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := testenv.Raw(t, url).ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, TRUE)`); err != nil {
				t.Fatal(err)
			}
			if err := d.CheckSchema(t.Context()); err != nil {
				t.Errorf("a newer program's schema that only adds does not pass: %v", err)
			}
			if n, err := d.Migrate(t.Context()); err != nil || n != 0 {
				t.Errorf("a newer program's schema was migrated by %d steps, error %v", n, err)
			}
			if _, err := testenv.Raw(t, url).ExecContext(t.Context(), `UPDATE schema_support SET oldest = 99999`); err != nil {
				t.Fatal(err)
			}
			if err := d.CheckSchema(t.Context()); domain.KindOf(err) != domain.KindUnavailable {
				t.Errorf("a schema that ended this program passed: %v", err)
			}
		})
	}
}

// TestOlderSchema refuses a schema whose steps this program has folded into its first one.
func TestOlderSchema(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			if _, err := open(t, url, 2).Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			folded := fstest.MapFS{}
			for _, dir := range []string{"sqlite", "postgres"} {
				folded[dir+"/00003_all.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE things (name TEXT PRIMARY KEY);\n")}
			}
			d, err := Open(t.Context(), url, folded)
			must(t, err)
			defer func() { must(t, d.Close()) }()
			n, err := d.Migrate(t.Context())
			if n != 0 || domain.KindOf(err) != domain.KindUnavailable || !strings.Contains(err.Error(), "at step 2, and this program can go on from step 3 only") {
				t.Errorf("%d steps, error %v", n, err)
			}
		})
	}
}

// TestMigrationLock names the session that holds the lock of migrations, beside which the schema
// can still be read.
func TestMigrationLock(t *testing.T) {
	d := migrated(t, testenv.Postgres(t))
	if holder, err := d.MigrationLock(t.Context()); err != nil || holder != nil {
		t.Fatalf("%v holds the lock, error %v", holder, err)
	}
	other, err := d.write.Conn(t.Context())
	must(t, err)
	defer func() { must(t, other.Close()) }()
	var pid int
	must(t, other.QueryRowContext(t.Context(), `SELECT pg_backend_pid() FROM pg_advisory_lock($1)`, lock.DefaultLockID).Scan(&pid))
	holder, err := d.MigrationLock(t.Context())
	if err != nil || holder == nil || holder.PID != pid || !strings.Contains(holder.String(), "idle since") {
		t.Errorf("%v holds the lock, want %d, error %v", holder, pid, err)
	}
	if list, err := d.Migrations(t.Context()); err != nil || !list[3].Applied {
		t.Errorf("%v, error %v", list, err)
	}
	p, err := d.provider(d.write)
	must(t, err)
	if err := d.notMigrated(t.Context(), p, errors.New("failed to acquire lock")); !strings.Contains(err.Error(), fmt.Sprintf("pg_terminate_backend(%d)", pid)) {
		t.Error(err)
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
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			var taken atomic.Int64
			var group sync.WaitGroup
			for range 4 {
				group.Go(func() { taken.Add(int64(migrateOnce(t, url))) })
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
			d := open(t, url, 4)
			if err := d.CheckSchema(t.Context()); err != nil {
				t.Fatal(err)
			}
			list, err := d.Migrations(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := taken.Load(); got > int64(len(list)) {
				t.Errorf("%d steps were taken, there are %d", got, len(list))
			}
		})
	}
}

func migrateOnce(t *testing.T, url string) int {
	t.Helper()
	d, err := Open(t.Context(), url, steps(4))
	if err != nil {
		t.Error(err)
		return 0
	}
	n, err := d.Migrate(t.Context())
	if err != nil {
		t.Error(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	return n
}

// TestMigrateWaitsAside migrates while somebody reads a table that a step changes. The step does
// not get its lock, and those who come after it do not wait for that.
func TestMigrateWaitsAside(t *testing.T) {
	url := testenv.Postgres(t)
	if _, err := open(t, url, 2).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := open(t, url, 4)
	reader, err := d.write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.ExecContext(t.Context(), "SELECT count(*) FROM things"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := d.Migrate(t.Context())
		done <- err
	}()
	ctx := t.Context()
	waiting := func() (n int) {
		if err := d.QueryRowContext(ctx, `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'things'::regclass`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for waiting() == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	// Behind the step that waits: it gets through as soon as that gives up.
	if _, err := d.ExecContext(ctx, "SELECT count(*) FROM things"); err != nil {
		t.Fatalf("others wait for the step: %v", err)
	}
	select {
	case err := <-done:
		t.Fatalf("migrated under a lock, error %v", err)
	default:
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := d.CheckSchema(t.Context()); err != nil {
		t.Error(err)
	}
	if n := waiting(); n != 0 {
		t.Errorf("%d still wait", n)
	}
}

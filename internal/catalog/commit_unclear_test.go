package catalog

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

// TestPublishedWaits asks whether a build was published while its commit runs. The answer must wait
// for the commit. Otherwise a worker whose commit got no answer would build a published archive
// again.
func TestPublishedWaits(t *testing.T) {
	c := withTenant(t, testenv.Postgres(t))
	claim, _ := startBuild(t, c)
	type answer struct {
		published bool
		err       error
	}
	answers := make(chan answer, 1)
	err := c.db.Update(t.Context(), func(tx *db.Tx) error {
		if _, err := lockDay(t.Context(), tx, claim.Tenant, claim.Day); err != nil {
			return err
		}
		_, err := tx.ExecContext(t.Context(), `UPDATE archives SET state = 'published', published_us = 1 WHERE object_key = $1`, claim.ObjectKey())
		if err != nil {
			return err
		}
		go func() {
			ok, err := c.Published(t.Context(), claim)
			answers <- answer{ok, err}
		}()
		awaitBlocked(t, c.db)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := <-answers; got.err != nil || !got.published {
		t.Fatalf("published %v, error %v", got.published, got.err)
	}
}

// awaitBlocked returns when some connection waits for a lock.
func awaitBlocked(t *testing.T, d *db.DB) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var n int
		if err := d.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatal("nobody waits for a lock")
		case <-tick.C:
		}
	}
}

// TestRestored restores an older copy of the catalog: archives that it does not know are neither
// served nor overwritten.
func TestRestored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	c := withTenant(t, "sqlite://"+path)
	claim, built := startBuild(t, c)
	if err := c.Commit(t.Context(), claim, built); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy.db")
	if _, err := c.db.ExecContext(t.Context(), `VACUUM INTO '`+copied+`'`); err != nil {
		t.Fatal(err)
	}
	lost := rebuild(t, c, claim.HourKey)

	old, err := Open(t.Context(), "sqlite://"+copied, Rules{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := old.Close(); err != nil {
			t.Error(err)
		}
	})
	if ok, err := old.Published(t.Context(), lost); err != nil || ok {
		t.Fatalf("the restored catalog knows what it cannot: %v, error %v", ok, err)
	}
	// The sweeper deleted the first archive before the restore. Its hour serves nothing, and is
	// built.
	if hit, err := old.Gone(t.Context(), ServedArchive{HourKey: claim.HourKey, ObjectKey: claim.ObjectKey()}); err != nil || !hit {
		t.Fatalf("gone %v, error %v", hit, err)
	}
	again := rebuild(t, old, claim.HourKey)
	if again.Revision != lost.Revision {
		t.Fatalf("revision %d, want %d again", again.Revision, lost.Revision)
	}
	if again.ObjectKey() == lost.ObjectKey() {
		t.Fatal("two revisions of one number have one key")
	}
}

// TestRepaired repairs an hour that wants a build and has no due time.
func TestRepaired(t *testing.T) {
	for name, url := range map[string]string{
		"sqlite": "sqlite://" + filepath.Join(t.TempDir(), "catalog.db"), "postgres": testenv.Postgres(t),
	} {
		t.Run(name, func(t *testing.T) {
			c := withTenant(t, url)
			claim, _ := startBuild(t, c)
			if err := c.Release(t.Context(), claim); err != nil {
				t.Fatal(err)
			}
			if _, err := c.db.ExecContext(t.Context(), `UPDATE hours SET due_us = NULL`); err != nil {
				t.Fatal(err)
			}
			if _, ok, err := c.Claim(t.Context(), claim.HourKey, "w"); err != nil || ok {
				t.Fatalf("claimed %v, error %v", ok, err)
			}
			if n, err := c.RepairHours(t.Context()); err != nil || n != 1 {
				t.Fatalf("repaired %d, error %v", n, err)
			}
			if _, ok, err := c.Claim(t.Context(), claim.HourKey, "w"); err != nil || !ok {
				t.Fatalf("claimed %v, error %v", ok, err)
			}
		})
	}
}

func withTenant(t *testing.T, url string) *Catalog {
	t.Helper()
	c := OpenMigrated(t, url)
	_, err := c.CreateTenant(t.Context(), domain.Tenant{ID: "acme", Recordings: true, RetentionDays: 3, DayLimit: 5, DownloadLimit: 5}, audit.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// startBuild registers and plans one hour of yesterday and starts its build.
func startBuild(t *testing.T, c *Catalog) (Claim, BuildResult) {
	t.Helper()
	at, err := c.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key := domain.HourKey{Tenant: "acme", Day: domain.DayOf(at).Add(-1), Hour: 5}
	size := int64(10)
	_, err = c.Register(t.Context(), key.Tenant, Batch{Recordings: []Line[domain.Recording]{{Number: 1, Value: domain.Recording{
		ObjectKey: "k", ConversationID: "c", SessionID: "s", MessageID: 1, Type: "agent_tts", Size: &size,
		Timestamp: key.Day.Start().Add(5 * time.Hour)}}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PlanDay(t.Context(), key.Tenant, key.Day); err != nil {
		t.Fatal(err)
	}
	return begin(t, c, key)
}

func begin(t *testing.T, c *Catalog, key domain.HourKey) (Claim, BuildResult) {
	t.Helper()
	claim, ok, err := c.Claim(t.Context(), key, "w")
	if err != nil || !ok {
		t.Fatalf("claimed %v, error %v", ok, err)
	}
	in, err := c.BuildInput(t.Context(), claim)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.StartArchive(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	return claim, BuildResult{Wanted: in.Wanted, Files: len(in.Recordings), Size: 10, Sessions: []domain.Session{{SessionID: "s"}}}
}

func rebuild(t *testing.T, c *Catalog, key domain.HourKey) Claim {
	t.Helper()
	if _, err := c.Rebuild(t.Context(), RebuildRequest{Tenant: key.Tenant, Day: key.Day, Hour: key.Hour, Force: true}); err != nil {
		t.Fatal(err)
	}
	claim, built := begin(t, c, key)
	if err := c.Commit(t.Context(), claim, built); err != nil {
		t.Fatal(err)
	}
	return claim
}

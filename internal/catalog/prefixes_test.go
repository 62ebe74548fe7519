package catalog

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

func withTwo(t *testing.T, url string) *Catalog {
	t.Helper()
	c := OpenMigrated(t, url)
	for _, id := range []string{"acme", "other"} {
		if _, err := c.CreateTenant(t.Context(), domain.Tenant{ID: id, RetentionDays: 3, DayLimit: 5, DownloadLimit: 5}, audit.Origin{}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// TestPrefixWaits sets a key prefix while a transaction that names a key inside is open.
func TestPrefixWaits(t *testing.T) {
	c := withTwo(t, testenv.Postgres(t))
	done := make(chan error, 1)
	err := c.db.Update(t.Context(), func(tx *db.Tx) error {
		if err := c.checkPrefix(t.Context(), tx, "other", "acme/theirs"); err != nil {
			return err
		}
		go func() {
			_, err := c.SetTenant(t.Context(), "acme", func(t *domain.Tenant) { t.KeyPrefix = "acme/" }, audit.Origin{})
			done <- err
		}()
		for waiting := 0; waiting == 0; time.Sleep(10 * time.Millisecond) {
			select {
			case err := <-done:
				t.Fatalf("the setter did not wait, error %v", err)
			default:
			}
			if err := c.db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
				WHERE NOT l.granted AND l.locktype = 'advisory' AND d.datname = current_database()`).Scan(&waiting); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(t.Context(), `INSERT INTO objects (key, tenant) VALUES ('acme/theirs', 'other')`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; domain.KindOf(err) != domain.KindConflict || !strings.Contains(err.Error(), "1 (other 1)") {
		t.Errorf("the setter got %v", err)
	}
}

// TestWantedPrefix names keys inside a pending key prefix. Another tenant's key clears it, the
// tenant's own key does not.
func TestWantedPrefix(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			c := withTwo(t, url)
			change := func(t *domain.Tenant) { t.KeyPrefix = "acme/" }
			set := func(tx *db.Tx) error {
				_, err := c.setTenant(t.Context(), tx, "acme", change, nil, audit.Origin{})
				return err
			}
			for _, step := range []struct {
				tenant, key string
				want        error
			}{{"other", "acme/theirs", errNotPending}, {"acme", "acme/own", nil}} {
				if step.want == nil { // the other tenant's key is deleted by an operator
					if _, err := c.db.ExecContext(t.Context(), `DELETE FROM objects`); err != nil {
						t.Fatal(err)
					}
				}
				if err := c.setPendingPrefix(t.Context(), "acme", change); err != nil {
					t.Fatal(err)
				}
				for _, key := range []string{step.key, "beside"} {
					if _, err := c.ReserveUpload(t.Context(), step.tenant, key); err != nil {
						t.Fatal(err)
					}
				}
				if err := c.db.Update(t.Context(), set); !errors.Is(err, step.want) {
					t.Errorf("%s named %s: got %v, want %v", step.tenant, step.key, err, step.want)
				}
			}
			if got, err := c.Tenant(t.Context(), "acme"); err != nil || got.KeyPrefix != "acme/" {
				t.Errorf("%+v, error %v", got, err)
			}
		})
	}
}

// A deleted tenant's key prefix is nobody's any more: neither a key nor a prefix may be under it.
func TestPrefixOfADeletedTenant(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			c := withTwo(t, url)
			set := func(tenant, prefix string) error {
				_, err := c.SetTenant(t.Context(), tenant, func(t *domain.Tenant) { t.KeyPrefix = prefix }, audit.Origin{})
				return err
			}
			if err := set("acme", "acme/calls/"); err != nil {
				t.Fatal(err)
			}
			if _, err := c.CloseTenant(t.Context(), "acme", "it left", audit.Origin{}); err != nil {
				t.Fatal(err)
			}
			if err := c.DeleteTenant(t.Context(), "acme", audit.Origin{}); err != nil {
				t.Fatal(err)
			}
			if _, err := c.ReserveUpload(t.Context(), "other", "acme/calls/1.opus"); domain.KindOf(err) != domain.KindInvalid {
				t.Errorf("a key under it: %v", err)
			}
			if _, err := c.ReserveUpload(t.Context(), "other", "acme/1.opus"); err != nil {
				t.Errorf("a key beside it: %v", err)
			}
			for _, prefix := range []string{"acme/calls/", "acme/", "acme/calls/new/"} {
				if err := set("other", prefix); domain.KindOf(err) != domain.KindConflict || !strings.Contains(domain.SafeMessage(err), "never used again") {
					t.Errorf("the prefix %s: %v", prefix, err)
				}
			}
			if err := set("other", "calls/"); err != nil {
				t.Errorf("another prefix: %v", err)
			}
		})
	}
}

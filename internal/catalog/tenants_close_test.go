package catalog

import (
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

// A credential that is made while its tenant is being closed is refused.
func TestCredentialBesideAClose(t *testing.T) {
	c := withTwo(t, testenv.Postgres(t))
	done := make(chan error, 1)
	err := c.db.Update(t.Context(), func(tx *db.Tx) error {
		if err := holds.ExcludeAll(t.Context(), tx, "acme"); err != nil {
			return err
		}
		go func() {
			_, _, err := c.CreateAPIKey(t.Context(), "acme", "late", audit.Origin{})
			done <- err
		}()
		for waiting := 0; waiting == 0; time.Sleep(5 * time.Millisecond) {
			select {
			case err := <-done:
				t.Fatalf("the key did not wait, error %v", err)
			default:
			}
			if err := c.db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity
				WHERE wait_event_type = 'Lock' AND datname = current_database()`).Scan(&waiting); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(t.Context(), `UPDATE tenants SET closed_us = 1 WHERE id = 'acme'`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; domain.KindOf(err) != domain.KindConflict {
		t.Errorf("the key got %v", err)
	}
}

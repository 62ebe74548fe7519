package catalog

import (
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog/outbox"
)

// TestSweepOrphans checks that a delivery that was created while its endpoint was deleted is
// deleted.
func TestSweepOrphans(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			c := OpenMigrated(t, url)
			_, err := c.db.ExecContext(t.Context(), `INSERT INTO webhook_deliveries (id, event, endpoint, tenant, type, state, next_us, created_us)
				VALUES ('whd_1', 'evt_1', 'whe_gone', 't1', 'hour.rebuilt', 'pending', 1, 1)`)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.SweepWebhooks(t.Context(), time.Hour, 10); err != nil {
				t.Fatal(err)
			}
			list, err := c.Deliveries(t.Context(), outbox.DeliveryQuery{Tenant: "t1", Limit: 9})
			if err != nil || len(list) > 0 {
				t.Errorf("%d wait, %v", len(list), err)
			}
		})
	}
}

package catalog

import (
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

// TestClaimWhileTold claims a delivery whose claim has lapsed, while its sender records that it was
// delivered. It is not claimed.
func TestClaimWhileTold(t *testing.T) {
	c := withTenant(t, testenv.Postgres(t))
	e, err := c.CreateEndpoint(t.Context(), outbox.Endpoint{ID: outbox.NewEndpointID(), Tenant: "acme", URL: "https://hooks.example.com",
		Events: domain.EventTypes(), Secret: outbox.Sealed{Data: []byte("x")}}, audit.Origin{Actor: "command"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.TestEndpoint(t.Context(), "acme", e.ID, audit.Origin{Actor: "command"}); err != nil {
		t.Fatal(err)
	}
	fair := outbox.DeliveryLimits{Endpoint: 2, Tenant: 8}
	lapsed, err := c.ClaimDeliveries(t.Context(), fair, 0, 1)
	if err != nil || len(lapsed) != 1 {
		t.Fatalf("%d were taken, %v", len(lapsed), err)
	}
	type answer struct {
		claims [][]outbox.DeliveryClaim
		err    error
	}
	answers := make(chan answer, 1)
	err = c.db.Update(t.Context(), func(tx *db.Tx) error {
		_, err := tx.ExecContext(t.Context(), `UPDATE webhook_deliveries SET state = 'delivered', token = NULL WHERE id = $1 AND token = $2`,
			lapsed[0][0].ID, lapsed[0][0].Token)
		if err != nil {
			return err
		}
		go func() {
			claims, err := c.ClaimDeliveries(t.Context(), fair, time.Minute, 1)
			answers <- answer{claims, err}
		}()
		awaitBlocked(t, c.db)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := <-answers; got.err != nil || len(got.claims) > 0 {
		t.Errorf("%d were taken again, %v", len(got.claims), got.err)
	}
}

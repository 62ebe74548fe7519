package outbox

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog/plantest"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/db/dbtest"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// webhookHistory is a month of deliveries of all tenants, a long backlog of one tenant, and a few
// due deliveries.
const webhookHistory = `
INSERT INTO webhook_endpoints (id, tenant, url, events, secret, encrypted, former_encrypted, created_us)
	SELECT 'e-' || id, id, 'https://a.example', 'day.completed', '', FALSE, FALSE, 1 FROM tenants;
INSERT INTO webhook_deliveries (id, event, endpoint, tenant, type, day, state, next_us, created_us)
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
	SELECT id || '-' || i, 'v' || i, 'e-' || id, id, 'day.completed', '2025-01-01', 'delivered', i, i FROM tenants, n;
INSERT INTO webhook_deliveries (id, event, endpoint, tenant, type, day, state, next_us, created_us)
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
	SELECT 'b-' || i, 'b' || i, 'e-t7', 't7', 'hour.rebuilt', '2025-01-01', 'pending', i, i FROM n;
INSERT INTO webhook_events (id, tenant, type, payload, created_us) SELECT 'v' || substr(id, 2), id, 'day.completed', '{}', 1 FROM tenants;
INSERT INTO webhook_events (id, tenant, type, payload, created_us)
	WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
	SELECT 'b' || i, 't7', 'hour.rebuilt', '{}', 1 FROM n;
UPDATE webhook_deliveries SET tries = 3 WHERE id LIKE 'b-%';
UPDATE webhook_deliveries SET state = 'failed', last_us = 5 WHERE id LIKE 't107%-3';
UPDATE webhook_deliveries SET state = 'pending' WHERE id LIKE 't101%-1';
UPDATE webhook_deliveries SET state = 'pending', token = 'x', next_us = 9000000000000000 WHERE id LIKE 't101%-2'`

// TestWebhookPlans fails when the search for due deliveries reads finished ones or a whole backlog.
func TestWebhookPlans(t *testing.T) {
	list, listArgs := DeliveryQuery{Tenant: "t7", Before: Position{At: 9, ID: "x"}, Limit: 50}.list()
	queries := map[string]dbtest.Question{
		"due":         dbtest.Ask(dueEndpointsSQL, 8, 2, 32),
		"held":        dbtest.Ask(heldDeliveriesSQL, "t1010", "e-t1010", 32),
		"take":        dbtest.Ask(takeDeliveriesSQL, "e-t7", 9_000_000, "x", 5, 16),
		"subscribers": dbtest.Ask(subscribersSQL, "t7"),
		"failing":     dbtest.Ask(failingSQL),
		"given up":    dbtest.Ask(givenUpSQL, 4),
		"log":         dbtest.Ask(list, listArgs...),
	}
	whole := regexp.MustCompile(`^SCAN (webhook_\w+|e|d|h)$|^SCAN .*sqlite_autoindex|Seq Scan on webhook|Sort Key: .*next_us`)
	for name, url := range plantest.Databases(t) {
		t.Run(name, func(t *testing.T) {
			d := plantest.History(t, url, webhookHistory, queries)
			b := New(d)
			for name, q := range queries {
				t.Run(name, func(t *testing.T) {
					plan := dbtest.Explain(t, d, q)
					for _, line := range plan {
						if whole.MatchString(line) {
							t.Errorf("it reads too much: %s\n%s", line, strings.Join(plan, "\n"))
						}
					}
				})
			}
			var s Backlog
			err := d.View(t.Context(), func(tx *db.Tx) (err error) {
				s, err = ReadBacklog(t.Context(), tx, 5)
				return err
			})
			if err != nil || s.Failing != 1 || s.Enabled == 0 {
				t.Errorf("%+v, %v", s, err)
			}
			claims, err := b.ClaimDeliveries(t.Context(), DeliveryLimits{Endpoint: 2, Tenant: 8}, time.Minute, 32)
			if err != nil || len(claims) != 11 { // t101 and t1010 to t1019; the event of t7's first delivery does not exist any more
				t.Fatalf("%d claims, %v", len(claims), err)
			}
			claims, err = b.ClaimDeliveries(t.Context(), DeliveryLimits{Endpoint: 2, Tenant: 8, Batch: 16}, time.Minute, 32)
			if err != nil || len(claims) != 1 {
				t.Fatalf("%d claims, %v", len(claims), err)
			}
			for i, d := range claims[0] {
				if want := fmt.Sprintf("b%d", i+2); d.Event != want {
					t.Errorf("%s is sent where %s has waited longest", d.Event, want)
				}
			}
		})
	}
}

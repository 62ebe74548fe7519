package catalog_test

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/domain"
)

// TestRegisterLargeHour registers one hour of many recordings, batch after batch, into tables whose
// statistics are old or absent. A plan that reads the whole hour for each line would not end.
func TestRegisterLargeHour(t *testing.T) {
	const small, size = 8, 4000
	for name, url := range databases() {
		t.Run(name, func(t *testing.T) {
			dsn, batches := url(t), 17
			if name == "sqlite" { // which plans every statement again
				batches = 3
			}
			c := catalogtest.Open(t, dsn)
			ctx := t.Context()
			tenant := domain.Tenant{ID: "large", Recordings: true, RetentionDays: 3, DayLimit: 5, DownloadLimit: 5}
			if _, err := c.CreateTenant(ctx, tenant, audit.Origin{}); err != nil {
				t.Fatal(err)
			}
			at, err := c.Now(ctx)
			if err != nil {
				t.Fatal(err)
			}
			hour := domain.DayOf(at).Add(-1).Start().Add(14 * time.Hour)
			for n := range small + batches {
				var b catalog.Batch
				for i := range max(1, min(size, (n-small+1)*size)) { // at first single lines: plans of this time must not be used later
					key := fmt.Sprintf("large/conversations/%05d/message_%d_agent_tts.opus", i, n)
					b.Recordings = append(b.Recordings, catalog.Line[domain.Recording]{Number: i + 1, Value: domain.Recording{
						ObjectKey: key, ConversationID: fmt.Sprint("c", i%500), SessionID: fmt.Sprint("s", i%500), MessageID: int64(n), Type: "agent_tts",
						Timestamp: hour.Add(time.Duration(i) * time.Millisecond),
					}})
				}
				counts, err := c.Register(ctx, tenant.ID, b)
				if err != nil {
					t.Fatal(err)
				}
				if n == 1 && c.DB().Postgres() {
					analyze(t, dsn) // as an early autovacuum does; SQLite keeps no statistics unless asked to
				}
				if counts.Recordings != len(b.Recordings) {
					t.Fatalf("batch %d: %+v", n, counts)
				}
			}
		})
	}
}

// analyze updates the statistics, which the database also does by itself at any time.
func analyze(t *testing.T, dsn string) {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), "ANALYZE")
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

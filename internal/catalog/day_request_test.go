package catalog

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

// TestBusyDay asks for a day of which a change is always under way, as of today while recordings
// come over several connections: the answer waits for some of them, and comes.
func TestBusyDay(t *testing.T) {
	c := OpenMigrated(t, testenv.Postgres(t))
	if _, err := c.CreateTenant(t.Context(), domain.Tenant{ID: "acme", Recordings: true, RetentionDays: 3, DayLimit: 100, DownloadLimit: 5}, audit.Origin{}); err != nil {
		t.Fatal(err)
	}
	day := domain.DayOf(time.Now().AddDate(0, 0, -1))
	var writers sync.WaitGroup
	defer writers.Wait()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for range 6 {
		writers.Go(func() {
			for ctx.Err() == nil {
				if _, err := c.PlanDay(t.Context(), "acme", day); err != nil { // changes the day's version
					t.Error(err)
					return
				}
			}
		})
	}
	for range 10 {
		if _, err := c.IssueDay(t.Context(), DayRequest{TokenClaims: TokenClaims{Tenant: "acme", Scopes: []string{"days"}}, Scope: "days", Day: day, LinkTTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBelowFloor compares a day with floors before, at and after its end, and with a future one.
func TestBelowFloor(t *testing.T) {
	const day = domain.Day("2026-01-05")
	end := day.End()
	now := end.AddDate(0, 0, 5)
	for floor, want := range map[time.Time]bool{end.Add(-time.Microsecond): false, end: true, now: true, now.Add(time.Microsecond): false} {
		if got := belowFloor(day, floor, now); got != want {
			t.Errorf("with the floor %v: %v, want %v", floor, got, want)
		}
	}
}

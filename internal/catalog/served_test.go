package catalog

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

// TestServedByReplicas asks two replicas in turn for a day that stands: each reads it once. What
// changes the day has each read it once more.
func TestServedByReplicas(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			one, other := OpenMigrated(t, url), OpenMigrated(t, url)
			if _, err := one.CreateTenant(t.Context(), domain.Tenant{ID: "acme", RetentionDays: 3, DayLimit: 100, DownloadLimit: 5}); err != nil {
				t.Fatal(err)
			}
			day := domain.DayOf(time.Now().AddDate(0, 0, -1))
			plan := func() {
				if _, err := one.PlanDay(t.Context(), "acme", day); err != nil {
					t.Fatal(err)
				}
			}
			plan()

			read := 0
			request := DayRequest{Tenant: "acme", Day: day, LinkTTL: time.Hour, Make: func(*DayView) any { read++; return read }}
			rounds := func(want int) {
				t.Helper()
				for range 5 {
					for _, replica := range []*Catalog{one, other} {
						if _, err := replica.IssueDay(t.Context(), request); err != nil {
							t.Fatal(err)
						}
					}
				}
				if read != want {
					t.Errorf("the day was read %d times, want %d", read, want)
				}
			}
			rounds(2)
			plan()
			rounds(4)
		})
	}
}

// TestServedBusyDay asks for a day of which a change is always under way, as of today while recordings
// come over several connections: the answer waits for some of them, and comes.
func TestServedBusyDay(t *testing.T) {
	c := OpenMigrated(t, testenv.Postgres(t))
	if _, err := c.CreateTenant(t.Context(), domain.Tenant{ID: "acme", RetentionDays: 3, DayLimit: 100, DownloadLimit: 5}); err != nil {
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
		if _, err := c.IssueDay(t.Context(), DayRequest{Tenant: "acme", Day: day, LinkTTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestServedDays keeps no more days than it may, the latest among them, and never an older state
// for a newer one.
func TestServedDays(t *testing.T) {
	var d dayCache
	key := func(n int) DayKey { return DayKey{Tenant: fmt.Sprintf("t%d", n), Day: "2026-03-09"} }
	for n := range servedDays + 100 {
		d.put(key(n), &servedDay{made: n, known: true, version: 2})
		if got := d.get(key(n)); got == nil || got.made != n {
			t.Fatalf("day %d is not kept: %v", n, got)
		}
	}
	if len(d.days) != servedDays {
		t.Errorf("%d days are kept, want %d", len(d.days), servedDays)
	}
	last := key(servedDays + 99)
	d.put(last, &servedDay{made: "older", known: true, version: 1})
	d.put(last, &servedDay{made: "rowless", version: 3})
	d.put(last, &servedDay{known: true, version: 3})
	if got := d.get(last); got.made != servedDays+99 {
		t.Errorf("%v took its place", got)
	}
	d.put(last, &servedDay{made: "newer", known: true, version: 3})
	if got := d.get(last); got.made != "newer" {
		t.Errorf("%v stayed", got)
	}
}

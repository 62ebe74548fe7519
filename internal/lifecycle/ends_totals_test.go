package lifecycle_test

import (
	"testing"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/domain"
)

// A day whose source data ended was not short of it, also when it is opened again and its
// recordings are counted anew.
func TestEndsCountForTotals(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.whole("c1")
		f.whole("c2")
		total := catalog.Line[domain.Total]{Number: 1, Value: domain.Total{Day: day, Hour: 1, Recordings: 2}}
		f.must(f.take(catalog.Batch{Totals: []catalog.Line[domain.Total]{total}}))
		f.at(ended())
		f.must(catalogtest.PauseDeletions(f.ctx, f.c, 0))
		f.endDay()
		if r := f.sweep(); r.Recordings != 2 {
			f.Fatalf("ended %+v", r)
		}
		f.must(f.c.Reopen(f.ctx, tenant, day, audit.Origin{Actor: "admin"}))
		v, err := f.c.Day(f.ctx, tenant, day)
		f.must(err)
		if v.Short != 0 || v.Surplus != 0 {
			f.Errorf("the day is short by %d, and has %d more", v.Short, v.Surplus)
		}
	})
}

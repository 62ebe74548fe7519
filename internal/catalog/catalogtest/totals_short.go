package catalogtest

import (
	"fmt"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// shortDay is a day that waits for its totals: nobody calls it complete until they are met.
func shortDay(f *fixture) {
	f.endpoint("acme")
	f.add(3, 4)
	f.takeTotals(f.total(3, 2), f.total(domain.WholeDay, 3))
	f.plan()
	f.publish(3)
	f.publish(4)
	equal(f, "events", f.eventTypes(), "")
	equal(f, "settled", f.view().Settled.IsZero(), false)
	days, err := f.c.TenantDays(f.ctx, f.tenant, f.day, f.day)
	f.must(err)
	d := days.Tenants[0].Days[f.day]
	equal(f, "calendar", fmt.Sprint(d.Incomplete(days.Tenants[0].Tenant, days.Now), d.Short), "true 1")
	found, _, err := f.c.FindTenants(f.ctx, catalog.TenantQuery{Limit: 10, Incomplete: true, From: f.day, To: f.day})
	f.must(err)
	equal(f, "tenants with an incomplete day", len(found), 1)
	f.daysOff("waiting", 1, 0, 0)

	equal(f, "told before the grace", f.tellShort(), 0)
	f.pass(grace)
	equal(f, "told", f.tellShort(), 1)
	equal(f, "told again", f.tellShort(), 0)
	equal(f, "events", f.eventTypes(), "day.short")
	data := f.data(domain.EventDayShort)
	equal(f, "data", fmt.Sprint(data["shortBy"], data["short"]), "1 [map[hour:03 registered:1 total:2] map[registered:2 total:3]]")
	f.daysOff("told", 0, 1, 0)

	f.add(3)
	equal(f, "what came is in no archive yet", f.eventTypes(), "day.short")
	f.publishLater(3)
	equal(f, "events", f.eventTypes(), "day.completed day.short hour.rebuilt")
	f.daysOff("met", 0, 0, 0)
}

// daysOff compares how many days are not as their totals say.
func (f *fixture) daysOff(what string, waiting, short, surplus int64) {
	f.Helper()
	b := f.backlog()
	equal(f, "backlog, "+what, fmt.Sprint(b.ShortWaiting, b.Short, b.Surplus), fmt.Sprint(waiting, short, surplus))
}

// shortAfterCompletion is a day whose totals come after it was told as complete.
func shortAfterCompletion(f *fixture) {
	f.endpoint("acme")
	f.add(3)
	f.plan()
	f.publish(3)
	equal(f, "events", f.eventTypes(), "day.completed")
	f.pass(grace)
	f.takeTotals(f.total(3, 2))
	equal(f, "told, because the grace counts from the completion", f.tellShort(), 1)
	_, err := f.correctTotal(3, ptr(int64(1)))
	f.must(err)
	equal(f, "complete again", f.eventTypes(), "day.completed day.completed day.short")
	equal(f, "told", f.tellShort(), 0)
}

func endsShort(f *fixture) {
	f.endpoint("acme", domain.EventDayShort)
	f.add(3)
	f.takeTotals(f.total(3, 2))
	f.plan()
	f.publish(3)
	f.pass(4 * 24 * time.Hour)
	f.must(PauseDeletions(f.ctx, f.c, 0))
	f.expire(1)
	incomplete := func(what string, want bool) {
		f.Helper()
		days, err := f.c.TenantDays(f.ctx, f.tenant, f.day, f.day)
		f.must(err)
		equal(f, what, days.Tenants[0].Days[f.day].Incomplete(days.Tenants[0].Tenant, days.Now), want)
	}
	incomplete("ended short", true)
	f.add(3)
	incomplete("what came too late", true)
	f.takeTotals(f.total(domain.WholeDay, 2))
	incomplete("what came too late, compared again", true)
	equal(f, "the day", f.comparison(), "short 1 surplus 0")
	equal(f, "events", f.eventTypes(), "")
	f.daysOff("ended", 0, 1, 0)
	f.must(f.c.Reopen(f.ctx, f.tenant, f.day, audit.Origin{Actor: "admin"}))
	equal(f, "reopened", f.comparison(), "short 0 surplus 0")
	f.publish(3)
	incomplete("built", false)
}

// shortWithoutPlan is a day of a tenant that has no archives: nobody is told of it, and it counts
// as short all the same.
func shortWithoutPlan(f *fixture) {
	_, err := f.c.SetTenant(f.ctx, f.tenant, func(t *domain.Tenant) { t.Recordings, t.RetentionDays = false, 5 }, audit.Origin{})
	f.must(err)
	f.add(3)
	f.takeTotals(f.total(3, 2))
	f.daysOff("at first", 1, 0, 0)
	days, err := f.c.TenantDays(f.ctx, f.tenant, f.day, f.day)
	f.must(err)
	d := days.Tenants[0].Days[f.day]
	equal(f, "incomplete", d.Incomplete(days.Tenants[0].Tenant, days.Now), true)
	f.pass(3 * 24 * time.Hour)
	f.daysOff("after two days", 0, 1, 0)
	f.pass(20 * 24 * time.Hour)
	f.must(PauseDeletions(f.ctx, f.c, 0))
	f.expire(1)
	f.daysOff("ended", 0, 1, 0)
	f.pass(8 * 24 * time.Hour)
	f.daysOff("after a week", 0, 0, 0)
	f.takeTotals(f.total(domain.WholeDay, 3))
	f.daysOff("with a total that comes late", 0, 1, 0)
}

// movedOutOfEndedDay is a recording that an operator moves out of a day that has ended. It does not
// count for the day's totals any more.
func movedOutOfEndedDay(f *fixture) {
	rec := f.recording(3, "s1")
	f.takeRecordings(rec)
	f.plan()
	f.publish(3)
	f.pass(4 * 24 * time.Hour)
	f.must(PauseDeletions(f.ctx, f.c, 0))
	f.expire(1)
	f.correct(rec, func(k *catalog.Correction) { k.Timestamp = ptr(f.now()) })
	f.takeTotals(f.total(3, 1))
	equal(f, "the day", f.comparison(), "short 1 surplus 0")
}

package catalogtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// RunConsole proves what operators see and do, on the catalogs that open gives, each empty and
// migrated.
func RunConsole(t *testing.T, open func(t *testing.T) *catalog.Catalog) {
	each(t, open, map[string]func(*bench){
		"sessions end":        sessionsEnd,
		"calendar":            calendarPages,
		"calendar counts":     calendarCounts,
		"calendar lacks":      calendarLacks,
		"running":             runningNow,
		"failed":              failedPages,
		"story":               story,
		"failed files":        failedFiles,
		"downloads":           downloadCounts,
		"events":              eventsOfAnHour,
		"rebuild is written":  rebuildWritten,
		"retry is written":    retryWritten,
		"features":            featureSwitched,
		"tenants written":     tenantsWritten,
		"refusal leaves none": refusalUnwritten,
		"standing":            standing,
		"standing of nights":  standingNights,
	})
}

func (b *bench) calendar(q catalog.CalendarQuery) catalog.Calendar {
	b.Helper()
	if q.To == "" {
		q.From, q.To = b.day.Add(-3), b.day
	}
	c, err := b.c.Calendar(b.ctx, q)
	b.must(err)
	return c
}

// calendarPages reads page by page: every tenant once, by id, bytewise.
func calendarPages(b *bench) {
	for _, id := range []string{"Zed", "a", "acme-2", "acme_1", "b", "z"} {
		b.newTenant(id, 3)
	}
	var ids []string
	after := ""
	for {
		c := b.calendar(catalog.CalendarQuery{After: after, Limit: 2})
		for _, t := range c.Tenants {
			ids = append(ids, t.ID)
		}
		if !c.More {
			break
		}
		after = ids[len(ids)-1]
	}
	equal(b, "tenants", strings.Join(ids, " "), "Zed a acme acme-2 acme_1 b z")
	ids = nil
	for _, t := range b.calendar(catalog.CalendarQuery{Prefix: "acme", Limit: 10}).Tenants {
		ids = append(ids, t.ID)
	}
	equal(b, "tenants that begin with acme", strings.Join(ids, " "), "acme acme-2 acme_1")
	equal(b, "tenants that begin with acme%", len(b.calendar(catalog.CalendarQuery{Prefix: "acme%", Limit: 10}).Tenants), 0)
	full := b.calendar(catalog.CalendarQuery{Prefix: "acme", Limit: 3})
	equal(b, "more behind a page that is just full", full.More, false)
}

func calendarCounts(b *bench) {
	b.add(3, 4, 5)
	_, err := b.c.PlanDay(b.ctx, b.tenant, b.day)
	b.must(err)
	b.publish(3)
	claim := b.claim(4)
	b.must(b.c.Fail(b.ctx, claim, catalog.Failure{Kind: domain.KindStoreFault, Message: "full", Final: true}))
	b.newTenant("other", 3)
	_, err = b.c.PlanDay(b.ctx, "other", b.day.Add(-1))
	b.must(err)

	c := b.calendar(catalog.CalendarQuery{Limit: 10})
	d := c.Tenants[0].Days[b.day]
	equal(b, "planned", d.Planned, true)
	equal(b, "available, without data, pending, failed", fmt.Sprint(d.Available, d.NoData, d.Pending, d.Failed), "1 21 1 1")
	equal(b, "complete", d.Complete(), 22)
	equal(b, "files", d.Files, 1)
	equal(b, "days of acme", len(c.Tenants[0].Days), 1)
	equal(b, "complete hours of other", c.Tenants[1].Days[b.day.Add(-1)].Complete(), 24)
	equal(b, "days before", len(b.calendar(catalog.CalendarQuery{Limit: 10, From: b.day.Add(-9), To: b.day.Add(-1)}).Tenants[0].Days), 0)

	b.pass(5 * 24 * time.Hour)
	_, err = b.c.ExpireDays(b.ctx, 10)
	b.must(err)
	equal(b, "past retention", b.calendar(catalog.CalendarQuery{Limit: 1}).Tenants[0].Days[b.day].Expired, true)
}

// calendarLacks counts what days lack although their hours are served, of the page's tenants alone.
func calendarLacks(b *bench) {
	acme, before := b.day, b.day.Add(-1)
	lack := func(tenant string, day domain.Day, hours ...int) {
		b.tenant, b.day = tenant, day
		b.add(hours...)
		b.plan()
		for _, hour := range hours {
			b.publishMissing(hour, "not_found")
		}
	}
	lack("acme", acme, 3, 4, 5)
	b.force(3)
	b.force(4)
	lack("acme", before, 9)
	for _, id := range []string{"a", "b"} {
		b.newTenant(id, 3)
		lack(id, acme, 7)
		b.force(7)
	}
	b.tenant, b.day = "acme", acme
	counts := func(day domain.Day) string {
		d := b.calendar(catalog.CalendarQuery{Prefix: "acme", Limit: 1, From: before, To: acme}).Tenants[0].Days[day]
		return fmt.Sprint(d.Missing, d.Rebuilding)
	}
	equal(b, "missing and rebuilding", counts(acme), "3 2")
	equal(b, "the day before", counts(before), "1 0")
	equal(b, "of a page without the day", b.calendar(catalog.CalendarQuery{Limit: 9, From: before, To: before}).Tenants[1].Days[acme].Missing, 0)
	b.publish(3) // whole this time
	equal(b, "after another revision", counts(acme), "2 1")
	_, err := b.c.Gone(b.ctx, catalog.ServedArchive{HourKey: b.key(4), ObjectKey: b.hour(4).Archive.ObjectKey})
	b.must(err)
	equal(b, "pending again", counts(acme), "1 0")
	b.add(5) // late
	equal(b, "after a late recording", counts(acme), "1 1")
	b.pass(5 * 24 * time.Hour)
	_, err = b.c.ExpireDays(b.ctx, 10)
	b.must(err)
	equal(b, "past retention", counts(acme), "0 0")
}

func runningNow(b *bench) {
	empty, err := b.c.Running(b.ctx, 10)
	b.must(err)
	equal(b, "builds", len(empty.Builds), 0)
	b.add(1, 2, 3)
	_, err = b.c.PlanDay(b.ctx, b.tenant, b.day)
	b.must(err)
	b.claim(2)
	b.claim(3)
	r, err := b.c.Running(b.ctx, 10)
	b.must(err)
	equal(b, "builds", len(r.Builds), 2)
	equal(b, "due", r.Due, 1)
	first := r.Builds[0]
	equal(b, "the one claimed first", first.HourKey, b.key(2))
	equal(b, "revision", first.Revision, 1)
	equal(b, "its lease ends later", first.Lease.After(first.Claimed), true)
	r, err = b.c.Running(b.ctx, 1)
	b.must(err)
	equal(b, "builds of a short list", len(r.Builds), 1)
	equal(b, "more", r.More, true)
}

// failedPages lists failed hours oldest day first, page by page, without those of ended days.
func failedPages(b *bench) {
	b.newTenant("beta", 3)
	var want []string
	for _, day := range []domain.Day{b.day.Add(-1), b.day} {
		for _, tenant := range []string{"acme", "beta"} {
			for _, hour := range []int{4, 17} {
				b.failHour(domain.HourKey{Tenant: tenant, Day: day, Hour: hour})
				want = append(want, domain.HourKey{Tenant: tenant, Day: day, Hour: hour}.String())
			}
		}
	}
	var got []string
	var after domain.HourKey
	for {
		page, err := b.c.FailedHours(b.ctx, after, 3)
		b.must(err)
		for _, f := range page {
			got = append(got, f.String())
			equal(b, "error", f.LastError, "the disk is full")
			equal(b, "it failed before it is due", f.FailedAt.Before(f.Due), true)
			after = f.HourKey
		}
		if len(page) < 3 {
			break
		}
	}
	equal(b, "failed", strings.Join(got, " "), strings.Join(want, " "))
	b.pass(10 * 24 * time.Hour)
	_, err := b.c.ExpireDays(b.ctx, 10)
	b.must(err)
	page, err := b.c.FailedHours(b.ctx, domain.HourKey{}, 3)
	b.must(err)
	equal(b, "failed on ended days", len(page), 0)
}

// failHour uses an hour's attempts up.
func (b *bench) failHour(key domain.HourKey) {
	b.Helper()
	tenant, day := b.tenant, b.day
	b.tenant, b.day = key.Tenant, key.Day
	b.add(key.Hour)
	_, err := b.c.Rebuild(b.ctx, key.Tenant, key.Day, key.Hour, false)
	b.must(err)
	b.must(b.c.Fail(b.ctx, b.claim(key.Hour), catalog.Failure{Kind: domain.KindStoreFault, Message: "the disk is full", Final: true}))
	b.tenant, b.day = tenant, day
}

// sessionsEnd before their time; what is kept of them goes when that has come.
func sessionsEnd(b *bench) {
	want := func(id string, ended bool) {
		b.Helper()
		got, err := b.c.SessionEnded(b.ctx, id)
		b.must(err)
		equal(b, id, got, ended)
	}
	want("one", false)
	b.must(b.c.EndSession(b.ctx, "one", b.now().Add(time.Hour)))
	b.must(b.c.EndSession(b.ctx, "one", b.now().Add(time.Hour)))
	want("one", true)
	want("two", false)
	b.pass(2 * time.Hour)
	b.must(b.c.EndSession(b.ctx, "two", b.now().Add(time.Hour)))
	want("one", false)
	want("two", true)
}

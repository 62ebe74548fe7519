package catalogtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// RunConsole tests what operators see and do. open gives an empty, migrated catalog.
func RunConsole(t *testing.T, open func(t *testing.T) *catalog.Catalog) {
	each(t, open, map[string]func(*fixture){
		"sessions end":        sessionsEnd,
		"calendar":            calendarPages,
		"calendar counts":     calendarCounts,
		"calendar lacks":      calendarIncomplete,
		"calendar of the end": calendarEnds,
		"unplanned day ends":  unplannedEnds,
		"tenants found":       tenantsFound,
		"tried again":         triedAgain,
		"reopening written":   reopeningAudited,
		"running":             runningNow,
		"failed":              failedPages,
		"story":               hourHistory,
		"failed files":        failedFiles,
		"downloads":           downloadCounts,
		"events":              auditOfAnHour,
		"rebuild is written":  rebuildAudited,
		"retry is written":    retryAudited,
		"features":            featureSwitched,
		"tenants written":     tenantsAudited,
		"refusal leaves none": refusalNotAudited,
		"backlog":             backlog,
		"backlog of nights":   backlogNights,
	})
}

func (f *fixture) calendar(q catalog.TenantQuery) catalog.Calendar {
	f.Helper()
	if q.To == "" {
		q.From, q.To = f.day.Add(-3), f.day
	}
	c, err := f.c.Calendar(f.ctx, q)
	f.must(err)
	return c
}

// calendarPages reads all pages: every tenant is there once, by id, bytewise.
func calendarPages(f *fixture) {
	for _, id := range []string{"Zed", "a", "acme-2", "acme_1", "b", "z"} {
		f.newTenant(id, 3)
	}
	var ids []string
	after := ""
	for {
		c := f.calendar(catalog.TenantQuery{After: after, Limit: 2})
		for _, t := range c.Tenants {
			ids = append(ids, t.ID)
		}
		if !c.More {
			break
		}
		after = ids[len(ids)-1]
	}
	equal(f, "tenants", strings.Join(ids, " "), "Zed a acme acme-2 acme_1 b z")
	full := f.calendar(catalog.TenantQuery{Search: "acme", Limit: 3})
	equal(f, "more behind a page that is just full", full.More, false)
}

func calendarCounts(f *fixture) {
	f.add(3, 4, 5)
	_, err := f.c.PlanDay(f.ctx, f.tenant, f.day)
	f.must(err)
	f.publish(3)
	claim := f.claim(4)
	f.must(f.c.Fail(f.ctx, claim, catalog.Failure{Kind: domain.KindStoreFault, Message: "full", Final: true}))
	f.newTenant("other", 3)
	_, err = f.c.PlanDay(f.ctx, "other", f.day.Add(-1))
	f.must(err)

	c := f.calendar(catalog.TenantQuery{Limit: 10})
	d := c.Tenants[0].Days[f.day]
	equal(f, "planned", d.Planned, true)
	equal(f, "available, without data, pending, failed", fmt.Sprint(d.Available, d.NoData, d.Pending, d.Failed), "1 21 1 1")
	equal(f, "complete", d.Complete(), 22)
	equal(f, "files", d.Files, 1)
	equal(f, "days of acme", len(c.Tenants[0].Days), 1)
	equal(f, "complete hours of other", c.Tenants[1].Days[f.day.Add(-1)].Complete(), 24)
	equal(f, "days before", len(f.calendar(catalog.TenantQuery{Limit: 10, From: f.day.Add(-9), To: f.day.Add(-1)}).Tenants[0].Days), 0)

	f.pass(5 * 24 * time.Hour)
	_, err = f.c.ExpireDays(f.ctx, 10)
	f.must(err)
	equal(f, "past retention", f.calendar(catalog.TenantQuery{Limit: 1}).Tenants[0].Days[f.day].Ended, true)
}

// calendarIncomplete counts missing files and rebuilding hours of served hours, of the page's
// tenants only.
func calendarIncomplete(f *fixture) {
	acme, before := f.day, f.day.Add(-1)
	lack := func(tenant string, day domain.Day, hours ...int) {
		f.tenant, f.day = tenant, day
		f.add(hours...)
		f.plan()
		for _, hour := range hours {
			f.publishMissing(hour, "not_found")
		}
	}
	lack("acme", acme, 3, 4, 5)
	f.force(3)
	f.force(4)
	lack("acme", before, 9)
	for _, id := range []string{"a", "b"} {
		f.newTenant(id, 3)
		lack(id, acme, 7)
		f.force(7)
	}
	f.tenant, f.day = "acme", acme
	counts := func(day domain.Day) string {
		d := f.calendar(catalog.TenantQuery{Search: "acme", Limit: 1, From: before, To: acme}).Tenants[0].Days[day]
		return fmt.Sprint(d.Missing, d.Rebuilding, d.Complete())
	}
	equal(f, "missing, rebuilding and complete", counts(acme), "3 2 21")
	equal(f, "the day before", counts(before), "1 0 23")
	equal(f, "of a page without the day", f.calendar(catalog.TenantQuery{Limit: 9, From: before, To: before}).Tenants[1].Days[acme].Missing, 0)
	f.publish(3) // complete this time
	equal(f, "after another revision", counts(acme), "2 1 22")
	_, err := f.c.Gone(f.ctx, catalog.ServedArchive{HourKey: f.key(4), ObjectKey: f.hour(4).Archive.ObjectKey})
	f.must(err)
	equal(f, "pending again", counts(acme), "1 0 22")
	f.add(5) // late
	equal(f, "after a late recording", counts(acme), "1 1 22")
	f.pass(5 * 24 * time.Hour)
	_, err = f.c.ExpireDays(f.ctx, 10)
	f.must(err)
	equal(f, "past retention", counts(acme), "1 0 22")
}

func runningNow(f *fixture) {
	empty, err := f.c.Running(f.ctx, 10)
	f.must(err)
	equal(f, "builds", len(empty.Builds), 0)
	f.add(1, 2, 3)
	_, err = f.c.PlanDay(f.ctx, f.tenant, f.day)
	f.must(err)
	f.claim(2)
	f.claim(3)
	r, err := f.c.Running(f.ctx, 10)
	f.must(err)
	equal(f, "builds", len(r.Builds), 2)
	equal(f, "due", r.Due, 1)
	first := r.Builds[0]
	equal(f, "the one claimed first", first.HourKey, f.key(2))
	equal(f, "revision", first.Revision, 1)
	equal(f, "its lease ends later", first.Lease.After(first.Claimed), true)
	r, err = f.c.Running(f.ctx, 1)
	f.must(err)
	equal(f, "builds of a short list", len(r.Builds), 1)
	equal(f, "more", r.More, true)
}

// failedPages lists failed hours oldest day first, page by page, without those of ended days.
func failedPages(f *fixture) {
	f.newTenant("beta", 3)
	var want []string
	for _, day := range []domain.Day{f.day.Add(-1), f.day} {
		for _, tenant := range []string{"acme", "beta"} {
			for _, hour := range []int{4, 17} {
				f.failHour(domain.HourKey{Tenant: tenant, Day: day, Hour: hour})
				want = append(want, domain.HourKey{Tenant: tenant, Day: day, Hour: hour}.String())
			}
		}
	}
	var got []string
	var after domain.HourKey
	for {
		page, err := f.c.FailedHours(f.ctx, after, 3)
		f.must(err)
		for _, h := range page {
			got = append(got, h.String())
			equal(f, "error", h.LastError, "the disk is full")
			equal(f, "it failed before it is due", h.FailedAt.Before(h.Due), true)
			after = h.HourKey
		}
		if len(page) < 3 {
			break
		}
	}
	equal(f, "failed", strings.Join(got, " "), strings.Join(want, " "))
	f.pass(10 * 24 * time.Hour)
	_, err := f.c.ExpireDays(f.ctx, 10)
	f.must(err)
	page, err := f.c.FailedHours(f.ctx, domain.HourKey{}, 3)
	f.must(err)
	equal(f, "failed on ended days", len(page), 0)
}

// failHour uses up an hour's attempts.
func (f *fixture) failHour(key domain.HourKey) {
	f.Helper()
	tenant, day := f.tenant, f.day
	f.tenant, f.day = key.Tenant, key.Day
	f.add(key.Hour)
	_, err := f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: key.Tenant, Day: key.Day, Hour: key.Hour})
	f.must(err)
	f.must(f.c.Fail(f.ctx, f.claim(key.Hour), catalog.Failure{Kind: domain.KindStoreFault, Message: "the disk is full", Final: true}))
	f.tenant, f.day = tenant, day
}

// sessionsEnd ends sessions. Their rows are deleted after they have expired.
func sessionsEnd(f *fixture) {
	want := func(id string, ended bool) {
		f.Helper()
		got, err := f.c.SessionEnded(f.ctx, id)
		f.must(err)
		equal(f, id, got, ended)
	}
	want("one", false)
	f.must(f.c.EndSession(f.ctx, "one", f.now().Add(time.Hour)))
	f.must(f.c.EndSession(f.ctx, "one", f.now().Add(time.Hour)))
	want("one", true)
	want("two", false)
	f.pass(2 * time.Hour)
	f.must(f.c.EndSession(f.ctx, "two", f.now().Add(time.Hour)))
	want("one", false)
	want("two", true)
}

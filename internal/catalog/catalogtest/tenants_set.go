package catalogtest

import (
	"fmt"
	"sync"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

func tenants(f *fixture) {
	_, err := f.c.CreateTenant(f.ctx, domain.Tenant{ID: "acme", RetentionDays: 3, DayLimit: 5, DownloadLimit: 5}, audit.Origin{})
	f.wantKind(err, domain.KindConflict)
	for _, bad := range []domain.Tenant{
		{ID: "a b", RetentionDays: 3, DayLimit: 5, DownloadLimit: 5}, {ID: "b", DayLimit: 5, DownloadLimit: 5},
		{ID: "b", RetentionDays: 4000, DayLimit: 5, DownloadLimit: 5}, {ID: "b", RetentionDays: 3, DownloadLimit: 5},
	} {
		_, err := f.c.CreateTenant(f.ctx, bad, audit.Origin{})
		f.wantKind(err, domain.KindInvalid)
	}
	_, err = f.c.Tenant(f.ctx, "nobody")
	f.wantKind(err, domain.KindNotFound)
	_, err = f.c.SetTenant(f.ctx, "nobody", func(*domain.Tenant) {}, audit.Origin{})
	f.wantKind(err, domain.KindNotFound)
	_, err = f.c.SetTenant(f.ctx, "acme", func(t *domain.Tenant) { t.RetentionDays = 0 }, audit.Origin{})
	f.wantKind(err, domain.KindInvalid)
	f.newTenant("Zeta", 5)
	f.newTenant("a-1", 5)
	list, err := f.c.Tenants(f.ctx, "", 2)
	f.must(err)
	equal(f, "page", len(list), 2)
	equal(f, "bytewise first", list[0].ID, "Zeta")
	rest, err := f.c.Tenants(f.ctx, list[1].ID, 2)
	f.must(err)
	equal(f, "rest", len(rest), 1)
	equal(f, "last", rest[0].ID, "acme")
	set, err := f.c.SetTenant(f.ctx, "acme", func(t *domain.Tenant) { t.Export, t.DayLimit, t.ID = true, 9, "changed" }, audit.Origin{})
	f.must(err)
	got, err := f.c.Tenant(f.ctx, "acme")
	f.must(err)
	equal(f, "changed", got, set)
	equal(f, "limit", got.DayLimit, 9)
}

// tenantsAudited reads the audit lines of a tenant's creation and changes.
func tenantsAudited(f *fixture) {
	o := audit.Origin{Actor: "command", Remote: "192.0.2.7", Request: "r-1"}
	f.tenant = "beta"
	made := domain.Tenant{ID: f.tenant, Name: "Beta", Recordings: true, RetentionDays: 3, DayLimit: 5, DownloadLimit: 6}
	_, err := f.c.CreateTenant(f.ctx, made, o)
	f.must(err)
	e, detail := f.last()
	equal(f, "line", e.Actor+" "+e.Action, "command tenant.create")
	equal(f, "settings", fmt.Sprint(detail["settings"]),
		"map[daily_audio_recordings:true dayLimit:5 downloadLimit:6 export_api:false keyPrefix: name:Beta retentionDays:3 sourceRetentionDays:0]")
	equal(f, "origin", words(detail["remote"], detail["request"]), "192.0.2.7 r-1")
	_, err = f.c.CreateTenant(f.ctx, made, o)
	f.wantKind(err, domain.KindConflict)
	set := func(change func(t *domain.Tenant)) error {
		_, err := f.c.SetTenant(f.ctx, f.tenant, change, o)
		return err
	}
	f.wantKind(set(func(t *domain.Tenant) { t.RetentionDays = 0 }), domain.KindInvalid)
	still, _ := f.last()
	equal(f, "lines for what was refused", still.Seq-e.Seq, 0)
	f.must(set(func(t *domain.Tenant) { t.RetentionDays, t.Export, t.Name = 7, true, "Beta Ltd" }))
	e, detail = f.last()
	equal(f, "line", e.Action, catalog.ActionTenant)
	equal(f, "changed", fmt.Sprint(detail["changed"]),
		"map[export_api:map[from:false to:true] name:map[from:Beta to:Beta Ltd] retentionDays:map[from:3 to:7]]")
	f.must(set(func(t *domain.Tenant) { t.RetentionDays = 7 }))
	_, detail = f.last()
	equal(f, "changed by a repeat", fmt.Sprint(detail["changed"]), "map[]")
}

func (f *fixture) retain(days int) {
	f.Helper()
	_, err := f.c.SetTenant(f.ctx, f.tenant, func(t *domain.Tenant) { t.RetentionDays = days }, audit.Origin{})
	f.must(err)
}

func retentionShortened(f *fixture) {
	f.add(1)
	f.plan()
	f.publish(1)
	f.pass(48 * time.Hour)
	f.day = f.day.Add(2)
	f.add(1) // a day that has not ended
	f.plan()
	f.publish(1)
	f.day = f.day.Add(-2)
	ends := func(days int) string {
		ended, err := f.c.DaysEndedBy(f.ctx, f.tenant, days)
		f.must(err)
		return fmt.Sprint(ended)
	}
	equal(f, "ended by 1 day", ends(1), fmt.Sprint([]domain.Day{f.day}))
	equal(f, "ended by 3 days", ends(3), "[]")
	f.retain(1)
	equal(f, "ended by as many again", ends(1), "[]")
	_, detail := f.last()
	equal(f, "ended, in the audit log", fmt.Sprint(detail["endedDays"]), fmt.Sprintf("[map[day:%s]]", f.day))
	about, err := f.c.LatestAudit(f.ctx, f.tenant, f.day, 1, 1)
	f.must(err)
	equal(f, "the latest line about the day", about[0].Action, catalog.ActionTenant)
	equal(f, "state at once", f.hour(1).State, catalog.StateExpired)
	f.expire(0)
	f.day = f.day.Add(2)
	equal(f, "other day", f.hour(1).State, catalog.StateAvailable)
	equal(f, "its end", f.view().RetentionEnd, f.view().Settled.Add(24*time.Hour))
}

func retentionRaised(f *fixture) {
	f.add(1)
	f.plan()
	f.publish(1)
	f.pass(retention + time.Minute) // past its end, and not marked yet
	equal(f, "expired", f.view().Expired, true)
	f.retain(30)
	equal(f, "expired still", f.view().Expired, true)
	equal(f, "state", f.hour(1).State, catalog.StateExpired)
	f.must(f.c.Reopen(f.ctx, f.tenant, f.day, audit.Origin{}))
	equal(f, "reopened for the new retention", f.view().RetentionEnd, f.view().Reopened.Add(30*24*time.Hour))
}

// retentionRaisedLater raises a retention: days that had ended under the former one stay ended,
// also those without a row.
func retentionRaisedLater(f *fixture) {
	ended, open := f.day.Add(-10), f.day.Add(-2)
	f.day = ended
	equal(f, "expired", f.view().Expired, true)
	f.retain(30)
	equal(f, "expired still", f.view().Expired, true)
	f.wantKind(f.issueKind(ended), domain.KindExpired)
	equal(f, "empty days", f.emptyDays(ended), 0)
	equal(f, "plan", f.plan(), catalog.PlanResult{})
	f.day = ended.Add(-1)
	n, err := f.register([]domain.Recording{f.recording(1, "a")})
	f.must(err)
	equal(f, "too late", n, 1)
	equal(f, "state", f.hour(1).State, catalog.StateExpired)

	f.day = open
	equal(f, "a day that was open", f.view().Expired, false)
	equal(f, "empty days", f.emptyDays(open), 1)
	f.retain(1)
	f.retain(20) // raised again: the day that the shorter retention ended does not come back
	equal(f, "expired", f.view().Expired, true)
	f.retain(30)
	f.day = ended
	equal(f, "expired still", f.view().Expired, true)
	f.must(f.c.Reopen(f.ctx, f.tenant, f.day, audit.Origin{}))
	equal(f, "reopened", f.view().Expired, false)
	f.day = ended.Add(-2)
	equal(f, "and no other day", f.view().Expired, true)
	f.must(f.c.Reopen(f.ctx, f.tenant, f.day, audit.Origin{})) // one without a row
	equal(f, "reopened", f.view().Expired, false)
}

func (f *fixture) emptyDays(day domain.Day) int {
	f.Helper()
	keys, err := f.c.EmptyDays(f.ctx, day, 10)
	f.must(err)
	return len(keys)
}

// issueKind requests a day's links.
func (f *fixture) issueKind(day domain.Day) error {
	r := f.dayRequest(f.tenant)
	r.Day = day
	_, err := f.c.IssueDay(f.ctx, r)
	return err
}

// tenantChangesRace changes one tenant many times at once: no change is lost.
func tenantChangesRace(f *fixture) {
	f.add(1)
	f.plan()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := f.c.SetTenant(f.ctx, f.tenant, func(t *domain.Tenant) { t.DayLimit++ }, audit.Origin{}); err != nil {
				f.Error(err)
			}
		})
	}
	group.Wait()
	got, err := f.c.Tenant(f.ctx, f.tenant)
	f.must(err)
	equal(f, "limit", got.DayLimit, domain.NewTenant("", 0).DayLimit+8)
}

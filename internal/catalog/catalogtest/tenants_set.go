package catalogtest

import (
	"fmt"
	"sync"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

func tenants(b *bench) {
	_, err := b.c.CreateTenant(b.ctx, domain.Tenant{ID: "acme", RetentionDays: 3, DayLimit: 5, DownloadLimit: 5})
	b.wantKind(err, domain.KindConflict)
	for _, bad := range []domain.Tenant{
		{ID: "a b", RetentionDays: 3, DayLimit: 5, DownloadLimit: 5}, {ID: "b", DayLimit: 5, DownloadLimit: 5},
		{ID: "b", RetentionDays: 4000, DayLimit: 5, DownloadLimit: 5}, {ID: "b", RetentionDays: 3, DownloadLimit: 5},
	} {
		_, err := b.c.CreateTenant(b.ctx, bad)
		b.wantKind(err, domain.KindInvalid)
	}
	_, err = b.c.Tenant(b.ctx, "nobody")
	b.wantKind(err, domain.KindNotFound)
	_, err = b.c.SetTenant(b.ctx, "nobody", func(*domain.Tenant) {})
	b.wantKind(err, domain.KindNotFound)
	_, err = b.c.SetTenant(b.ctx, "acme", func(t *domain.Tenant) { t.RetentionDays = 0 })
	b.wantKind(err, domain.KindInvalid)
	b.newTenant("Zeta", 5)
	b.newTenant("a-1", 5)
	list, err := b.c.Tenants(b.ctx, "", 2)
	b.must(err)
	equal(b, "page", len(list), 2)
	equal(b, "bytewise first", list[0].ID, "Zeta")
	rest, err := b.c.Tenants(b.ctx, list[1].ID, 2)
	b.must(err)
	equal(b, "rest", len(rest), 1)
	equal(b, "last", rest[0].ID, "acme")
	set, err := b.c.SetTenant(b.ctx, "acme", func(t *domain.Tenant) { t.Export, t.DayLimit, t.ID = true, 9, "changed" })
	b.must(err)
	got, err := b.c.Tenant(b.ctx, "acme")
	b.must(err)
	equal(b, "changed", got, set)
	equal(b, "limit", got.DayLimit, 9)
}

// tenantsWritten reads what the audit log says of a tenant's making and changes.
func tenantsWritten(b *bench) {
	o := catalog.Origin{Actor: "command", Remote: "192.0.2.7", Request: "r-1"}
	b.tenant = "beta"
	made := domain.Tenant{ID: b.tenant, Name: "Beta", Recordings: true, RetentionDays: 3, DayLimit: 5, DownloadLimit: 6}
	_, err := b.c.CreateTenantAudited(b.ctx, made, o)
	b.must(err)
	e, detail := b.last()
	equal(b, "line", e.Actor+" "+e.Action, "command tenant.create")
	equal(b, "settings", fmt.Sprint(detail["settings"]),
		"map[daily_audio_recordings:true dayLimit:5 downloadLimit:6 export_api:false keyPrefix: name:Beta retentionDays:3]")
	equal(b, "origin", words(detail["remote"], detail["request"]), "192.0.2.7 r-1")
	_, err = b.c.CreateTenantAudited(b.ctx, made, o)
	b.wantKind(err, domain.KindConflict)
	set := func(change func(t *domain.Tenant)) error {
		_, err := b.c.SetTenantAudited(b.ctx, b.tenant, change, o)
		return err
	}
	b.wantKind(set(func(t *domain.Tenant) { t.RetentionDays = 0 }), domain.KindInvalid)
	still, _ := b.last()
	equal(b, "lines for what was refused", still.Seq-e.Seq, 0)
	b.must(set(func(t *domain.Tenant) { t.RetentionDays, t.Export, t.Name = 7, true, "Beta Ltd" }))
	e, detail = b.last()
	equal(b, "line", e.Action, catalog.ActionTenant)
	equal(b, "changed", fmt.Sprint(detail["changed"]),
		"map[export_api:map[from:false to:true] name:map[from:Beta to:Beta Ltd] retentionDays:map[from:3 to:7]]")
	b.must(set(func(t *domain.Tenant) { t.RetentionDays = 7 }))
	_, detail = b.last()
	equal(b, "changed by a repeat", fmt.Sprint(detail["changed"]), "map[]")
}

func (b *bench) retain(days int) {
	b.Helper()
	_, err := b.c.SetTenant(b.ctx, b.tenant, func(t *domain.Tenant) { t.RetentionDays = days })
	b.must(err)
}

func retentionShortened(b *bench) {
	b.add(1)
	b.plan()
	b.publish(1)
	b.pass(48 * time.Hour)
	b.day = b.day.Add(2)
	b.add(1) // a day that goes on
	b.plan()
	b.publish(1)
	b.day = b.day.Add(-2)
	b.retain(1)
	equal(b, "state at once", b.hour(1).State, catalog.StateExpired)
	b.expire(0)
	b.day = b.day.Add(2)
	equal(b, "other day", b.hour(1).State, catalog.StateAvailable)
	equal(b, "its end", b.view().RetentionEnd, b.view().Completed.Add(24*time.Hour))
}

func retentionRaised(b *bench) {
	b.add(1)
	b.plan()
	b.publish(1)
	b.pass(retention + time.Minute) // over, and nobody marked it yet
	equal(b, "expired", b.view().Expired, true)
	b.retain(30)
	equal(b, "expired still", b.view().Expired, true)
	equal(b, "state", b.hour(1).State, catalog.StateExpired)
	b.must(b.c.Reopen(b.ctx, b.tenant, b.day))
	equal(b, "reopened for the new retention", b.view().RetentionEnd, b.view().Reopened.Add(30*24*time.Hour))
}

// retentionRaisedLater raises a retention: days that had ended under the former one stay ended, also
// those that nobody ever named.
func retentionRaisedLater(b *bench) {
	ended, open := b.day.Add(-10), b.day.Add(-2)
	b.day = ended
	equal(b, "expired", b.view().Expired, true)
	b.retain(30)
	equal(b, "expired still", b.view().Expired, true)
	b.wantKind(b.issueKind(ended), domain.KindExpired)
	equal(b, "quiet", b.quiet(ended), 0)
	equal(b, "plan", b.plan(), catalog.PlanResult{})
	b.day = ended.Add(-1)
	n, err := b.register([]domain.Recording{b.recording(1, "a")})
	b.must(err)
	equal(b, "too late", n, 1)
	equal(b, "state", b.hour(1).State, catalog.StateExpired)

	b.day = open
	equal(b, "a day that was open", b.view().Expired, false)
	equal(b, "quiet", b.quiet(open), 1)
	b.retain(1)
	b.retain(20) // and up again: the day that the shorter one ended does not come back
	equal(b, "expired", b.view().Expired, true)
	b.retain(30)
	b.day = ended
	equal(b, "expired still", b.view().Expired, true)
	b.must(b.c.Reopen(b.ctx, b.tenant, b.day))
	equal(b, "reopened", b.view().Expired, false)
	b.day = ended.Add(-2)
	equal(b, "and no other day", b.view().Expired, true)
	b.must(b.c.Reopen(b.ctx, b.tenant, b.day)) // one without a row
	equal(b, "reopened", b.view().Expired, false)
}

func (b *bench) quiet(day domain.Day) int {
	b.Helper()
	keys, err := b.c.EmptyDays(b.ctx, day, 10)
	b.must(err)
	return len(keys)
}

// issueKind asks for a day as its tenant does.
func (b *bench) issueKind(day domain.Day) error {
	_, err := b.c.IssueDay(b.ctx, catalog.DayRequest{Tenant: b.tenant, Day: day, LinkTTL: time.Hour})
	return err
}

// tenantChangesMeet changes one tenant from many sides: no change is lost.
func tenantChangesMeet(b *bench) {
	b.add(1)
	b.plan()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := b.c.SetTenant(b.ctx, b.tenant, func(t *domain.Tenant) { t.DayLimit++ }); err != nil {
				b.Error(err)
			}
		})
	}
	group.Wait()
	got, err := b.c.Tenant(b.ctx, b.tenant)
	b.must(err)
	equal(b, "limit", got.DayLimit, domain.DefaultDayLimit+8)
}

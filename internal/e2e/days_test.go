package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/callvault/callvault/internal/domain"
)

// TestRetention shortens a tenant's retention and reopens a day that has ended.
func TestRetention(t *testing.T) {
	f := newFixture(t)
	f.tenant("acme", "beta")
	old, yesterday := f.yesterday().Add(-1), f.yesterday()
	for _, tenant := range []string{"acme", "beta"} {
		for _, d := range []domain.Day{old, yesterday} {
			f.take(spread(domain.HourKey{Tenant: tenant, Day: d, Hour: 8}, "r", 3, 1000))
		}
	}
	f.start("api,scheduler,worker")
	all := []day{{"acme", old}, {"acme", yesterday}, {"beta", old}, {"beta", yesterday}}
	f.waitBuilt(all...)
	f.check(all...)
	_, before := f.askDay("acme", old)
	// As if the older day had been built when it ended.
	f.sql(`UPDATE days SET completed_us = closes_us WHERE day = $1`, old)
	f.ok("tenant", "set", "acme", "--retention-days", "1", "--yes")
	if status, _ := f.askDay("acme", old); status != 404 {
		t.Errorf("a day past its shortened retention answers %d", status)
	}
	if status, _ := f.request("GET", *before.Links[8].URL, nil, nil); status != 404 {
		t.Errorf("a link of that day answers %d", status)
	}
	f.check(all[1], all[2], all[3])
	f.ok("tenant", "set", "acme", "--retention-days", "30")
	if status, _ := f.askDay("acme", old); status != 404 {
		t.Errorf("the ended day came back by itself: %d", status)
	}
	// An hour later its objects are deleted, and no others.
	served := f.objects()
	f.sql(`UPDATE archives SET delete_after_us = 0 WHERE state = 'doomed'`)
	f.clean() // which waits for what is doomed
	for key := range served {
		if gone := !f.objects()[key]; gone != strings.HasPrefix(key, "callvault/archives/acme/"+string(old)) {
			t.Errorf("%s is gone: %t", key, gone)
		}
	}
	// A recording that comes now is stored and is in no archive until an operator reopens the day.
	late := spread(domain.HourKey{Tenant: "acme", Day: old, Hour: 9}, "late", 2, 1000)
	f.take(late)
	if n := f.number(`SELECT too_late FROM days WHERE tenant = 'acme' AND day = $1`, old); n != 2 {
		t.Errorf("%d recordings count as too late, want 2", n)
	}
	f.ok("archive", "--tenant", "acme", "--day", string(old), "--reopen", "--wait")
	f.check(all...)
	f.clean()
}

// TestArchivesGone deletes published objects: their hours are built again.
func TestArchivesGone(t *testing.T) {
	f := newFixture(t)
	f.tenant("acme")
	d := day{"acme", f.yesterday()}
	for h := range 4 {
		f.take(spread(domain.HourKey{Tenant: "acme", Day: d.day, Hour: h}, "r", 3, 1000))
	}
	f.start("api,scheduler,worker")
	f.waitBuilt(d)
	f.check(d)
	for h := range 2 {
		v, err := f.cat.Day(t.Context(), "acme", d.day)
		f.must(err)
		f.must(f.s3.RemoveObject(t.Context(), f.env["CALLVAULT_ARCHIVES_BUCKET"], v.Hours[h].Archive.ObjectKey, minio.RemoveObjectOptions{}))
	}
	// A download finds the first one. The sweeper finds the second an hour after its last check.
	_, answer := f.askDay("acme", d.day)
	if status, _ := f.request("GET", *answer.Links[0].URL, nil, nil); status != 404 && status != 503 {
		t.Errorf("a link to an archive that is gone answers %d", status)
	}
	f.sql(`UPDATE archives SET checked_us = 0 WHERE state = 'published'`)
	eventually(t, "both are built again", func(context.Context) string {
		if r := f.revisions(d); len(r) != 4 || r[0] != 2 || r[1] != 2 {
			return fmt.Sprint(r)
		}
		return ""
	})
	f.waitBuilt(d)
	if r := f.revisions(d); r[2] != 1 || r[3] != 1 {
		t.Errorf("hours whose archives stand were built again: %v", r)
	}
	f.check(d)
	f.clean()
}

package e2e_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/callvault/callvault/internal/domain"
)

// TestRetention shortens a tenant's retention and reopens a day that has ended.
func TestRetention(t *testing.T) {
	w := newWorld(t)
	w.tenant("acme", "beta")
	old, yesterday := w.yesterday().Add(-1), w.yesterday()
	for _, tenant := range []string{"acme", "beta"} {
		for _, d := range []domain.Day{old, yesterday} {
			w.take(spread(domain.HourKey{Tenant: tenant, Day: d, Hour: 8}, "r", 3, 1000))
		}
	}
	w.start("api,scheduler,worker")
	all := []day{{"acme", old}, {"acme", yesterday}, {"beta", old}, {"beta", yesterday}}
	w.settled(all...)
	w.check(all...)
	_, before := w.askDay("acme", old)
	// As if the older day had been built when it ended.
	w.sql(`UPDATE days SET completed_us = closes_us WHERE day = $1`, old)
	w.ok("tenant", "set", "acme", "--retention-days", "1")
	if status, _ := w.askDay("acme", old); status != 404 {
		t.Errorf("a day past its shortened retention answers %d", status)
	}
	if status, _ := w.request("GET", *before.Links[8].URL, nil, nil); status != 404 {
		t.Errorf("a link of that day answers %d", status)
	}
	w.check(all[1], all[2], all[3])
	w.ok("tenant", "set", "acme", "--retention-days", "30")
	if status, _ := w.askDay("acme", old); status != 404 {
		t.Errorf("the ended day came back by itself: %d", status)
	}
	// Its bytes go an hour later, and nobody else's.
	served := w.objects()
	w.sql(`UPDATE archives SET delete_after_us = 0 WHERE state = 'doomed'`)
	w.clean() // which waits for what is doomed
	for key := range served {
		if gone := !w.objects()[key]; gone != strings.HasPrefix(key, "acme/"+string(old)) {
			t.Errorf("%s is gone: %t", key, gone)
		}
	}
	// What comes for it now is kept and is in no archive, until somebody reopens the day.
	late := spread(domain.HourKey{Tenant: "acme", Day: old, Hour: 9}, "late", 2, 1000)
	w.take(late)
	if n := w.number(`SELECT too_late FROM days WHERE tenant = 'acme' AND day = $1`, old); n != 2 {
		t.Errorf("%d recordings count as too late, want 2", n)
	}
	w.ok("archive", "--tenant", "acme", "--day", string(old), "--reopen", "--wait")
	w.check(all...)
	w.clean()
}

// TestRestoredCatalog puts yesterday's backup of the catalog in the place of today's, while the object
// store has moved on: the roles alone bring it to the right state, and delete nothing newer.
func TestRestoredCatalog(t *testing.T) {
	w := newPrivateWorld(t)
	w.tenant("acme")
	d := day{"acme", w.yesterday()}
	hour := func(h int) domain.HourKey { return domain.HourKey{Tenant: "acme", Day: d.day, Hour: h} }
	w.take(append(spread(hour(1), "r", 3, 1000), spread(hour(2), "r", 3, 1000)...))
	roles := []*process{w.start("api"), w.start("scheduler,worker")}
	w.settled(d)
	w.check(d)
	for _, p := range roles {
		p.term()
	}
	w.must(w.cat.Close())
	w.must(w.db.Close())
	w.copyDatabase("postgres", "backup")
	w.step("backup")
	w.open(w.env["CALLVAULT_DATABASE_URL"])
	// After the backup: a rebuilt hour, a new hour, and the first archive of hour 2 gone.
	roles = []*process{w.start("api"), w.start("scheduler,worker")}
	later := append(spread(hour(1), "later", 2, 1000), spread(hour(3), "later", 2, 1000)...)
	w.take(later)
	w.ok("archive", "--tenant", "acme", "--day", string(d.day), "--hour", "2", "--force", "--wait")
	w.settled(d)
	w.check(d)
	w.sql(`UPDATE archives SET links_until_us = 0, delete_after_us = 0 WHERE state = 'superseded'`)
	eventually(t, "the first archive of hours 1 and 2 is deleted", func(context.Context) string {
		if n := w.number(`SELECT count(*) FROM archives WHERE state = 'superseded' OR state = 'doomed' AND deletions = 0`); n > 0 {
			return fmt.Sprint(n, " wait")
		}
		return ""
	})
	for _, p := range roles {
		p.term()
	}
	newer := w.objects()
	w.step("moved on")
	// The backup comes back.
	w.env["CALLVAULT_DATABASE_URL"] = database(t, w.env["CALLVAULT_DATABASE_URL"], "backup")
	w.open(w.env["CALLVAULT_DATABASE_URL"])
	w.start("api")
	w.start("scheduler,worker")
	w.sql(`UPDATE archives SET checked_us = 0 WHERE state = 'published'`) // an hour has passed
	eventually(t, "the archives that are gone are built again", func(context.Context) string {
		if r := w.revisions(d); len(r) != 2 || r[0] < 2 || r[1] < 2 {
			return fmt.Sprint(r)
		}
		return ""
	})
	w.step("rebuilt")
	for _, r := range later { // the catalog has forgotten them: whoever sent them sends them again
		delete(w.truth.all, r.Key)
	}
	w.settled(d)
	w.check(d)
	w.registered(later)
	w.settled(d)
	w.check(d)
	for key := range newer {
		if !w.objects()[key] {
			t.Errorf("%s is newer than the backup and was deleted", key)
		}
	}
}

// database gives the URL of another database of the same server.
func database(t *testing.T, at, name string) string {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// copyDatabase makes a copy of a database to which nobody is connected.
func (w *world) copyDatabase(from, to string) {
	w.t.Helper()
	there := &world{t: w.t}
	there.open(database(w.t, w.env["CALLVAULT_DATABASE_URL"], "template1"))
	eventually(w.t, "the catalog is copied", func(ctx context.Context) string {
		if _, err := there.db.ExecContext(ctx, "CREATE DATABASE "+to+" TEMPLATE "+from); err != nil {
			return err.Error()
		}
		return ""
	})
}

// TestArchivesGone deletes published objects behind callvault's back: their hours are built again.
func TestArchivesGone(t *testing.T) {
	w := newWorld(t)
	w.tenant("acme")
	d := day{"acme", w.yesterday()}
	for h := range 4 {
		w.take(spread(domain.HourKey{Tenant: "acme", Day: d.day, Hour: h}, "r", 3, 1000))
	}
	w.start("api,scheduler,worker")
	w.settled(d)
	w.check(d)
	for h := range 2 {
		v, err := w.cat.Day(t.Context(), "acme", d.day)
		w.must(err)
		w.must(w.s3.RemoveObject(t.Context(), w.env["CALLVAULT_ARCHIVES_BUCKET"], v.Hours[h].Archive.ObjectKey, minio.RemoveObjectOptions{}))
	}
	// A tenant who clicks finds the first; the sweeper finds the second an hour after it looked last.
	_, answer := w.askDay("acme", d.day)
	if status, _ := w.request("GET", *answer.Links[0].URL, nil, nil); status != 404 && status != 503 {
		t.Errorf("a link to an archive that is gone answers %d", status)
	}
	w.sql(`UPDATE archives SET checked_us = 0 WHERE state = 'published'`)
	eventually(t, "both are built again", func(context.Context) string {
		if r := w.revisions(d); len(r) != 4 || r[0] != 2 || r[1] != 2 {
			return fmt.Sprint(r)
		}
		return ""
	})
	w.settled(d)
	if r := w.revisions(d); r[2] != 1 || r[3] != 1 {
		t.Errorf("hours whose archives stand were built again: %v", r)
	}
	w.check(d)
	w.clean()
}

package e2e_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

// TestRestoredCatalog restores yesterday's backup of the catalog, with an empty Redis and the
// current object store. The lines since then are sent again. The roles reach the right state
// without help and delete nothing that is newer than the backup.
func TestRestoredCatalog(t *testing.T) {
	f := newPrivateFixture(t)
	f.env["CALLVAULT_LINK_TTL"] = "7d"
	f.shiftClock(-24 * time.Hour) // it is yesterday
	f.tenant("acme")
	first := f.yesterday()
	days := []day{{"acme", first}, {"acme", first.Add(1)}}
	of := func(d day, hour int, name string) []recording {
		return spread(domain.HourKey{Tenant: d.tenant, Day: d.day, Hour: hour}, name, 3, 1000)
	}
	proxy := testenv.NewProxy(t, f.env["CALLVAULT_S3_ENDPOINT"])
	roles := []*process{f.start("api"), f.startWith(map[string]string{"CALLVAULT_S3_ENDPOINT": proxy.URL()}, "run", "scheduler,worker")}
	f.take(append(append(of(days[0], 1, "r"), of(days[0], 2, "r")...), of(days[0], 3, "r")...))
	f.take(of(days[1], 5, "r"))
	f.waitBuilt(days[0])
	f.check(days[0])
	_, before := f.askDay("acme", days[0].day)
	backup := filepath.Join(f.dir, "catalog.dump")
	proxy.Delay(25 * time.Millisecond)
	f.take(spread(domain.HourKey{Tenant: "acme", Day: first, Hour: 7}, "r", 24, 1<<20))
	writing := func() int64 { return f.number(`SELECT count(*) FROM archives WHERE state = 'writing'`) }
	eventually(t, "an archive is being written", func(context.Context) string {
		if writing() == 0 {
			return "none is"
		}
		return ""
	})
	proxy.Stall()
	f.postgres.Dump(backup)
	proxy.Restore()
	f.step("backup, while everything runs")
	// Since the backup: late recordings of an archived day, the rest of the next day, an archive
	// that was built again and the deletion of the replaced ones; then the next night.
	later := append(append(append(of(days[0], 1, "late"), of(days[0], 4, "late")...), of(days[1], 5, "late")...), of(days[1], 6, "r")...)
	f.take(later)
	f.ok("archive", "--tenant", "acme", "--day", string(first), "--hour", "2", "--force", "--wait")
	f.waitBuilt(days[0])
	f.sql(`UPDATE archives SET links_until_us = 0, delete_after_us = 0 WHERE state = 'superseded'`)
	eventually(t, "the replaced archives are deleted", func(context.Context) string {
		if n := f.number(`SELECT count(*) FROM archives WHERE state = 'superseded' OR state = 'doomed' AND deletions = 0`); n > 0 {
			return fmt.Sprint(n, " wait")
		}
		return ""
	})
	stop(roles)
	f.shiftClock(24 * time.Hour)
	roles = f.allRoles()
	f.waitBuilt(days...)
	f.check(days...)
	_, since := f.askDay("acme", days[0].day)
	stop(roles)
	newer := f.objects()
	f.step("a day later")
	// Restore the catalog of yesterday.
	f.env["CALLVAULT_DATABASE_URL"] = f.postgres.Restore(backup, "restored")
	f.open(f.env["CALLVAULT_DATABASE_URL"])
	if n := writing(); n != 1 {
		t.Fatalf("the backup knows of %d archives that are being written, want 1", n)
	}
	f.shiftClock(24 * time.Hour)
	f.redis.Flush()
	roles = f.allRoles()
	f.registered(later)
	eventually(t, "the archives that are gone are built again", func(context.Context) string {
		if n := f.number(`SELECT count(*) FROM hours WHERE day = $1 AND hour IN (1, 2) AND state = 'available' AND revision > 1`, first); n != 2 {
			return fmt.Sprint(n, " of 2 are")
		}
		return ""
	})
	f.waitBuilt(days...)
	f.check(days...) // with new links
	f.step("healed")
	f.sql(`UPDATE clock SET paused_until_us = 0`) // an hour later
	eventually(t, "what was being written is swept", func(context.Context) string {
		if n := f.number(`SELECT count(*) FROM archives WHERE state = 'doomed' AND published_us IS NULL
			AND (deletions > 0 OR delete_after_us > (SELECT now_us FROM catalog_clock))`); n == 0 {
			return "it is not"
		}
		return ""
	})
	for name, c := range map[string]struct {
		link link
		want int
	}{
		"issued before the backup, of an archive that stands":  {before.Links[3], 200},
		"issued before the backup, of an archive that is gone": {before.Links[1], 404},
		"issued after the backup":                              {since.Links[1], 404},
		"issued after it, of an archive being written then":    {since.Links[7], 404},
	} {
		if status, _ := f.request("GET", *c.link.URL, nil, nil); status != c.want {
			t.Errorf("a link %s answers %d, want %d", name, status, c.want)
		}
	}
	f.passes(roles[1])
	now := f.objects()
	for key := range newer {
		if !now[key] {
			t.Errorf("%s is newer than the backup, or stands in it, and was deleted", key)
		}
	}
	if n := f.number(`SELECT coalesce(sum(lapses + failures), 0) FROM hours`); n > 0 {
		t.Errorf("%d failures or lapses", n)
	}
	stop(roles)
	lost := f.number(`SELECT count(*) FROM log_adopted`)
	if lost == 0 {
		t.Error("the log does not tell of the audit lines that were lost")
	}
	f.ok("log", "verify", "--lost", fmt.Sprint(lost))
}

// allRoles starts an API, and a scheduler beside a worker.
func (f *fixture) allRoles() []*process {
	f.t.Helper()
	return []*process{f.start("api"), f.start("scheduler,worker")}
}

func stop(list []*process) {
	for _, p := range list {
		p.term()
	}
}

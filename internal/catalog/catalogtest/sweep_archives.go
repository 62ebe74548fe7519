package catalogtest

import (
	"strings"
	"sync"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

func (f *fixture) sweep(want int) {
	f.Helper()
	n, err := f.c.DoomUnused(f.ctx, 100)
	f.must(err)
	equal(f, "doomed", n, want)
}

func (f *fixture) force(hour int) {
	f.Helper()
	_, err := f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: hour, Force: true})
	f.must(err)
}

// installation reads the installation's id and the places of its archives.
func installation(f *fixture) {
	id, err := f.c.Installation(f.ctx)
	f.must(err)
	equal(f, "installation of a new catalog", id, "")
	first, err := f.c.EnsureInstallation(f.ctx)
	f.must(err)
	again, err := f.c.EnsureInstallation(f.ctx)
	f.must(err)
	id, err = f.c.Installation(f.ctx)
	f.must(err)
	equal(f, "installation", again+id, first+first)
	f.add(1)
	f.plan()
	key := f.publish(1).ObjectKey()
	folder := "callvault/archives/" + f.tenant + "/" + string(f.day) + "/01/1-"
	equal(f, "the key begins with its folder", strings.HasPrefix(key, folder), true)
	for text, want := range map[string]bool{"": true, folder: true, "callvault/archives/%": false, "callvault/archives/" + f.tenant + "2": false} {
		held, err := f.c.HasArchivesUnder(f.ctx, text)
		f.must(err)
		equal(f, "holds archives below "+text, held, want)
	}
}

func sweepSuperseded(f *fixture) {
	f.add(1)
	f.plan()
	var old []catalog.Claim
	for range 3 {
		old = append(old, f.publish(1))
		f.force(1)
	}
	last := f.publish(1)
	f.sweep(0)
	f.pass(61 * time.Minute)
	f.sweep(3)
	f.sweep(0)
	for _, claim := range old {
		equal(f, "doomed", f.isDoomed(claim.ObjectKey()), true)
	}
	equal(f, "doomed the served", f.isDoomed(last.ObjectKey()), false)
}

func sweepUnfinished(f *fixture) {
	f.add(1)
	f.plan()
	claim, built := f.start(1)
	f.must(f.c.SetUpload(f.ctx, claim, "up-1"))
	f.pass(24 * time.Hour) // stopped just before its commit; its claim is not released
	f.sweep(0)
	f.must(f.c.Commit(f.ctx, claim, built))
	f.sweep(0)
	equal(f, "doomed after the commit", f.isDoomed(claim.ObjectKey()), false)

	f.force(1)
	claim, built = f.start(1)
	f.must(f.c.SetUpload(f.ctx, claim, "up-2"))
	f.pass(2 * time.Minute)
	_, err := f.c.ReleaseLapsed(f.ctx, 10)
	f.must(err)
	d := f.doomed()[claim.ObjectKey()]
	equal(f, "upload to abort", d.UploadID, "up-2")
	f.wantKind(f.c.Commit(f.ctx, claim, built), domain.KindLost) // stopped, and swept before its commit
	equal(f, "served", f.hour(1).Revision, 1)
	f.wantKind(f.c.SetUpload(f.ctx, claim, "up-3"), domain.KindLost)
}

// sweepRacesCommit runs commits, sweeps and lapses at the same time, many times: an hour serves
// only a published archive.
func sweepRacesCommit(f *fixture) {
	f.add(1)
	f.plan()
	for range 25 {
		claim, built := f.start(1)
		f.pass(61 * time.Second)
		var group sync.WaitGroup
		var committed error
		group.Go(func() { committed = f.c.Commit(f.ctx, claim, built) })
		group.Go(func() {
			if _, err := f.c.ReleaseLapsed(f.ctx, 10); err != nil {
				f.Error(err)
			}
		})
		group.Go(func() {
			if _, err := f.c.DoomUnused(f.ctx, 10); err != nil {
				f.Error(err)
			}
		})
		group.Wait()
		doomed := f.isDoomed(claim.ObjectKey())
		if committed == nil {
			equal(f, "served after a commit", f.hour(1).Archive.ObjectKey, claim.ObjectKey())
			equal(f, "doomed after a commit", doomed, false)
			f.force(1)
			continue
		}
		if !isLost(committed) {
			f.Fatal(committed)
		}
		equal(f, "doomed after a lost commit", doomed, true)
		if a := f.hour(1).Archive; a != nil && a.ObjectKey == claim.ObjectKey() {
			f.Fatal("a lost commit is served")
		}
		_, err := f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: 1}) // resets the lapses
		f.must(err)
	}
}

func sweepPauses(f *fixture) {
	f.add(1)
	f.plan()
	first := f.publish(1)
	f.force(1)
	f.publish(1)
	f.pass(2 * time.Hour)
	f.must(PauseDeletions(f.ctx, f.c, time.Hour))
	f.sweep(0)
	f.pass(time.Hour)
	f.sweep(1)
	equal(f, "doomed", f.isDoomed(first.ObjectKey()), true)
	f.must(PauseDeletions(f.ctx, f.c, time.Hour))
	equal(f, "to delete while it pauses", len(f.doomed()), 0)
}

// objectKept sweeps an archive that has an object although its publication is not known.
func objectKept(f *fixture) {
	f.add(1)
	f.plan()
	first := f.publish(1)
	f.force(1)
	claim, _ := f.start(1)
	f.must(f.c.Release(f.ctx, claim))
	key := claim.ObjectKey()
	equal(f, "spare", f.doomed()[key].KeepObject, true)
	f.must(f.c.KeptObject(f.ctx, key))
	f.must(f.c.KeptObject(f.ctx, first.ObjectKey())) // never the served archive
	equal(f, "again at once", len(f.doomed()), 0)
	f.publish(1)
	f.pass(24 * time.Hour)
	f.sweep(1)
	equal(f, "spare what was superseded", f.doomed()[first.ObjectKey()].KeepObject, false)
	equal(f, "spare a day later", f.doomed()[key].KeepObject, true)
	f.must(f.c.Deleted(f.ctx, key)) // there was no object
	f.pass(24 * time.Hour)
	equal(f, "spare at the second look", f.doomed()[key].KeepObject, true)
	f.must(f.c.KeptObject(f.ctx, key)) // a slow writer stored one later
	f.pass(3 * 24 * time.Hour)
	_, err := f.c.ExpireDays(f.ctx, 10)
	f.must(err)
	equal(f, "spare past retention", f.doomed()[key].KeepObject, false)
	equal(f, "deletions", f.doomed()[key].Deletions, 0)
}

// deletionRefused sweeps an archive that the store refuses to delete, twice.
func deletionRefused(f *fixture) {
	f.add(1)
	f.plan()
	first := f.publish(1)
	key := first.ObjectKey()
	f.force(1)
	served := f.publish(1)
	f.must(f.c.DeletionRefused(f.ctx, key)) // superseded, not doomed
	f.pass(2 * time.Hour)
	f.sweep(1)
	for range 2 { // the first deletion and the second
		f.must(f.c.DeletionRefused(f.ctx, key))
		f.must(f.c.DeletionRefused(f.ctx, served.ObjectKey())) // never the served archive
		equal(f, "doomed at once", f.isDoomed(key), false)
		f.pass(50 * time.Minute)
		f.must(f.c.DeletionRefused(f.ctx, key)) // the late report of a slow sweeper does not extend the wait
		f.pass(10 * time.Minute)
		equal(f, "doomed an hour later", f.isDoomed(key), true)
		f.deleted(key)
		f.must(f.c.DeletionRefused(f.ctx, key)) // another sweeper was faster: the time of the second deletion stays
		equal(f, "doomed after a deletion", f.isDoomed(key), false)
		f.pass(25 * time.Hour)
	}
	equal(f, "doomed for good", f.isDoomed(key), false)
	equal(f, "served", f.hour(1).Archive.ObjectKey, served.ObjectKey())
}

func deletedTwice(f *fixture) {
	f.add(1)
	f.plan()
	claim, _ := f.start(1)
	f.must(f.c.Release(f.ctx, claim))
	key := claim.ObjectKey()
	f.must(f.c.Deleted(f.ctx, key))
	f.must(f.c.Deleted(f.ctx, key)) // another sweeper, or an unclear answer: the time of the second deletion stays
	equal(f, "doomed after the first", f.isDoomed(key), false)
	f.pass(25 * time.Hour)
	equal(f, "deletions", f.doomed()[key].Deletions, 1)
	f.must(f.c.Deleted(f.ctx, key))
	equal(f, "doomed after the second", f.isDoomed(key), false)
	f.pass(48 * time.Hour)
	equal(f, "doomed for good", f.isDoomed(key), false)
	f.must(f.c.Deleted(f.ctx, key))

	f.day = domain.DayOf(f.now()).Add(-1)
	f.add(1)
	f.plan()
	served := f.publish(1)
	f.must(f.c.Deleted(f.ctx, served.ObjectKey())) // never the served archive
	equal(f, "served", f.hour(1).Archive.ObjectKey, served.ObjectKey())
}

func served(claim catalog.Claim) catalog.ServedArchive {
	return catalog.ServedArchive{HourKey: claim.HourKey, ObjectKey: claim.ObjectKey()}
}

func gone(f *fixture) {
	f.add(1)
	f.plan()
	first := f.publish(1)
	f.force(1)
	second := f.publish(1)
	done := f.view().Settled
	hit, err := f.c.Gone(f.ctx, served(first))
	f.must(err)
	equal(f, "gone of what is not served", hit, false)
	hit, err = f.c.Gone(f.ctx, served(second))
	f.must(err)
	equal(f, "gone", hit, true)
	h := f.hour(1)
	equal(f, "state", h.State, catalog.StatePending)
	equal(f, "archive", h.Archive == nil, true)
	equal(f, "files", f.view().Files, 0)
	equal(f, "doomed", f.isDoomed(second.ObjectKey()), true)
	hit, err = f.c.Gone(f.ctx, served(second))
	f.must(err)
	equal(f, "gone twice", hit, false)
	third := f.publish(1)
	equal(f, "revision", third.Revision, 3)
	equal(f, "settled stays", f.view().Settled, done)

	f.force(1) // it is missing in the store while a newer one is built
	fourth, built := f.start(1)
	hit, err = f.c.Gone(f.ctx, served(third))
	f.must(err)
	equal(f, "gone", hit, true)
	f.must(f.c.Commit(f.ctx, fourth, built))
	equal(f, "served", f.hour(1).Archive.ObjectKey, fourth.ObjectKey())
}

func (f *fixture) rechecks() []catalog.Recheck {
	f.Helper()
	list, err := f.c.Rechecks(f.ctx, 10)
	f.must(err)
	return list
}

func (f *fixture) publishMissing(hour int, reasons ...string) catalog.Claim {
	f.Helper()
	claim, built := f.start(hour)
	built.Missing = missing(reasons...)
	f.must(f.c.Commit(f.ctx, claim, built))
	return claim
}

func missing(reasons ...string) (list []catalog.MissingFile) {
	for i, reason := range reasons {
		list = append(list, catalog.MissingFile{ObjectKey: "k", MessageID: int64(i), Reason: reason})
	}
	return list
}

// rechecks checks when missing files are looked for: three times, and unreadable ones until the day
// ends.
func rechecks(f *fixture) {
	f.add(1)
	f.plan()
	for _, c := range []struct {
		reasons []string
		waits   []time.Duration
		more    int // when that is over
	}{
		{[]string{"not_found"}, []time.Duration{15 * time.Minute, time.Hour, 6 * time.Hour}, 0},
		{[]string{"unreadable", "not_found"}, []time.Duration{15 * time.Minute, time.Hour, 6 * time.Hour, 6 * time.Hour}, 1},
		{[]string{"unreadable"}, []time.Duration{6 * time.Hour, 6 * time.Hour, 6 * time.Hour, 6 * time.Hour}, 1},
	} {
		f.force(1)
		claim := f.publishMissing(1, c.reasons...)
		recheck := catalog.Recheck{ServedArchive: served(claim), Missing: missing(c.reasons...)}
		for _, wait := range c.waits {
			f.must(f.c.Rechecked(f.ctx, recheck, false)) // not due: it changes nothing
			f.pass(wait - time.Minute)
			equal(f, "early", len(f.rechecks()), 0)
			f.pass(time.Minute)
			list := f.rechecks()
			equal(f, "due", len(list), 1)
			equal(f, "missing", list[0].Missing[0], recheck.Missing[0])
			f.must(f.c.Rechecked(f.ctx, list[0], false))
			f.must(f.c.Rechecked(f.ctx, list[0], false)) // another sweeper
		}
		f.pass(6 * time.Hour)
		equal(f, "in the end", len(f.rechecks()), c.more)
		equal(f, "rebuilding", f.hour(1).Rebuilding, false)
	}
	f.pass(72 * time.Hour)
	f.expire(1)
	equal(f, "after the day's end", len(f.rechecks()), 0)
}

func sourceBack(f *fixture) {
	f.add(1)
	f.plan()
	first := f.publishMissing(1, "not_found")
	f.pass(15 * time.Minute)
	f.must(f.c.Rechecked(f.ctx, catalog.Recheck{ServedArchive: served(first)}, true))
	f.must(f.c.Rechecked(f.ctx, catalog.Recheck{ServedArchive: served(first)}, true))
	equal(f, "rebuilding", f.hour(1).Rebuilding, true)
	equal(f, "rechecks", len(f.rechecks()), 0)
	second := f.publish(1)
	equal(f, "rebuilding", f.hour(1).Rebuilding, false)
	f.must(f.c.Rechecked(f.ctx, catalog.Recheck{ServedArchive: served(first)}, true)) // not served any more
	equal(f, "rebuilding", f.hour(1).Rebuilding, false)
	equal(f, "served", f.hour(1).Archive.ObjectKey, second.ObjectKey())
}

func unchecked(f *fixture) {
	f.add(1, 2)
	f.plan()
	one := f.publish(1)
	f.pass(time.Minute)
	two := f.publish(2)
	list := func() []catalog.ServedArchive {
		list, err := f.c.Unchecked(f.ctx, time.Hour, 10)
		f.must(err)
		return list
	}
	equal(f, "fresh", len(list()), 0)
	f.pass(time.Hour)
	equal(f, "due", len(list()), 2)
	equal(f, "longest first", list()[0].ObjectKey, one.ObjectKey())
	f.must(f.c.Checked(f.ctx, one.ObjectKey()))
	equal(f, "left", list()[0].ObjectKey, two.ObjectKey())
}

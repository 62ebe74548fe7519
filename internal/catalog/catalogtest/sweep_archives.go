package catalogtest

import (
	"strings"
	"sync"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

func (b *bench) sweep(want int) {
	b.Helper()
	n, err := b.c.DoomUnused(b.ctx, 100)
	b.must(err)
	equal(b, "doomed", n, want)
}

func (b *bench) force(hour int) {
	b.Helper()
	_, err := b.c.Rebuild(b.ctx, b.tenant, b.day, hour, true)
	b.must(err)
}

// installation: the catalog knows whose it is, and where its archives lie.
func installation(b *bench) {
	id, err := b.c.Installation(b.ctx)
	b.must(err)
	equal(b, "installation of a new catalog", id, "")
	first, err := b.c.EnsureInstallation(b.ctx)
	b.must(err)
	again, err := b.c.EnsureInstallation(b.ctx)
	b.must(err)
	id, err = b.c.Installation(b.ctx)
	b.must(err)
	equal(b, "installation", again+id, first+first)
	b.add(1)
	b.plan()
	key := b.publish(1).ObjectKey()
	folder := "callvault/archives/" + b.tenant + "/" + string(b.day) + "/01/1-"
	equal(b, "the key begins with its folder", strings.HasPrefix(key, folder), true)
	for text, want := range map[string]bool{"": true, folder: true, "callvault/archives/%": false, "callvault/archives/" + b.tenant + "2": false} {
		held, err := b.c.HoldsArchivesBelow(b.ctx, text)
		b.must(err)
		equal(b, "holds archives below "+text, held, want)
	}
}

func sweepSuperseded(b *bench) {
	b.add(1)
	b.plan()
	var old []catalog.Claim
	for range 3 {
		old = append(old, b.publish(1))
		b.force(1)
	}
	last := b.publish(1)
	b.sweep(0)
	b.pass(61 * time.Minute)
	b.sweep(3)
	b.sweep(0)
	for _, claim := range old {
		equal(b, "doomed", b.isDoomed(claim.ObjectKey()), true)
	}
	equal(b, "doomed the served", b.isDoomed(last.ObjectKey()), false)
}

func sweepUnfinished(b *bench) {
	b.add(1)
	b.plan()
	claim, built := b.start(1)
	b.must(b.c.SetUpload(b.ctx, claim, "up-1"))
	b.pass(24 * time.Hour) // stalled just before its commit, not freed by anybody
	b.sweep(0)
	b.must(b.c.Commit(b.ctx, claim, built))
	b.sweep(0)
	equal(b, "doomed after the commit", b.isDoomed(claim.ObjectKey()), false)

	b.force(1)
	claim, built = b.start(1)
	b.must(b.c.SetUpload(b.ctx, claim, "up-2"))
	b.pass(2 * time.Minute)
	_, err := b.c.ReleaseLapsed(b.ctx, 10)
	b.must(err)
	d := b.doomed()[claim.ObjectKey()]
	equal(b, "upload to abort", d.UploadID, "up-2")
	b.wantKind(b.c.Commit(b.ctx, claim, built), domain.KindLost) // stalled, and swept before it came
	equal(b, "served", b.hour(1).Revision, 1)
	b.wantKind(b.c.SetUpload(b.ctx, claim, "up-3"), domain.KindLost)
}

// sweepMeetsCommit lets commits meet sweepers and lapses at the same instant, many times: what an
// hour serves is published, whoever won.
func sweepMeetsCommit(b *bench) {
	b.add(1)
	b.plan()
	for range 25 {
		claim, built := b.start(1)
		b.pass(61 * time.Second)
		var group sync.WaitGroup
		var committed error
		group.Go(func() { committed = b.c.Commit(b.ctx, claim, built) })
		group.Go(func() {
			if _, err := b.c.ReleaseLapsed(b.ctx, 10); err != nil {
				b.Error(err)
			}
		})
		group.Go(func() {
			if _, err := b.c.DoomUnused(b.ctx, 10); err != nil {
				b.Error(err)
			}
		})
		group.Wait()
		doomed := b.isDoomed(claim.ObjectKey())
		if committed == nil {
			equal(b, "served after a commit", b.hour(1).Archive.ObjectKey, claim.ObjectKey())
			equal(b, "doomed after a commit", doomed, false)
			b.force(1)
			continue
		}
		if !isLost(committed) {
			b.Fatal(committed)
		}
		equal(b, "doomed after a lost commit", doomed, true)
		if a := b.hour(1).Archive; a != nil && a.ObjectKey == claim.ObjectKey() {
			b.Fatal("a lost commit is served")
		}
		_, err := b.c.Rebuild(b.ctx, b.tenant, b.day, 1, false) // clears the lapses
		b.must(err)
	}
}

func sweepPauses(b *bench) {
	b.add(1)
	b.plan()
	first := b.publish(1)
	b.force(1)
	b.publish(1)
	b.pass(2 * time.Hour)
	b.must(b.c.PauseDeletions(b.ctx, time.Hour))
	b.sweep(0)
	b.pass(time.Hour)
	b.sweep(1)
	equal(b, "doomed", b.isDoomed(first.ObjectKey()), true)
	b.must(b.c.PauseDeletions(b.ctx, time.Hour))
	equal(b, "to delete while it pauses", len(b.doomed()), 0)
}

// spared follows an archive whose object stands although nobody is known to have published it.
func spared(b *bench) {
	b.add(1)
	b.plan()
	first := b.publish(1)
	b.force(1)
	claim, _ := b.start(1)
	b.must(b.c.Release(b.ctx, claim))
	key := claim.ObjectKey()
	equal(b, "spare", b.doomed()[key].KeepObject, true)
	b.must(b.c.KeptObject(b.ctx, key))
	b.must(b.c.KeptObject(b.ctx, first.ObjectKey())) // never what is served
	equal(b, "again at once", len(b.doomed()), 0)
	b.publish(1)
	b.pass(24 * time.Hour)
	b.sweep(1)
	equal(b, "spare what was superseded", b.doomed()[first.ObjectKey()].KeepObject, false)
	equal(b, "spare a day later", b.doomed()[key].KeepObject, true)
	b.must(b.c.Deleted(b.ctx, key)) // nothing stood there
	b.pass(24 * time.Hour)
	equal(b, "spare at the second look", b.doomed()[key].KeepObject, true)
	b.must(b.c.KeptObject(b.ctx, key)) // a slow writer's came after all
	b.pass(3 * 24 * time.Hour)
	_, err := b.c.ExpireDays(b.ctx, 10)
	b.must(err)
	equal(b, "spare past retention", b.doomed()[key].KeepObject, false)
	equal(b, "deletions", b.doomed()[key].Deletions, 0)
}

// deletionRefused follows an archive that the store does not delete, once and again.
func deletionRefused(b *bench) {
	b.add(1)
	b.plan()
	first := b.publish(1)
	key := first.ObjectKey()
	b.force(1)
	served := b.publish(1)
	b.must(b.c.DeletionRefused(b.ctx, key)) // superseded, not doomed
	b.pass(2 * time.Hour)
	b.sweep(1)
	for range 2 { // the first look and the second
		b.must(b.c.DeletionRefused(b.ctx, key))
		b.must(b.c.DeletionRefused(b.ctx, served.ObjectKey())) // never what is served
		equal(b, "doomed at once", b.isDoomed(key), false)
		b.pass(50 * time.Minute)
		b.must(b.c.DeletionRefused(b.ctx, key)) // a slow sweeper's word makes nobody wait longer
		b.pass(10 * time.Minute)
		equal(b, "doomed an hour later", b.isDoomed(key), true)
		b.must(b.c.Deleted(b.ctx, key))
		b.must(b.c.DeletionRefused(b.ctx, key)) // another sweeper was faster: the second look stays
		equal(b, "doomed after a deletion", b.isDoomed(key), false)
		b.pass(25 * time.Hour)
	}
	equal(b, "doomed for good", b.isDoomed(key), false)
	equal(b, "served", b.hour(1).Archive.ObjectKey, served.ObjectKey())
}

func deletedTwice(b *bench) {
	b.add(1)
	b.plan()
	claim, _ := b.start(1)
	b.must(b.c.Release(b.ctx, claim))
	key := claim.ObjectKey()
	b.must(b.c.Deleted(b.ctx, key))
	b.must(b.c.Deleted(b.ctx, key)) // another sweeper, or an unclear answer: the second look stays
	equal(b, "doomed after the first", b.isDoomed(key), false)
	b.pass(25 * time.Hour)
	equal(b, "deletions", b.doomed()[key].Deletions, 1)
	b.must(b.c.Deleted(b.ctx, key))
	equal(b, "doomed after the second", b.isDoomed(key), false)
	b.pass(48 * time.Hour)
	equal(b, "doomed for good", b.isDoomed(key), false)
	b.must(b.c.Deleted(b.ctx, key))

	b.day = domain.DayOf(b.now()).Add(-1)
	b.add(1)
	b.plan()
	served := b.publish(1)
	b.must(b.c.Deleted(b.ctx, served.ObjectKey())) // never what is served
	equal(b, "served", b.hour(1).Archive.ObjectKey, served.ObjectKey())
}

func served(claim catalog.Claim) catalog.ServedArchive {
	return catalog.ServedArchive{HourKey: claim.HourKey, ObjectKey: claim.ObjectKey()}
}

func gone(b *bench) {
	b.add(1)
	b.plan()
	first := b.publish(1)
	b.force(1)
	second := b.publish(1)
	done := b.view().Completed
	hit, err := b.c.Gone(b.ctx, served(first))
	b.must(err)
	equal(b, "gone of what is not served", hit, false)
	hit, err = b.c.Gone(b.ctx, served(second))
	b.must(err)
	equal(b, "gone", hit, true)
	h := b.hour(1)
	equal(b, "state", h.State, catalog.StatePending)
	equal(b, "archive", h.Archive == nil, true)
	equal(b, "files", b.view().Files, 0)
	equal(b, "doomed", b.isDoomed(second.ObjectKey()), true)
	hit, err = b.c.Gone(b.ctx, served(second))
	b.must(err)
	equal(b, "gone twice", hit, false)
	third := b.publish(1)
	equal(b, "revision", third.Revision, 3)
	equal(b, "completed stays", b.view().Completed, done)

	b.force(1) // found gone while a newer one is built
	fourth, built := b.start(1)
	hit, err = b.c.Gone(b.ctx, served(third))
	b.must(err)
	equal(b, "gone", hit, true)
	b.must(b.c.Commit(b.ctx, fourth, built))
	equal(b, "served", b.hour(1).Archive.ObjectKey, fourth.ObjectKey())
}

func (b *bench) rechecks() []catalog.Recheck {
	b.Helper()
	list, err := b.c.Rechecks(b.ctx, 10)
	b.must(err)
	return list
}

func (b *bench) publishMissing(hour int, reasons ...string) catalog.Claim {
	b.Helper()
	claim, built := b.start(hour)
	built.Missing = missing(reasons...)
	b.must(b.c.Commit(b.ctx, claim, built))
	return claim
}

func missing(reasons ...string) (list []catalog.MissingFile) {
	for i, reason := range reasons {
		list = append(list, catalog.MissingFile{ObjectKey: "k", MessageID: int64(i), Reason: reason})
	}
	return list
}

// rechecks holds when missing files are looked for: three times, and unreadable ones until the end.
func rechecks(b *bench) {
	b.add(1)
	b.plan()
	for _, c := range []struct {
		reasons []string
		waits   []time.Duration
		more    int // when that is over
	}{
		{[]string{"not_found"}, []time.Duration{15 * time.Minute, time.Hour, 6 * time.Hour}, 0},
		{[]string{"unreadable", "not_found"}, []time.Duration{15 * time.Minute, time.Hour, 6 * time.Hour, 6 * time.Hour}, 1},
		{[]string{"unreadable"}, []time.Duration{6 * time.Hour, 6 * time.Hour, 6 * time.Hour, 6 * time.Hour}, 1},
	} {
		b.force(1)
		claim := b.publishMissing(1, c.reasons...)
		recheck := catalog.Recheck{ServedArchive: served(claim), Missing: missing(c.reasons...)}
		for _, wait := range c.waits {
			b.must(b.c.Rechecked(b.ctx, recheck, false)) // not due: nothing
			b.pass(wait - time.Minute)
			equal(b, "early", len(b.rechecks()), 0)
			b.pass(time.Minute)
			list := b.rechecks()
			equal(b, "due", len(list), 1)
			equal(b, "missing", list[0].Missing[0], recheck.Missing[0])
			b.must(b.c.Rechecked(b.ctx, list[0], false))
			b.must(b.c.Rechecked(b.ctx, list[0], false)) // another sweeper
		}
		b.pass(6 * time.Hour)
		equal(b, "in the end", len(b.rechecks()), c.more)
		equal(b, "rebuilding", b.hour(1).Rebuilding, false)
	}
	b.pass(72 * time.Hour)
	b.expire(1)
	equal(b, "after the day's end", len(b.rechecks()), 0)
}

func sourceBack(b *bench) {
	b.add(1)
	b.plan()
	first := b.publishMissing(1, "not_found")
	b.pass(15 * time.Minute)
	b.must(b.c.Rechecked(b.ctx, catalog.Recheck{ServedArchive: served(first)}, true))
	b.must(b.c.Rechecked(b.ctx, catalog.Recheck{ServedArchive: served(first)}, true))
	equal(b, "rebuilding", b.hour(1).Rebuilding, true)
	equal(b, "rechecks", len(b.rechecks()), 0)
	second := b.publish(1)
	equal(b, "rebuilding", b.hour(1).Rebuilding, false)
	b.must(b.c.Rechecked(b.ctx, catalog.Recheck{ServedArchive: served(first)}, true)) // no longer served
	equal(b, "rebuilding", b.hour(1).Rebuilding, false)
	equal(b, "served", b.hour(1).Archive.ObjectKey, second.ObjectKey())
}

func unchecked(b *bench) {
	b.add(1, 2)
	b.plan()
	one := b.publish(1)
	b.pass(time.Minute)
	two := b.publish(2)
	list := func() []catalog.ServedArchive {
		list, err := b.c.Unchecked(b.ctx, time.Hour, 10)
		b.must(err)
		return list
	}
	equal(b, "fresh", len(list()), 0)
	b.pass(time.Hour)
	equal(b, "due", len(list()), 2)
	equal(b, "longest first", list()[0].ObjectKey, one.ObjectKey())
	b.must(b.c.Checked(b.ctx, one.ObjectKey()))
	equal(b, "left", list()[0].ObjectKey, two.ObjectKey())
}

package catalogtest

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

func claims(f *fixture) {
	f.add(1)
	f.noClaim(1) // not planned
	f.plan()
	f.noClaim(2) // empty
	_, ok, err := f.c.Claim(f.ctx, domain.HourKey{Tenant: "nobody", Day: f.day}, "w")
	f.must(err)
	equal(f, "claim for an unknown tenant", ok, false)
	claim := f.claim(1)
	equal(f, "revision", claim.Revision, 1)
	equal(f, "key", claim.ObjectKey(), "callvault/archives/acme/"+string(f.day)+"/01/1-"+claim.Token+".zip")
	f.noClaim(1) // held
	h := f.hour(1)
	equal(f, "worker", h.Worker, "w1")
	equal(f, "claimed", h.Claimed, claim.At)
}

func claimsRace(f *fixture) {
	f.add(1)
	f.plan()
	var wins atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			_, ok, err := f.c.Claim(f.ctx, f.key(1), "w")
			if err != nil {
				f.Error(err)
			}
			if ok {
				wins.Add(1)
			}
		})
	}
	group.Wait()
	equal(f, "winners", wins.Load(), 1)
}

func renew(f *fixture) {
	f.add(1)
	f.plan()
	claim := f.claim(1)
	f.pass(50 * time.Second)
	f.must(f.c.Renew(f.ctx, claim))
	f.pass(50 * time.Second)
	freed, err := f.c.ReleaseLapsed(f.ctx, 10)
	f.must(err)
	equal(f, "freed while renewed", len(freed), 0)
	f.pass(11 * time.Second)
	freed, err = f.c.ReleaseLapsed(f.ctx, 10)
	f.must(err)
	equal(f, "freed", len(freed), 1)
	equal(f, "freed hour", freed[0], f.key(1))
	f.wantKind(f.c.Renew(f.ctx, claim), domain.KindLost)
	_, err = f.c.BuildInput(f.ctx, claim)
	f.wantKind(err, domain.KindLost)
	f.wantKind(f.c.StartArchive(f.ctx, claim), domain.KindLost)
	again := f.claim(1)
	equal(f, "claimed anew", again.Token == claim.Token, false)

	f.pass(30 * 24 * time.Hour) // a claim that was renewed while the clock was wrong does not last longer
	f.must(PauseDeletions(f.ctx, f.c, time.Hour))
	f.must(f.c.Renew(f.ctx, again))
	f.pass(-30 * 24 * time.Hour)
	freed, err = f.c.ReleaseLapsed(f.ctx, 10)
	f.must(err)
	equal(f, "freed after a step back", len(freed), 1)
}

func build(f *fixture) {
	f.add(4, 4)
	f.plan()
	claim, built := f.start(4)
	f.must(f.c.StartArchive(f.ctx, claim)) // repeated after an unclear answer
	f.must(f.c.SetUpload(f.ctx, claim, "up-1"))
	equal(f, "served before the commit", f.hour(4).Archive == nil, true)
	built.Missing = []catalog.MissingFile{{ObjectKey: "k", MessageID: 5, Reason: "not_found"}}
	f.must(f.c.Commit(f.ctx, claim, built))
	h := f.hour(4)
	equal(f, "state", h.State, catalog.StateAvailable)
	equal(f, "revision", h.Revision, 1)
	equal(f, "due", h.Due.IsZero(), true)
	equal(f, "rebuilding", h.Rebuilding, false)
	equal(f, "worker", h.Worker, "")
	a := *h.Archive
	equal(f, "published", a.Published.IsZero(), false)
	a.Published = time.Time{}
	equal(f, "archive", a, catalog.ArchiveView{ObjectKey: claim.ObjectKey(), Token: claim.Token, Revision: 1, Size: 2000, Files: 2,
		Sessions: 1, MissingCount: 1, ManifestSHA256: "ab", ETag: "e"})
	f.wantKind(f.c.Commit(f.ctx, claim, built), domain.KindLost) // once only
	f.wantKind(f.c.Fail(f.ctx, claim, catalog.Failure{Kind: domain.KindInternal}), domain.KindLost)
	f.wantKind(f.c.SetUpload(f.ctx, claim, "late"), domain.KindLost)
	equal(f, "revision", f.hour(4).Revision, 1)
}

func buildEmpty(f *fixture) {
	f.add(4)
	f.plan()
	claim, _ := f.start(4)
	f.must(f.c.CommitEmpty(f.ctx, claim, 1))
	h := f.hour(4)
	equal(f, "state", h.State, catalog.StateNoData)
	equal(f, "due", h.Due.IsZero(), true)
	equal(f, "settled", f.view().Settled.IsZero(), false)
	equal(f, "doomed", f.isDoomed(claim.ObjectKey()), true)
	f.wantKind(f.c.CommitEmpty(f.ctx, claim, 1), domain.KindLost)
	f.add(4)
	f.pass(5 * time.Minute)
	claim, _ = f.start(4)
	f.add(4)
	f.must(f.c.CommitEmpty(f.ctx, claim, 2))
	equal(f, "state with something newer", f.hour(4).State, catalog.StatePending)
	equal(f, "due with something newer", f.hour(4).Due.IsZero(), false)
	f.pass(5 * time.Minute)
	served := f.publish(4)
	f.add(4)
	f.pass(5 * time.Minute)
	claim, built := f.start(4)
	f.add(4)
	f.must(f.c.CommitEmpty(f.ctx, claim, built.Wanted))
	equal(f, "served until something newer is built", f.hour(4).Archive != nil && f.hour(4).Archive.ObjectKey == served.ObjectKey(), true)
}

func snapshot(f *fixture) {
	f.add(4)
	f.plan()
	claim, built := f.start(4)
	f.add(4) // during the build
	before := f.now()
	f.must(f.c.Commit(f.ctx, claim, built))
	h := f.hour(4)
	equal(f, "state", h.State, catalog.StateAvailable)
	equal(f, "rebuilding", h.Rebuilding, true)
	if h.Due.Before(before.Add(5 * time.Minute)) {
		f.Fatalf("due at %v, want five minutes after %v", h.Due, before)
	}
	f.noClaim(4)
	f.pass(5 * time.Minute)
	second := f.publish(4)
	h = f.hour(4)
	equal(f, "revision", h.Revision, 2)
	equal(f, "served", h.Archive.ObjectKey, second.ObjectKey())
	equal(f, "files", h.Archive.Files, 2)
	equal(f, "rebuilding", h.Rebuilding, false)
}

func fencing(f *fixture) {
	f.add(4)
	f.plan()
	old, oldBuilt := f.start(4)
	f.pass(2 * time.Minute)
	_, err := f.c.ReleaseLapsed(f.ctx, 10)
	f.must(err)
	fresh, built := f.start(4)
	f.wantKind(f.c.Commit(f.ctx, old, oldBuilt), domain.KindLost)
	f.wantKind(f.c.CommitEmpty(f.ctx, old, 1), domain.KindLost)
	f.wantKind(f.c.Release(f.ctx, old), domain.KindLost)
	equal(f, "served", f.hour(4).Archive == nil, true)
	equal(f, "the old one's bytes go", f.isDoomed(old.ObjectKey()), true)
	equal(f, "the new one's stay", f.isDoomed(fresh.ObjectKey()), false)
	f.must(f.c.Commit(f.ctx, fresh, built))
	for claim, want := range map[catalog.Claim]bool{old: false, fresh: true} {
		got, err := f.c.Published(f.ctx, claim)
		f.must(err)
		equal(f, "published", got, want)
	}
	// An archive that was never begun cannot be published.
	f.add(5)
	f.pass(5 * time.Minute)
	claim := f.claim(5)
	f.wantKind(f.c.Commit(f.ctx, claim, catalog.BuildResult{Wanted: 1}), domain.KindLost)
	equal(f, "state", f.hour(5).State, catalog.StatePending)
}

func superseded(f *fixture) {
	f.add(4)
	f.plan()
	first := f.publish(4)
	_, err := f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: 4, Force: true})
	f.must(err)
	f.publish(4)
	published, err := f.c.Published(f.ctx, first)
	f.must(err)
	equal(f, "published once", published, true)
	f.pass(59 * time.Minute)
	f.sweep(0)
	equal(f, "doomed within the grace", f.isDoomed(first.ObjectKey()), false)
	f.pass(2 * time.Minute)
	f.sweep(1)
	equal(f, "doomed after the grace", f.isDoomed(first.ObjectKey()), true)
}

func totals(f *fixture) {
	day := []domain.Recording{f.recording(1, "a"), f.recording(1, "a"), f.recording(1, "b"), f.recording(2, "b"), f.recording(2, "c")}
	_, err := f.register(day)
	f.must(err)
	f.plan()
	f.publish(1)
	v := f.view()
	equal(f, "sessions", v.Sessions, 2)
	f.publish(2)
	v = f.view()
	equal(f, "sessions over both hours", v.Sessions, 3)
	equal(f, "files", v.Files, 5)
	equal(f, "bytes", v.Bytes, 5000)
	_, err = f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: 1, Force: true})
	f.must(err)
	f.publish(1)
	equal(f, "files after a rebuild", f.view().Files, 5)
	other := f.recording(1, "a")
	other.ConversationID = "another"
	_, err = f.register([]domain.Recording{other})
	f.must(err)
	f.pass(10 * time.Minute)
	f.publish(1)
	equal(f, "the same id in another conversation", f.view().Sessions, 4)
	equal(f, "sessions of the hour", f.hour(1).Archive.Sessions, 3)
}

// unclearCommit asks whether an archive is published while commits run.
func unclearCommit(f *fixture) {
	f.add(4)
	f.plan()
	for range 5 {
		claim, built := f.start(4)
		var group sync.WaitGroup
		var committed error
		group.Go(func() { committed = f.c.Commit(f.ctx, claim, built) })
		group.Go(func() {
			if _, err := f.c.Published(f.ctx, claim); err != nil {
				f.Error(err)
			}
		})
		group.Wait()
		f.must(committed)
		published, err := f.c.Published(f.ctx, claim)
		f.must(err)
		equal(f, "published", published, true)
		f.wantKind(f.c.Fail(f.ctx, claim, catalog.Failure{Kind: domain.KindUnavailable}), domain.KindLost)
		_, err = f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: 4, Force: true})
		f.must(err)
	}
	equal(f, "revision", f.hour(4).Revision, 5)
}

func failures(f *fixture) {
	f.add(4)
	f.plan()
	failure := catalog.Failure{Kind: domain.KindStoreFault, Message: "the store is full"}
	last := time.Duration(0)
	for n := 1; n < 8; n++ {
		claim, _ := f.start(4)
		before := f.now()
		f.must(f.c.Fail(f.ctx, claim, failure))
		equal(f, "doomed", f.isDoomed(claim.ObjectKey()), true)
		h := f.hour(4)
		equal(f, "state", h.State, catalog.StatePending)
		equal(f, "failures", h.Failures, n)
		wait := h.Due.Sub(before)
		if wait <= last {
			f.Fatalf("wait %v after failure %d is not longer than %v", wait, n, last)
		}
		last = wait
		f.noClaim(4)
		f.pass(wait)
	}
	before := f.now()
	claim, _ := f.start(4)
	f.must(f.c.Fail(f.ctx, claim, failure))
	h := f.hour(4)
	equal(f, "state", h.State, catalog.StateFailed)
	equal(f, "error", h.LastError, failure.Message)
	equal(f, "kind", h.LastKind, string(failure.Kind))
	equal(f, "failed at", h.FailedAt.IsZero(), false)
	equal(f, "settled with a failed hour", f.view().Settled.IsZero(), false)
	if wait := h.Due.Sub(before); wait < time.Hour {
		f.Fatalf("tried again after %v, want an hour", wait)
	}
	f.pass(time.Hour + time.Minute)
	claim, _ = f.start(4)
	f.must(f.c.Fail(f.ctx, claim, failure))
	equal(f, "state after one more try", f.hour(4).State, catalog.StateFailed)
	n, err := f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: -1})
	f.must(err)
	equal(f, "due by hand", n, 1)
	equal(f, "state by hand", f.hour(4).State, catalog.StatePending)
	f.publish(4)
	h = f.hour(4)
	equal(f, "state after success", h.State, catalog.StateAvailable)
	equal(f, "error after success", h.LastError, "")
	equal(f, "failures after success", h.Failures, 0)
	equal(f, "failed at after success", h.FailedAt.IsZero(), true)
}

func finalFailure(f *fixture) {
	f.add(4)
	f.plan()
	claim, _ := f.start(4)
	f.must(f.c.Fail(f.ctx, claim, catalog.Failure{Kind: domain.KindTooLarge, Message: "too large", Final: true}))
	equal(f, "state", f.hour(4).State, catalog.StateFailed)
	f.noClaim(4)
	_, failed := f.view().Unfinished(-1)
	equal(f, "failed", failed, 1)
	f.add(4) // the missing files may have come
	f.pass(10 * time.Minute)
	f.publish(4)
	equal(f, "state", f.hour(4).State, catalog.StateAvailable)
}

func failedRebuild(f *fixture) {
	f.add(4)
	f.plan()
	first := f.publish(4)
	_, err := f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: 4, Force: true})
	f.must(err)
	claim, _ := f.start(4)
	f.must(f.c.Fail(f.ctx, claim, catalog.Failure{Kind: domain.KindTooLarge, Message: "too large", Final: true}))
	h := f.hour(4)
	equal(f, "state", h.State, catalog.StateAvailable)
	equal(f, "rebuilding", h.Rebuilding, true)
	equal(f, "error", h.LastError, "too large")
	equal(f, "served", h.Archive.ObjectKey, first.ObjectKey())
	equal(f, "its bytes stay", f.isDoomed(first.ObjectKey()), false)
	equal(f, "files", f.view().Files, 1)
}

func lapses(f *fixture) {
	f.add(4)
	f.plan()
	for n := 1; n <= 20; n++ {
		equal(f, "state", f.hour(4).State, catalog.StatePending)
		f.start(4)
		f.pass(61 * time.Second)
		_, err := f.c.ReleaseLapsed(f.ctx, 10)
		f.must(err)
		equal(f, "lapses", f.hour(4).Lapses, n)
	}
	h := f.hour(4)
	equal(f, "state", h.State, catalog.StateFailed)
	equal(f, "failures", h.Failures, 0)
	if !strings.Contains(h.LastError, "vanished") {
		f.Fatalf("error %q does not say what happened", h.LastError)
	}
	f.noClaim(4)
	f.pass(time.Hour)
	f.publish(4)
	equal(f, "lapses after success", f.hour(4).Lapses, 0)
}

func release(f *fixture) {
	f.add(4)
	f.plan()
	due := f.hour(4).Due
	for range 30 {
		claim, _ := f.start(4)
		f.must(f.c.Release(f.ctx, claim))
		equal(f, "doomed", f.isDoomed(claim.ObjectKey()), true)
	}
	h := f.hour(4)
	equal(f, "state", h.State, catalog.StatePending)
	equal(f, "failures", h.Failures, 0)
	equal(f, "lapses", h.Lapses, 0)
	equal(f, "due as before", h.Due, due)
	f.publish(4)
}

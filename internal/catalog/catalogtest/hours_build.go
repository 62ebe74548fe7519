package catalogtest

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

func claims(b *bench) {
	b.add(1)
	b.noClaim(1) // not planned
	b.plan()
	b.noClaim(2) // empty
	_, ok, err := b.c.Claim(b.ctx, domain.HourKey{Tenant: "nobody", Day: b.day}, "w")
	b.must(err)
	equal(b, "claim for an unknown tenant", ok, false)
	claim := b.claim(1)
	equal(b, "revision", claim.Revision, 1)
	equal(b, "key", claim.ObjectKey(), "callvault/archives/acme/"+string(b.day)+"/01/1-"+claim.Token+".zip")
	b.noClaim(1) // held
	h := b.hour(1)
	equal(b, "worker", h.Worker, "w1")
	equal(b, "claimed", h.Claimed, claim.At)
}

func claimsRace(b *bench) {
	b.add(1)
	b.plan()
	var wins atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			_, ok, err := b.c.Claim(b.ctx, b.key(1), "w")
			if err != nil {
				b.Error(err)
			}
			if ok {
				wins.Add(1)
			}
		})
	}
	group.Wait()
	equal(b, "winners", wins.Load(), 1)
}

func renew(b *bench) {
	b.add(1)
	b.plan()
	claim := b.claim(1)
	b.pass(50 * time.Second)
	b.must(b.c.Renew(b.ctx, claim))
	b.pass(50 * time.Second)
	freed, err := b.c.ReleaseLapsed(b.ctx, 10)
	b.must(err)
	equal(b, "freed while renewed", len(freed), 0)
	b.pass(11 * time.Second)
	freed, err = b.c.ReleaseLapsed(b.ctx, 10)
	b.must(err)
	equal(b, "freed", len(freed), 1)
	equal(b, "freed hour", freed[0], b.key(1))
	b.wantKind(b.c.Renew(b.ctx, claim), domain.KindLost)
	_, err = b.c.BuildInput(b.ctx, claim)
	b.wantKind(err, domain.KindLost)
	b.wantKind(b.c.StartArchive(b.ctx, claim), domain.KindLost)
	again := b.claim(1)
	equal(b, "claimed anew", again.Token == claim.Token, false)

	b.pass(30 * 24 * time.Hour) // a claim renewed while the clock was wrong does not outlast that
	b.must(b.c.PauseDeletions(b.ctx, time.Hour))
	b.must(b.c.Renew(b.ctx, again))
	b.pass(-30 * 24 * time.Hour)
	freed, err = b.c.ReleaseLapsed(b.ctx, 10)
	b.must(err)
	equal(b, "freed after a step back", len(freed), 1)
}

func build(b *bench) {
	b.add(4, 4)
	b.plan()
	claim, built := b.start(4)
	b.must(b.c.StartArchive(b.ctx, claim)) // repeated after an unclear answer
	b.must(b.c.SetUpload(b.ctx, claim, "up-1"))
	equal(b, "served before the commit", b.hour(4).Archive == nil, true)
	built.Missing = []catalog.MissingFile{{ObjectKey: "k", MessageID: 5, Reason: "not_found"}}
	b.must(b.c.Commit(b.ctx, claim, built))
	h := b.hour(4)
	equal(b, "state", h.State, catalog.StateAvailable)
	equal(b, "revision", h.Revision, 1)
	equal(b, "due", h.Due.IsZero(), true)
	equal(b, "rebuilding", h.Rebuilding, false)
	equal(b, "worker", h.Worker, "")
	a := *h.Archive
	equal(b, "published", a.Published.IsZero(), false)
	a.Published = time.Time{}
	equal(b, "archive", a, catalog.ArchiveView{ObjectKey: claim.ObjectKey(), Token: claim.Token, Revision: 1, Size: 2000, Files: 2,
		Sessions: 1, MissingCount: 1, ManifestSHA256: "ab", ETag: "e"})
	b.wantKind(b.c.Commit(b.ctx, claim, built), domain.KindLost) // once only
	b.wantKind(b.c.Fail(b.ctx, claim, catalog.Failure{Kind: domain.KindInternal}), domain.KindLost)
	b.wantKind(b.c.SetUpload(b.ctx, claim, "late"), domain.KindLost)
	equal(b, "revision", b.hour(4).Revision, 1)
}

func buildEmpty(b *bench) {
	b.add(4)
	b.plan()
	claim, _ := b.start(4)
	b.must(b.c.CommitEmpty(b.ctx, claim, 1))
	h := b.hour(4)
	equal(b, "state", h.State, catalog.StateNoData)
	equal(b, "due", h.Due.IsZero(), true)
	equal(b, "completed", b.view().Completed.IsZero(), false)
	equal(b, "doomed", b.isDoomed(claim.ObjectKey()), true)
	b.wantKind(b.c.CommitEmpty(b.ctx, claim, 1), domain.KindLost)
	b.add(4)
	b.pass(5 * time.Minute)
	claim, _ = b.start(4)
	b.add(4)
	b.must(b.c.CommitEmpty(b.ctx, claim, 2))
	equal(b, "state with something newer", b.hour(4).State, catalog.StatePending)
	equal(b, "due with something newer", b.hour(4).Due.IsZero(), false)
	b.pass(5 * time.Minute)
	served := b.publish(4)
	b.add(4)
	b.pass(5 * time.Minute)
	claim, built := b.start(4)
	b.add(4)
	b.must(b.c.CommitEmpty(b.ctx, claim, built.Wanted))
	equal(b, "served until something newer is built", b.hour(4).Archive != nil && b.hour(4).Archive.ObjectKey == served.ObjectKey(), true)
}

func snapshot(b *bench) {
	b.add(4)
	b.plan()
	claim, built := b.start(4)
	b.add(4) // during the build
	before := b.now()
	b.must(b.c.Commit(b.ctx, claim, built))
	h := b.hour(4)
	equal(b, "state", h.State, catalog.StateAvailable)
	equal(b, "rebuilding", h.Rebuilding, true)
	if h.Due.Before(before.Add(5 * time.Minute)) {
		b.Fatalf("due at %v, want five minutes after %v", h.Due, before)
	}
	b.noClaim(4)
	b.pass(5 * time.Minute)
	second := b.publish(4)
	h = b.hour(4)
	equal(b, "revision", h.Revision, 2)
	equal(b, "served", h.Archive.ObjectKey, second.ObjectKey())
	equal(b, "files", h.Archive.Files, 2)
	equal(b, "rebuilding", h.Rebuilding, false)
}

func fencing(b *bench) {
	b.add(4)
	b.plan()
	old, oldBuilt := b.start(4)
	b.pass(2 * time.Minute)
	_, err := b.c.ReleaseLapsed(b.ctx, 10)
	b.must(err)
	fresh, built := b.start(4)
	b.wantKind(b.c.Commit(b.ctx, old, oldBuilt), domain.KindLost)
	b.wantKind(b.c.CommitEmpty(b.ctx, old, 1), domain.KindLost)
	b.wantKind(b.c.Release(b.ctx, old), domain.KindLost)
	equal(b, "served", b.hour(4).Archive == nil, true)
	equal(b, "the old one's bytes go", b.isDoomed(old.ObjectKey()), true)
	equal(b, "the new one's stay", b.isDoomed(fresh.ObjectKey()), false)
	b.must(b.c.Commit(b.ctx, fresh, built))
	for claim, want := range map[catalog.Claim]bool{old: false, fresh: true} {
		got, err := b.c.Published(b.ctx, claim)
		b.must(err)
		equal(b, "published", got, want)
	}
	// An archive that was never begun cannot be published.
	b.add(5)
	b.pass(5 * time.Minute)
	claim := b.claim(5)
	b.wantKind(b.c.Commit(b.ctx, claim, catalog.BuildResult{Wanted: 1}), domain.KindLost)
	equal(b, "state", b.hour(5).State, catalog.StatePending)
}

func superseded(b *bench) {
	b.add(4)
	b.plan()
	first := b.publish(4)
	_, err := b.c.Rebuild(b.ctx, b.tenant, b.day, 4, true)
	b.must(err)
	b.publish(4)
	published, err := b.c.Published(b.ctx, first)
	b.must(err)
	equal(b, "published once", published, true)
	b.pass(59 * time.Minute)
	b.sweep(0)
	equal(b, "doomed within the grace", b.isDoomed(first.ObjectKey()), false)
	b.pass(2 * time.Minute)
	b.sweep(1)
	equal(b, "doomed after the grace", b.isDoomed(first.ObjectKey()), true)
}

func totals(b *bench) {
	day := []domain.Recording{b.recording(1, "a"), b.recording(1, "a"), b.recording(1, "b"), b.recording(2, "b"), b.recording(2, "c")}
	_, err := b.register(day)
	b.must(err)
	b.plan()
	b.publish(1)
	v := b.view()
	equal(b, "sessions", v.Sessions, 2)
	b.publish(2)
	v = b.view()
	equal(b, "sessions over both hours", v.Sessions, 3)
	equal(b, "files", v.Files, 5)
	equal(b, "bytes", v.Bytes, 5000)
	_, err = b.c.Rebuild(b.ctx, b.tenant, b.day, 1, true)
	b.must(err)
	b.publish(1)
	equal(b, "files after a rebuild", b.view().Files, 5)
	other := b.recording(1, "a")
	other.ConversationID = "another"
	_, err = b.register([]domain.Recording{other})
	b.must(err)
	b.pass(10 * time.Minute)
	b.publish(1)
	equal(b, "the same id in another conversation", b.view().Sessions, 4)
	equal(b, "sessions of the hour", b.hour(1).Archive.Sessions, 3)
}

// unclearCommit asks what stands from a second side while commits run.
func unclearCommit(b *bench) {
	b.add(4)
	b.plan()
	for range 5 {
		claim, built := b.start(4)
		var group sync.WaitGroup
		var committed error
		group.Go(func() { committed = b.c.Commit(b.ctx, claim, built) })
		group.Go(func() {
			if _, err := b.c.Published(b.ctx, claim); err != nil {
				b.Error(err)
			}
		})
		group.Wait()
		b.must(committed)
		published, err := b.c.Published(b.ctx, claim)
		b.must(err)
		equal(b, "published", published, true)
		b.wantKind(b.c.Fail(b.ctx, claim, catalog.Failure{Kind: domain.KindUnavailable}), domain.KindLost)
		_, err = b.c.Rebuild(b.ctx, b.tenant, b.day, 4, true)
		b.must(err)
	}
	equal(b, "revision", b.hour(4).Revision, 5)
}

func failures(b *bench) {
	b.add(4)
	b.plan()
	f := catalog.Failure{Kind: domain.KindStoreFault, Message: "the store is full"}
	last := time.Duration(0)
	for n := 1; n < 8; n++ {
		claim, _ := b.start(4)
		before := b.now()
		b.must(b.c.Fail(b.ctx, claim, f))
		equal(b, "doomed", b.isDoomed(claim.ObjectKey()), true)
		h := b.hour(4)
		equal(b, "state", h.State, catalog.StatePending)
		equal(b, "failures", h.Failures, n)
		wait := h.Due.Sub(before)
		if wait <= last {
			b.Fatalf("wait %v after failure %d is not longer than %v", wait, n, last)
		}
		last = wait
		b.noClaim(4)
		b.pass(wait)
	}
	before := b.now()
	claim, _ := b.start(4)
	b.must(b.c.Fail(b.ctx, claim, f))
	h := b.hour(4)
	equal(b, "state", h.State, catalog.StateFailed)
	equal(b, "error", h.LastError, f.Message)
	equal(b, "kind", h.LastKind, string(f.Kind))
	equal(b, "failed at", h.FailedAt.IsZero(), false)
	equal(b, "completed with a failed hour", b.view().Completed.IsZero(), false)
	if wait := h.Due.Sub(before); wait < time.Hour {
		b.Fatalf("tried again after %v, want an hour", wait)
	}
	b.pass(time.Hour + time.Minute)
	claim, _ = b.start(4)
	b.must(b.c.Fail(b.ctx, claim, f))
	equal(b, "state after one more try", b.hour(4).State, catalog.StateFailed)
	n, err := b.c.Rebuild(b.ctx, b.tenant, b.day, -1, false)
	b.must(err)
	equal(b, "due by hand", n, 1)
	equal(b, "state by hand", b.hour(4).State, catalog.StatePending)
	b.publish(4)
	h = b.hour(4)
	equal(b, "state after success", h.State, catalog.StateAvailable)
	equal(b, "error after success", h.LastError, "")
	equal(b, "failures after success", h.Failures, 0)
	equal(b, "failed at after success", h.FailedAt.IsZero(), true)
}

func finalFailure(b *bench) {
	b.add(4)
	b.plan()
	claim, _ := b.start(4)
	b.must(b.c.Fail(b.ctx, claim, catalog.Failure{Kind: domain.KindTooLarge, Message: "too large", Final: true}))
	equal(b, "state", b.hour(4).State, catalog.StateFailed)
	b.noClaim(4)
	_, failed := b.view().Unfinished(-1)
	equal(b, "failed", failed, 1)
	b.add(4) // what it lacked may have come
	b.pass(10 * time.Minute)
	b.publish(4)
	equal(b, "state", b.hour(4).State, catalog.StateAvailable)
}

func failedRebuild(b *bench) {
	b.add(4)
	b.plan()
	first := b.publish(4)
	_, err := b.c.Rebuild(b.ctx, b.tenant, b.day, 4, true)
	b.must(err)
	claim, _ := b.start(4)
	b.must(b.c.Fail(b.ctx, claim, catalog.Failure{Kind: domain.KindTooLarge, Message: "too large", Final: true}))
	h := b.hour(4)
	equal(b, "state", h.State, catalog.StateAvailable)
	equal(b, "rebuilding", h.Rebuilding, true)
	equal(b, "error", h.LastError, "too large")
	equal(b, "served", h.Archive.ObjectKey, first.ObjectKey())
	equal(b, "its bytes stay", b.isDoomed(first.ObjectKey()), false)
	equal(b, "files", b.view().Files, 1)
}

func lapses(b *bench) {
	b.add(4)
	b.plan()
	for n := 1; n <= 20; n++ {
		equal(b, "state", b.hour(4).State, catalog.StatePending)
		b.start(4)
		b.pass(61 * time.Second)
		_, err := b.c.ReleaseLapsed(b.ctx, 10)
		b.must(err)
		equal(b, "lapses", b.hour(4).Lapses, n)
	}
	h := b.hour(4)
	equal(b, "state", h.State, catalog.StateFailed)
	equal(b, "failures", h.Failures, 0)
	if !strings.Contains(h.LastError, "vanished") {
		b.Fatalf("error %q does not say what happened", h.LastError)
	}
	b.noClaim(4)
	b.pass(time.Hour)
	b.publish(4)
	equal(b, "lapses after success", b.hour(4).Lapses, 0)
}

func release(b *bench) {
	b.add(4)
	b.plan()
	due := b.hour(4).Due
	for range 30 {
		claim, _ := b.start(4)
		b.must(b.c.Release(b.ctx, claim))
		equal(b, "doomed", b.isDoomed(claim.ObjectKey()), true)
	}
	h := b.hour(4)
	equal(b, "state", h.State, catalog.StatePending)
	equal(b, "failures", h.Failures, 0)
	equal(b, "lapses", h.Lapses, 0)
	equal(b, "due as before", h.Due, due)
	b.publish(4)
}

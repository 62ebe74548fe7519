package catalogtest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// everythingAtOnce runs every operation on three days from many sides. Nothing may deadlock or
// fail, and what stands afterwards must be true to the one rule: every recording is in the archive
// that its hour serves, or the hour says that it is not.
func everythingAtOnce(b *bench) {
	const sides, steps = 6, 30
	days := []domain.Day{b.day, b.day.Add(-1), b.day.Add(-2)}
	var group sync.WaitGroup
	for side := range sides {
		group.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(side)))
			for step := range steps {
				if err := b.anything(random, days, side*steps+step); err != nil {
					b.Errorf("side %d, step %d: %v", side, step, err)
					return
				}
			}
		})
	}
	group.Wait()
	if b.Failed() {
		return
	}
	b.pass(3 * time.Hour)
	_, err := b.c.ReleaseLapsed(b.ctx, 1000)
	b.must(err)
	for _, day := range days {
		b.day = day
		b.plan()
		_, err := b.c.Rebuild(b.ctx, b.tenant, day, -1, false)
		b.must(err)
		var files int64
		for _, h := range b.view().Hours {
			if !h.Due.IsZero() {
				b.publish(h.Hour)
			}
			if a := b.hour(h.Hour).Archive; a != nil {
				equal(b, "doomed what is served", b.isDoomed(a.ObjectKey), false)
				equal(b, "revision", a.Revision, b.hour(h.Hour).Revision)
				files += int64(a.Files)
			}
		}
		waiting, failed := b.view().Unfinished(-1)
		equal(b, "waiting", waiting, 0)
		equal(b, "failed", failed, 0)
		equal(b, "files", b.view().Files, files)
		b.force(-1) // a fresh build finds no more than what was served
		for _, h := range b.view().Hours {
			if !h.Due.IsZero() {
				b.publish(h.Hour)
			}
		}
		equal(b, "files after building all again", b.view().Files, files)
	}
}

// anything does one random operation; losing a claim is no failure.
func (b *bench) anything(random *rand.Rand, days []domain.Day, serial int) error {
	day := days[random.IntN(len(days))]
	key := domain.HourKey{Tenant: b.tenant, Day: day, Hour: random.IntN(4)}
	var err error
	switch random.IntN(12) {
	case 0, 1:
		err = b.addSomewhere(random, days, serial)
	case 2:
		_, err = b.c.PlanDay(b.ctx, b.tenant, day)
	case 3:
		_, err = b.c.Rebuild(b.ctx, b.tenant, day, key.Hour, true)
	case 4, 5, 6:
		err = b.buildSomehow(random, key)
	case 7:
		err = b.lookAround(random, days)
	case 8:
		_, err = b.c.SetTenant(b.ctx, b.tenant, func(t *domain.Tenant) { t.RetentionDays = 10 + random.IntN(10) })
	case 9:
		if a := b.servedBy(key); a != nil {
			_, err = b.c.Gone(b.ctx, catalog.ServedArchive{HourKey: key, ObjectKey: a.ObjectKey})
		}
	case 10, 11:
		err = b.correctSomewhere(random, days, serial)
	}
	if isLost(err) {
		return nil
	}
	return err
}

func (b *bench) servedBy(key domain.HourKey) *catalog.ArchiveView {
	v, err := b.c.Day(b.ctx, key.Tenant, key.Day)
	if err != nil {
		return nil
	}
	return v.Hours[key.Hour].Archive
}

func (b *bench) addSomewhere(random *rand.Rand, days []domain.Day, serial int) error {
	var recs []domain.Recording
	for i := range 5 {
		size := int64(1000)
		day := days[random.IntN(len(days))]
		recs = append(recs, domain.Recording{ObjectKey: b.mixKey(i, serial),
			ConversationID: "c", SessionID: "s", MessageID: int64(serial), Type: "agent_tts", Size: &size,
			Timestamp: day.Start().Add(time.Duration(random.IntN(4)) * time.Hour)})
	}
	_, err := b.register(recs)
	return err
}

func (b *bench) buildSomehow(random *rand.Rand, key domain.HourKey) error {
	claim, ok, err := b.c.Claim(b.ctx, key, "w")
	if err != nil || !ok {
		return err
	}
	in, err := b.c.BuildInput(b.ctx, claim)
	if err != nil {
		return err
	}
	if err := b.c.StartArchive(b.ctx, claim); err != nil {
		return err
	}
	if err := b.c.Renew(b.ctx, claim); err != nil {
		return err
	}
	switch random.IntN(5) {
	case 0:
		return b.c.Fail(b.ctx, claim, catalog.Failure{Kind: domain.KindInternal, Message: "on order"})
	case 1:
		return b.c.Release(b.ctx, claim)
	}
	if len(in.Recordings) == 0 { // all were corrected away
		return b.c.CommitEmpty(b.ctx, claim, in.Wanted)
	}
	return b.c.Commit(b.ctx, claim, builtOf(in))
}

// correctSomewhere moves some of the recordings that were added before.
func (b *bench) correctSomewhere(random *rand.Rand, days []domain.Day, serials int) error {
	for range 20 {
		at := days[random.IntN(len(days))].Start().Add(time.Duration(random.IntN(4)) * time.Hour)
		_, err := b.c.Correct(b.ctx, catalog.Correction{Tenant: b.tenant, ObjectKey: b.mixKey(random.IntN(5), random.IntN(serials+1)), Reason: "r",
			Timestamp: &at, ConversationID: ptr([]string{"c", "d"}[random.IntN(2)])})
		if err != nil && domain.KindOf(err) != domain.KindNotFound {
			return err
		}
	}
	return nil
}

func (b *bench) mixKey(i, serial int) string { return fmt.Sprintf("%s/mix/%d/%d", b.tenant, i, serial) }

func (b *bench) lookAround(random *rand.Rand, days []domain.Day) error {
	due, err := b.c.DueHours(b.ctx, "e", 5, 10)
	if err != nil {
		return err
	}
	for _, d := range due {
		if _, err := b.c.Dispatched(b.ctx, d.HourKey, d.Dispatch, "e"); err != nil {
			return err
		}
	}
	if _, err := b.c.RepairHours(b.ctx); err != nil {
		return err
	}
	if _, err := b.c.ReleaseLapsed(b.ctx, 10); err != nil {
		return err
	}
	if _, err := b.c.ExpireDays(b.ctx, 10); err != nil {
		return err
	}
	if _, err := b.c.DoomUnused(b.ctx, 10); err != nil {
		return err
	}
	list, err := b.c.Doomed(b.ctx, 10)
	if err != nil {
		return err
	}
	for _, d := range list {
		if err := b.c.Deleted(b.ctx, d.ObjectKey); err != nil {
			return err
		}
	}
	return b.c.Reopen(b.ctx, b.tenant, days[random.IntN(len(days))])
}

package catalogtest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// everythingAtOnce runs all operations on three days, many at the same time. None may deadlock or
// fail. Afterwards every recording must be in the archive that its hour serves, or the hour must
// say that it is not.
func everythingAtOnce(f *fixture) {
	const sides, steps = 6, 30
	days := []domain.Day{f.day, f.day.Add(-1), f.day.Add(-2)}
	var group sync.WaitGroup
	for side := range sides {
		group.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(side)))
			for step := range steps {
				if err := f.anything(random, days, side*steps+step); err != nil {
					f.Errorf("side %d, step %d: %v", side, step, err)
					return
				}
			}
		})
	}
	group.Wait()
	if f.Failed() {
		return
	}
	f.pass(3 * time.Hour)
	_, err := f.c.ReleaseLapsed(f.ctx, 1000)
	f.must(err)
	for _, day := range days {
		f.day = day
		f.plan()
		_, err := f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: day, Hour: -1})
		f.must(err)
		var files int64
		for _, h := range f.view().Hours {
			if !h.Due.IsZero() {
				f.publish(h.Hour)
			}
			if a := f.hour(h.Hour).Archive; a != nil {
				equal(f, "doomed what is served", f.isDoomed(a.ObjectKey), false)
				equal(f, "revision", a.Revision, f.hour(h.Hour).Revision)
				files += int64(a.Files)
			}
		}
		waiting, failed := f.view().Unfinished(-1)
		equal(f, "waiting", waiting, 0)
		equal(f, "failed", failed, 0)
		equal(f, "files", f.view().Files, files)
		f.force(-1) // a new build has the same recordings as the served archive
		for _, h := range f.view().Hours {
			if !h.Due.IsZero() {
				f.publish(h.Hour)
			}
		}
		equal(f, "files after building all again", f.view().Files, files)
	}
}

// anything does one random operation. A lost claim is no failure.
func (f *fixture) anything(random *rand.Rand, days []domain.Day, serial int) error {
	day := days[random.IntN(len(days))]
	key := domain.HourKey{Tenant: f.tenant, Day: day, Hour: random.IntN(4)}
	var err error
	switch random.IntN(12) {
	case 0, 1:
		err = f.addSomewhere(random, days, serial)
	case 2:
		_, err = f.c.PlanDay(f.ctx, f.tenant, day)
	case 3:
		_, err = f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: day, Hour: key.Hour, Force: true})
	case 4, 5, 6:
		err = f.buildSomehow(random, key)
	case 7:
		err = f.lookAround(random, days)
	case 8:
		_, err = f.c.SetTenant(f.ctx, f.tenant, func(t *domain.Tenant) { t.RetentionDays = 10 + random.IntN(10) }, audit.Origin{})
	case 9:
		if a := f.servedBy(key); a != nil {
			_, err = f.c.Gone(f.ctx, catalog.ServedArchive{HourKey: key, ObjectKey: a.ObjectKey})
		}
	case 10, 11:
		err = f.correctSomewhere(random, days, serial)
	}
	if isLost(err) {
		return nil
	}
	return err
}

func (f *fixture) servedBy(key domain.HourKey) *catalog.ArchiveView {
	v, err := f.c.Day(f.ctx, key.Tenant, key.Day)
	if err != nil {
		return nil
	}
	return v.Hours[key.Hour].Archive
}

func (f *fixture) addSomewhere(random *rand.Rand, days []domain.Day, serial int) error {
	var recs []domain.Recording
	for i := range 5 {
		size := int64(1000)
		day := days[random.IntN(len(days))]
		recs = append(recs, domain.Recording{ObjectKey: f.mixKey(i, serial),
			ConversationID: "c", SessionID: "s", MessageID: int64(serial), Type: "agent_tts", Size: &size,
			Timestamp: day.Start().Add(time.Duration(random.IntN(4)) * time.Hour)})
	}
	_, err := f.register(recs)
	return err
}

func (f *fixture) buildSomehow(random *rand.Rand, key domain.HourKey) error {
	claim, ok, err := f.c.Claim(f.ctx, key, "w")
	if err != nil || !ok {
		return err
	}
	in, err := f.c.BuildInput(f.ctx, claim)
	if err != nil {
		return err
	}
	if err := f.c.StartArchive(f.ctx, claim); err != nil {
		return err
	}
	if err := f.c.Renew(f.ctx, claim); err != nil {
		return err
	}
	switch random.IntN(5) {
	case 0:
		return f.c.Fail(f.ctx, claim, catalog.Failure{Kind: domain.KindInternal, Message: "on order"})
	case 1:
		return f.c.Release(f.ctx, claim)
	}
	if len(in.Recordings) == 0 { // all were corrected away
		return f.c.CommitEmpty(f.ctx, claim, in.Wanted)
	}
	return f.c.Commit(f.ctx, claim, builtOf(in))
}

// correctSomewhere moves some of the recordings.
func (f *fixture) correctSomewhere(random *rand.Rand, days []domain.Day, serials int) error {
	for range 20 {
		at := days[random.IntN(len(days))].Start().Add(time.Duration(random.IntN(4)) * time.Hour)
		_, err := f.c.Correct(f.ctx, catalog.Correction{Tenant: f.tenant, ObjectKey: f.mixKey(random.IntN(5), random.IntN(serials+1)), Reason: "r",
			Timestamp: &at, ConversationID: ptr([]string{"c", "d"}[random.IntN(2)])})
		if err != nil && domain.KindOf(err) != domain.KindNotFound {
			return err
		}
	}
	return nil
}

func (f *fixture) mixKey(i, serial int) string {
	return fmt.Sprintf("%s/mix/%d/%d", f.tenant, i, serial)
}

func (f *fixture) lookAround(random *rand.Rand, days []domain.Day) error {
	due, err := f.c.DueHours(f.ctx, "e", 5, 10)
	if err != nil {
		return err
	}
	for _, d := range due {
		if _, err := f.c.Dispatched(f.ctx, d.HourKey, d.Dispatch, "e"); err != nil {
			return err
		}
	}
	if _, err := f.c.RepairHours(f.ctx); err != nil {
		return err
	}
	if _, err := f.c.ReleaseLapsed(f.ctx, 10); err != nil {
		return err
	}
	if _, err := f.c.ExpireDays(f.ctx, 10); err != nil {
		return err
	}
	if _, err := f.c.DoomUnused(f.ctx, 10); err != nil {
		return err
	}
	list, err := f.c.Doomed(f.ctx, 10)
	if err != nil {
		return err
	}
	for _, d := range list {
		if err := f.tryDeleted(d, d.ObjectKey); err != nil {
			return err
		}
	}
	return f.c.Reopen(f.ctx, f.tenant, days[random.IntN(len(days))], audit.Origin{})
}

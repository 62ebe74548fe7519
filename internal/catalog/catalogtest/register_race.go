package catalogtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// hourPassed is longer than the wait after any late recording.
const hourPassed = time.Hour

// batchesRace registers new recordings of the same hours and conversations from several writers,
// each in another order, and counts them afterwards.
func batchesRace(f *fixture) {
	const writers, rounds, hours = 6, 5, 8
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for round := range rounds {
				var recs []domain.Recording
				for _, h := range random.Perm(hours) {
					recs = append(recs, domain.Recording{ObjectKey: fmt.Sprintf("%d/%d/%d", w, round, h), ConversationID: fmt.Sprintf("c%d", random.IntN(5)),
						SessionID: "s", MessageID: int64(h), Type: "t", Timestamp: f.day.Start().Add(time.Duration(h) * time.Hour)})
				}
				if _, err := f.c.Register(f.ctx, f.tenant, catalog.Batch{Recordings: lines(1, recs...)}); err != nil {
					f.Error(err)
				}
			}
		})
	}
	group.Wait()
	f.plan()
	for h := range hours {
		in := f.stored(h)
		equal(f, "recordings", len(in.Recordings), writers*rounds)
		equal(f, "raised", in.Wanted, int64(writers*rounds))
	}
}

// repeatsRace registers the same batch from several writers: exactly one of them changes anything.
func repeatsRace(f *fixture) {
	batch := f.allKinds()
	var group sync.WaitGroup
	changed := make([]int, 8)
	for w := range changed {
		group.Go(func() {
			n, err := f.c.Register(f.ctx, f.tenant, catalog.Batch{Agents: slices.Clone(batch.Agents), Conversations: slices.Clone(batch.Conversations),
				Messages: slices.Clone(batch.Messages), Recordings: slices.Clone(batch.Recordings)})
			if err != nil {
				f.Error(err)
			}
			changed[w] = n.Changed
		})
	}
	group.Wait()
	sort.Ints(changed)
	equal(f, "rows changed", fmt.Sprint(changed), "[0 0 0 0 0 0 0 9]")
	f.plan()
	equal(f, "raised", f.stored(1).Wanted, 1)
}

// tenantsRace registers the same keys for two tenants in opposite orders: each batch is accepted or
// refused as a whole, and one tenant gets the keys.
func tenantsRace(f *fixture) {
	for round := range 10 {
		keys := []string{fmt.Sprintf("%d/a", round), fmt.Sprintf("%d/b", round), fmt.Sprintf("%d/c", round)}
		errs := make([]error, 2)
		var group sync.WaitGroup
		for i, tenant := range []string{"acme", "other"} {
			mine := slices.Clone(keys)
			if i == 1 {
				slices.Reverse(mine)
			}
			group.Go(func() {
				var recs []domain.Recording
				for _, k := range mine {
					recs = append(recs, domain.Recording{ObjectKey: k, ConversationID: "c", SessionID: "s", Type: "t", Timestamp: f.day.Start()})
				}
				_, errs[i] = f.c.Register(f.ctx, tenant, catalog.Batch{Recordings: lines(1, recs...)})
			})
		}
		group.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			f.Fatalf("both answers: %v and %v", errs[0], errs[1])
		}
		for _, err := range errs {
			if err != nil {
				f.wantKind(err, domain.KindInvalid)
			}
		}
	}
}

// archived keeps what the last committed build of each hour has.
type archived struct {
	mu    sync.Mutex
	hours map[int]string
}

func contents(in catalog.BuildInput) string {
	var parts []string
	for _, r := range in.Recordings {
		parts = append(parts, fmt.Sprintf("%s=%s/%s", r.ObjectKey, r.ExternalConversationID, r.SessionID))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// buildOnce builds an hour if it is due, and says whether it did.
func (a *archived) buildOnce(f *fixture, hour int) (bool, error) {
	claim, ok, err := f.c.Claim(f.ctx, f.key(hour), "w")
	if err != nil || !ok {
		return false, err
	}
	in, err := f.c.BuildInput(f.ctx, claim)
	if err != nil {
		return false, err
	}
	if err := f.c.StartArchive(f.ctx, claim); err != nil {
		return false, err
	}
	a.mu.Lock() // a later commit of the hour must not be recorded before this one
	defer a.mu.Unlock()
	if err := f.c.Commit(f.ctx, claim, builtOf(in)); err != nil {
		return false, err
	}
	a.hours[hour] = contents(in)
	return true, nil
}

// namesPlansBuildsRace runs registrations, changes of external ids, plans and builds of a day at
// the same time. When everything due is built, every archive must have the present recordings.
func namesPlansBuildsRace(f *fixture) {
	const hours, conversations = 3, 3
	built := &archived{hours: map[int]string{}}
	for round := range 12 {
		f.raceOnce(round, hours, conversations, built)
		f.plan()
		for {
			f.pass(hourPassed / 4)
			progress := false
			for h := range hours {
				did, err := built.buildOnce(f, h)
				f.must(err)
				progress = progress || did
			}
			if !progress {
				break
			}
		}
		for h := range hours {
			if f.view().Hours[h].Rebuilding {
				f.Fatalf("round %d, hour %d: nothing is due, and a newer revision is wanted", round, h)
			}
			due, err := f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: h, Force: true})
			f.must(err)
			if due == 0 { // it has no recordings yet
				equal(f, "archived", built.hours[h], "")
				continue
			}
			in := f.stored(h)
			if got, want := built.hours[h], contents(in); got != want {
				f.Fatalf("round %d, hour %d is archived as\n%s\nand should be\n%s", round, h, got, want)
			}
			f.publish(h)
		}
	}
}

func (f *fixture) raceOnce(round, hours, conversations int, built *archived) {
	f.Helper()
	var group sync.WaitGroup
	start := make(chan struct{})
	run := func(fn func(random *rand.Rand) error) {
		seed := rand.NewPCG(uint64(round), rand.Uint64())
		group.Go(func() {
			<-start
			if err := fn(rand.New(seed)); err != nil {
				f.Error(err)
			}
		})
	}
	for w := range 3 {
		run(func(random *rand.Rand) error {
			rec := domain.Recording{ObjectKey: fmt.Sprintf("%d/%d", round, w), ConversationID: fmt.Sprintf("c%d", random.IntN(conversations)),
				SessionID: "s", Type: "t", Timestamp: f.day.Start().Add(time.Duration(random.IntN(hours)) * time.Hour)}
			_, err := f.c.Register(f.ctx, f.tenant, catalog.Batch{Recordings: lines(1, rec)})
			return err
		})
		run(func(random *rand.Rand) error {
			c := f.conversation(fmt.Sprintf("c%d", random.IntN(conversations)), fmt.Sprintf("name-%d-%d", round, w))
			_, err := f.c.Register(f.ctx, f.tenant, catalog.Batch{Conversations: lines(1, c)})
			return err
		})
	}
	run(func(*rand.Rand) error {
		_, err := f.c.PlanDay(f.ctx, f.tenant, f.day)
		return err
	})
	for h := range hours {
		run(func(*rand.Rand) error {
			_, err := built.buildOnce(f, h)
			return err
		})
	}
	close(start)
	group.Wait()
}

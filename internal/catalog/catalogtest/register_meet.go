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

// hourPassed is longer than any late recording waits for company.
const hourPassed = time.Hour

// batchesMeet lets writers register new recordings of the same hours and conversations, each in
// its own order, and counts every one of them afterwards.
func batchesMeet(b *bench) {
	const writers, rounds, hours = 6, 5, 8
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for round := range rounds {
				var recs []domain.Recording
				for _, h := range random.Perm(hours) {
					recs = append(recs, domain.Recording{ObjectKey: fmt.Sprintf("%d/%d/%d", w, round, h), ConversationID: fmt.Sprintf("c%d", random.IntN(5)),
						SessionID: "s", MessageID: int64(h), Type: "t", Timestamp: b.day.Start().Add(time.Duration(h) * time.Hour)})
				}
				if _, err := b.c.Register(b.ctx, b.tenant, catalog.Batch{Recordings: lines(1, recs...)}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
	b.plan()
	for h := range hours {
		in := b.stored(h)
		equal(b, "recordings", len(in.Recordings), writers*rounds)
		equal(b, "bumps", in.Wanted, int64(writers*rounds))
	}
}

// repeatsMeet lets writers register the very same batch: exactly one of them is the first.
func repeatsMeet(b *bench) {
	batch := b.allKinds()
	var group sync.WaitGroup
	changed := make([]int, 8)
	for w := range changed {
		group.Go(func() {
			n, err := b.c.Register(b.ctx, b.tenant, catalog.Batch{Agents: slices.Clone(batch.Agents), Conversations: slices.Clone(batch.Conversations),
				Messages: slices.Clone(batch.Messages), Recordings: slices.Clone(batch.Recordings)})
			if err != nil {
				b.Error(err)
			}
			changed[w] = n.Changed
		})
	}
	group.Wait()
	sort.Ints(changed)
	equal(b, "rows changed", fmt.Sprint(changed), "[0 0 0 0 0 0 0 9]")
	b.plan()
	equal(b, "bumps", b.stored(1).Wanted, 1)
}

// tenantsMeet lets two tenants claim the same keys in opposite orders: each batch is taken whole
// or refused whole, and one of them wins.
func tenantsMeet(b *bench) {
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
					recs = append(recs, domain.Recording{ObjectKey: k, ConversationID: "c", SessionID: "s", Type: "t", Timestamp: b.day.Start()})
				}
				_, errs[i] = b.c.Register(b.ctx, tenant, catalog.Batch{Recordings: lines(1, recs...)})
			})
		}
		group.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			b.Fatalf("both answers: %v and %v", errs[0], errs[1])
		}
		for _, err := range errs {
			if err != nil {
				b.wantKind(err, domain.KindInvalid)
			}
		}
	}
}

// archived remembers what the last committed build of each hour held.
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
func (a *archived) buildOnce(b *bench, hour int) (bool, error) {
	claim, ok, err := b.c.Claim(b.ctx, b.key(hour), "w")
	if err != nil || !ok {
		return false, err
	}
	in, err := b.c.BuildInput(b.ctx, claim)
	if err != nil {
		return false, err
	}
	if err := b.c.StartArchive(b.ctx, claim); err != nil {
		return false, err
	}
	a.mu.Lock() // a later commit of the hour can't come before this one is noted
	defer a.mu.Unlock()
	if err := b.c.Commit(b.ctx, claim, builtOf(in)); err != nil {
		return false, err
	}
	a.hours[hour] = contents(in)
	return true, nil
}

// namesPlansBuildsMeet runs registrations, changes of external ids, plans and builds of a day at
// once. When all is quiet and everything due is built, every archive must hold what stands.
func namesPlansBuildsMeet(b *bench) {
	const hours, conversations = 3, 3
	built := &archived{hours: map[int]string{}}
	for round := range 12 {
		b.meetOnce(round, hours, conversations, built)
		b.plan()
		for {
			b.pass(hourPassed / 4)
			progress := false
			for h := range hours {
				did, err := built.buildOnce(b, h)
				b.must(err)
				progress = progress || did
			}
			if !progress {
				break
			}
		}
		for h := range hours {
			if b.view().Hours[h].Rebuilding {
				b.Fatalf("round %d, hour %d: nothing is due, and a newer revision is wanted", round, h)
			}
			due, err := b.c.Rebuild(b.ctx, b.tenant, b.day, h, true)
			b.must(err)
			if due == 0 { // nothing was registered for it yet
				equal(b, "archived", built.hours[h], "")
				continue
			}
			in := b.stored(h)
			if got, want := built.hours[h], contents(in); got != want {
				b.Fatalf("round %d, hour %d is archived as\n%s\nand should be\n%s", round, h, got, want)
			}
			b.publish(h)
		}
	}
}

func (b *bench) meetOnce(round, hours, conversations int, built *archived) {
	b.Helper()
	var group sync.WaitGroup
	start := make(chan struct{})
	run := func(fn func(random *rand.Rand) error) {
		seed := rand.NewPCG(uint64(round), rand.Uint64())
		group.Go(func() {
			<-start
			if err := fn(rand.New(seed)); err != nil {
				b.Error(err)
			}
		})
	}
	for w := range 3 {
		run(func(random *rand.Rand) error {
			rec := domain.Recording{ObjectKey: fmt.Sprintf("%d/%d", round, w), ConversationID: fmt.Sprintf("c%d", random.IntN(conversations)),
				SessionID: "s", Type: "t", Timestamp: b.day.Start().Add(time.Duration(random.IntN(hours)) * time.Hour)}
			_, err := b.c.Register(b.ctx, b.tenant, catalog.Batch{Recordings: lines(1, rec)})
			return err
		})
		run(func(random *rand.Rand) error {
			c := b.conversation(fmt.Sprintf("c%d", random.IntN(conversations)), fmt.Sprintf("name-%d-%d", round, w))
			_, err := b.c.Register(b.ctx, b.tenant, catalog.Batch{Conversations: lines(1, c)})
			return err
		})
	}
	run(func(*rand.Rand) error {
		_, err := b.c.PlanDay(b.ctx, b.tenant, b.day)
		return err
	})
	for h := range hours {
		run(func(*rand.Rand) error {
			_, err := built.buildOnce(b, h)
			return err
		})
	}
	close(start)
	group.Wait()
}

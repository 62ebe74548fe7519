package catalogtest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/domain"
)

// RunHolds tests legal holds. open gives an empty, migrated catalog.
func RunHolds(t *testing.T, open func(t *testing.T) *catalog.Catalog) {
	runEach(t, open, map[string]func(*fixture){
		"create and release":  holdKept,
		"refused orders":      holdRefused,
		"what a hold covers":  holdCovers,
		"days end under it":   holdRetains,
		"former revisions":    holdFormerRevisions,
		"doomed are spared":   holdSpares,
		"locked deletions":    lockedDeletions,
		"release and reopen":  holdReopened,
		"corrections":         holdCorrections,
		"unfinished objects":  holdUnfinished,
		"creation races ends": holdRaces,
	})
}

var counsel = audit.Origin{Actor: "admin", Remote: "192.0.2.7", Request: "r-1"}

// hold creates a hold that must be possible.
func (f *fixture) hold(name string, change func(*holds.Order)) catalog.HoldResult {
	f.Helper()
	o := holds.Order{Tenant: f.tenant, Name: name, Reason: "matter 7"}
	change(&o)
	r, err := f.c.CreateHold(f.ctx, o, counsel)
	f.must(err)
	return r
}

func overAll(o *holds.Order) { o.All = true }

func (f *fixture) overDay(o *holds.Order) { o.From, o.To = f.day, f.day }

func over(conversations ...string) func(*holds.Order) {
	return func(o *holds.Order) { o.Conversations = conversations }
}

func (f *fixture) release(name string) {
	f.Helper()
	_, err := f.c.ReleaseHold(f.ctx, f.tenant, name, "settled", counsel)
	f.must(err)
}

// archiveState gives the state of an archive; "" when its row is gone.
func (f *fixture) archiveState(claim catalog.Claim) (state string) {
	f.Helper()
	f.must(f.c.DB().QueryRowContext(f.ctx, `SELECT coalesce((SELECT state FROM archives WHERE object_key = $1), '')`, claim.ObjectKey()).Scan(&state))
	return state
}

// states gives the states of archives, with blanks between.
func (f *fixture) states(claims ...catalog.Claim) (all string) {
	f.Helper()
	for _, c := range claims {
		all += " " + f.archiveState(c)
	}
	return all[1:]
}

// sweepAll does what sweepers do in some days, a few hours apart, without a store.
func (f *fixture) sweepAll() {
	f.Helper()
	for range 4 {
		_, err := f.c.ExpireDays(f.ctx, 100)
		f.must(err)
		_, err = f.c.DoomUnused(f.ctx, 100)
		f.must(err)
		for key, d := range f.doomed() {
			f.must(f.tryDeleted(d, key))
		}
		f.pass(26 * time.Hour)
	}
}

func holdKept(f *fixture) {
	f.takeConversation(f.conversation("known", ""))
	r := f.hold("matter-7", over("later", "known", "later"))
	equal(f, "unknown conversations", fmt.Sprint(r.Unknown), "[later]")
	e, detail := f.last()
	equal(f, "line", fmt.Sprint(e.Actor, " ", e.Action, " ", detail["name"], detail["conversations"], detail["reason"], detail["remote"]),
		"admin hold.create matter-7[known later]matter 7192.0.2.7")
	f.hold("all", overAll)
	f.hold("day", f.overDay)
	_, err := f.c.CreateHold(f.ctx, holds.Order{Tenant: f.tenant, Name: "all", Reason: "r", All: true}, counsel)
	f.wantKind(err, domain.KindConflict)
	f.release("all")
	e, detail = f.last()
	equal(f, "line", fmt.Sprint(e.Action, " ", detail["name"], detail["reason"]), "hold.release allsettled")
	f.hold("all", overAll) // its name is free again
	list, err := f.c.HoldsOf(f.ctx, f.tenant)
	f.must(err)
	var names []string
	for _, h := range list {
		names = append(names, words(h.Name, h.Scope, h.Conversations, h.Released != nil, h.ReleasedBy+h.ReleaseReason))
	}
	equal(f, "holds", fmt.Sprint(names), "[matter-7 conversations 2 false  all all 0 true adminsettled day days 0 false  all all 0 false ]")
	equal(f, "days", *list[2].From+*list[2].To, f.day+f.day)
	for _, c := range []struct {
		name, reason string
		kind         domain.Kind
	}{{"all", " ", domain.KindInvalid}, {"none", "r", domain.KindNotFound}} {
		_, err := f.c.ReleaseHold(f.ctx, f.tenant, c.name, c.reason, counsel)
		f.wantKind(err, c.kind)
	}
	_, err = f.c.ReleaseHold(f.ctx, "nobody", "all", "r", counsel)
	f.wantKind(err, domain.KindNotFound)
}

func holdRefused(f *fixture) {
	for name, change := range map[string]func(*holds.Order){
		"no reason":            func(o *holds.Order) { o.Reason = " " },
		"no name":              func(o *holds.Order) { o.Name = "" },
		"a name of two lines":  func(o *holds.Order) { o.Name = "a\nb" },
		"nothing covered":      func(o *holds.Order) { o.All = false },
		"two scopes":           f.overDay,
		"days and all":         over("c"),
		"one day missing":      func(o *holds.Order) { o.All, o.From = false, f.day },
		"days in wrong order":  func(o *holds.Order) { o.All, o.From, o.To = false, f.day, f.day.Add(-1) },
		"no day":               func(o *holds.Order) { o.All, o.From, o.To = false, "2025-02-30", "2025-03-01" },
		"an empty id":          func(o *holds.Order) { o.All, o.Conversations = false, []string{""} },
		"too many":             func(o *holds.Order) { o.All, o.Conversations = false, slices.Collect(numbered(1001)) },
		"a reason of no text":  func(o *holds.Order) { o.Reason = "a\x00" },
		"a reason of no bound": func(o *holds.Order) { o.Reason = string(make([]rune, 2000)) },
	} {
		o := holds.Order{Tenant: f.tenant, Name: "n", Reason: "r", All: true}
		change(&o)
		if _, err := f.c.CreateHold(f.ctx, o, counsel); domain.KindOf(err) != domain.KindInvalid {
			f.Errorf("%s: %v", name, err)
		}
	}
	_, err := f.c.CreateHold(f.ctx, holds.Order{Tenant: "nobody", Name: "n", Reason: "r", All: true}, counsel)
	f.wantKind(err, domain.KindNotFound)
	list, err := f.c.HoldsOf(f.ctx, f.tenant)
	f.must(err)
	equal(f, "holds", len(list), 0)
}

func numbered(n int) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := 0; i < n && yield(fmt.Sprint(i)); i++ {
		}
	}
}

// holdCovers asks the expressions about conversations whose dated parts are on several days.
func holdCovers(f *fixture) {
	day, next, last := f.day, f.day.Add(1), f.day.Add(2)
	recorded := f.recording(5, "s1") // of c-s1, on the first day
	spans := f.conversation("spans", "")
	ended := next.Start().Add(time.Hour)
	spans.End = &ended
	spoken := f.message("m1")
	spoken.ConversationID, spoken.Time = "spoken", last.Start()
	f.take(catalog.Batch{Conversations: lines(1, spans), Recordings: lines(2, recorded), Messages: lines(3, spoken)})
	f.newTenant("other", 3)
	covered := func() (all string) {
		ask := func(what, expression string, args ...any) {
			var yes bool
			f.must(f.c.DB().QueryRowContext(f.ctx, `SELECT `+expression, args...).Scan(&yes))
			if yes {
				all += what + " "
			}
		}
		for _, c := range []string{"c-s1", "spans", "spoken", "later"} {
			ask(c, holds.ConversationSQL("$1", "$2"), f.tenant, c)
			ask("other's "+c, holds.ConversationSQL("$1", "$2"), "other", c)
		}
		for i, d := range []domain.Day{day, next, last} {
			ask(fmt.Sprint("day", i), holds.DaySQL("$1", "$2"), f.tenant, d)
		}
		ask("5h", holds.HourSQL("$1", "$2", "$3"), f.tenant, day, 5)
		ask("6h", holds.HourSQL("$1", "$2", "$3"), f.tenant, day, 6)
		return all
	}
	everything := "c-s1 spans spoken later day0 day1 day2 5h 6h "
	for i, c := range []struct {
		change func(*holds.Order)
		want   string
	}{
		{overAll, everything},
		{f.overDay, "c-s1 spans day0 5h 6h "},
		{func(o *holds.Order) { o.From, o.To = next, next }, "spans day1 "},
		{func(o *holds.Order) { o.From, o.To = next, last }, "spans spoken day1 day2 "},
		{over("c-s1"), "c-s1 day0 5h "},
		{over("spoken"), "spoken "},
		{over("later"), "later "},
	} {
		name := fmt.Sprint("h", i)
		f.hold(name, c.change)
		equal(f, name, covered(), c.want)
		f.release(name)
		f.pass(23 * time.Hour)
		equal(f, name+" a day after its release", covered(), c.want)
		f.pass(2 * time.Hour)
		equal(f, name+" after that", covered(), "")
	}
	f.hold("a", over("spoken"))
	f.hold("b", over("c-s1"))
	equal(f, "two holds", covered(), "c-s1 spoken day0 5h ")
}

// runEach runs each test on a catalog of its own, with a tenant and its yesterday.
func runEach(t *testing.T, open func(t *testing.T) *catalog.Catalog, tests map[string]func(*fixture)) {
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := &fixture{T: t, c: open(t), ctx: t.Context(), tenant: "acme"}
			f.newTenant("acme", 3)
			f.day = domain.DayOf(f.now()).Add(-1)
			f.pass(0) // the clock is checked
			test(f)
		})
	}
}

// holdRaces creates holds while the day ends and its archives are deleted. An archive is either
// held or told to be going, and never both or neither.
func holdRaces(f *fixture) {
	const rounds = 12
	for round := range rounds {
		f.day = domain.DayOf(f.now()).Add(-1)
		f.add(1, 2)
		f.plan()
		archives := []catalog.Claim{f.publish(1), f.publish(2)}
		f.passUntil(f.view().RetentionEnd.Add(2 * time.Hour))
		if round%2 == 0 { // doomed before the race
			_, err := f.c.ExpireDays(f.ctx, 100)
			f.must(err)
			f.pass(2 * time.Hour)
		}
		var group sync.WaitGroup
		var r catalog.HoldResult
		group.Go(func() { r = f.hold(fmt.Sprint("race", round), f.overDay) })
		for range 2 {
			group.Go(func() {
				if _, err := f.c.ExpireDays(f.ctx, 100); err != nil {
					f.Error(err)
				}
				for _, d := range f.doomed() {
					if _, err := f.c.StartDeletion(f.ctx, d); err != nil {
						f.Error(err)
					}
				}
			})
		}
		group.Wait()
		f.sweepAll()
		for _, a := range archives {
			state := f.archiveState(a)
			told := slices.ContainsFunc(r.Deleting, func(g catalog.GoingArchive) bool { return g.ObjectKey == a.ObjectKey() })
			if held := state == "retained"; held == told {
				f.Errorf("round %d: an archive is %q, and told to be going: %t", round, state, told)
			}
		}
	}
}

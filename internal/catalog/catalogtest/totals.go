package catalogtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// RunTotals tests control totals. open gives an empty, migrated catalog.
func RunTotals(t *testing.T, open func(t *testing.T) *catalog.Catalog) {
	each(t, open, map[string]func(*fixture){
		"lines":           totalLines,
		"contradictions":  totalContradictions,
		"correction":      totalCorrection,
		"short day":       shortDay,
		"short when late": shortAfterCompletion,
		"ends short":      endsShort,
		"without a plan":  shortWithoutPlan,
		"moved away":      movedOutOfEndedDay,
		"removed":         totalRemoved,
		"ended day":       totalOfEndedDay,
		"surplus":         surplusDay,
		"former program":  totalAfterFormerProgram,
		"erased":          totalOfErased,
		"in any order":    totalsInAnyOrder,
	})
}

const grace = 6 * time.Hour

func (f *fixture) total(hour int, recordings int64) catalog.Line[domain.Total] {
	return catalog.Line[domain.Total]{Number: 1, Value: domain.Total{Day: f.day, Hour: hour, Recordings: recordings}}
}

// takeTotals takes totals in, which must succeed.
func (f *fixture) takeTotals(list ...catalog.Line[domain.Total]) catalog.Counts {
	f.Helper()
	n, err := f.c.Register(f.ctx, f.tenant, catalog.Batch{Totals: list})
	f.must(err)
	return n
}

// refusedTotal fails unless the line is refused with this message and changes nothing.
func (f *fixture) refusedTotal(l catalog.Line[domain.Total], kind domain.Kind, message string) {
	f.Helper()
	before := f.view().Totals
	f.refused(catalog.Batch{Totals: []catalog.Line[domain.Total]{l}}, 1, kind, message)
	equal(f, "totals after a refusal", fmt.Sprint(totalsText(f.view().Totals)), totalsText(before))
}

func totalsText(t catalog.Totals) string {
	var s []string
	for hour, n := range t.Hours {
		if n != nil {
			s = append(s, fmt.Sprintf("%02d:%d", hour, *n))
		}
	}
	if t.Day != nil {
		s = append(s, fmt.Sprintf("day:%d", *t.Day))
	}
	return strings.Join(s, " ")
}

func (f *fixture) correctTotal(hour int, recordings *int64) (catalog.CorrectedTotal, error) {
	return f.c.CorrectTotal(f.ctx, catalog.TotalCorrection{Tenant: f.tenant, Day: f.day, Hour: hour, Recordings: recordings, Reason: "ticket 7",
		Origin: audit.Origin{Actor: "admin"}})
}

// state says how the day compares with its totals.
func (f *fixture) comparison() string {
	f.Helper()
	v := f.view()
	return fmt.Sprintf("short %d surplus %d", v.Short, v.Surplus)
}

func (f *fixture) tellShort() int {
	f.Helper()
	told, err := f.c.TellShort(f.ctx, grace, 10)
	f.must(err)
	return len(told)
}

func totalLines(f *fixture) {
	f.add(3, 3, 4)
	n := f.takeTotals(f.total(3, 2), f.total(domain.WholeDay, 5))
	equal(f, "counts", n, catalog.Counts{Totals: 2, Changed: 2})
	equal(f, "totals", totalsText(f.view().Totals), "03:2 day:5")
	equal(f, "registered", fmt.Sprint(f.view().Totals.RegisteredOf(3), f.view().Totals.RegisteredOf(domain.WholeDay)), "2 3")
	equal(f, "the day", f.comparison(), "short 2 surplus 0")
	equal(f, "repeated", f.takeTotals(f.total(3, 2), f.total(domain.WholeDay, 5)).Changed, 0)
	f.add(4, 5)
	equal(f, "more of the day", f.comparison(), "short 0 surplus 0")
	f.add(3)
	equal(f, "more than both", f.comparison(), "short 0 surplus 1")
	n, err := f.c.Register(f.ctx, f.tenant, catalog.Batch{Totals: []catalog.Line[domain.Total]{f.total(6, 0)}, Recordings: lines(2, f.recording(6, "s1"))})
	f.must(err)
	equal(f, "with recordings", n.Changed > 1, true)
	equal(f, "an hour that should be empty", f.comparison(), "short 0 surplus 2")
}

func totalContradictions(f *fixture) {
	const fix = "; if this line is right, an operator corrects what stands (callvault total correct)"
	f.takeTotals(f.total(3, 10))
	f.refusedTotal(f.total(3, 11), domain.KindConflict, fmt.Sprintf(`"recordings" is 11, and the total of %s 03:00 is 10`, f.day)+fix)
	f.refusedTotal(f.total(domain.WholeDay, 9), domain.KindConflict, fmt.Sprintf("with this line the totals of the hours of %s (1 of 24) are 10 together, and the day's total is 9", f.day)+fix)
	f.takeTotals(f.total(domain.WholeDay, 20))
	f.refusedTotal(f.total(4, 11), domain.KindConflict, fmt.Sprintf("with this line the totals of the hours of %s (2 of 24) are 21 together, and the day's total is 20", f.day)+fix)
	for hour := range 23 {
		if hour != 3 {
			f.takeTotals(f.total(hour, 0))
		}
	}
	f.refusedTotal(f.total(23, 9), domain.KindConflict, fmt.Sprintf("with this line the totals of the hours of %s (24 of 24) are 19 together, and the day's total is 20", f.day)+fix)
	f.takeTotals(f.total(23, 10))
	today := domain.DayOf(f.now())
	ahead := f.total(domain.WholeDay, 1)
	ahead.Value.Day = today.Add(1)
	f.refusedTotal(ahead, domain.KindInvalid, string(today.Add(1))+" has not begun by callvault's clock, so nothing of it can be counted")
	ahead.Value.Day = today
	f.takeTotals(ahead)
	days, err := f.c.TenantDays(f.ctx, f.tenant, today, today)
	f.must(err)
	equal(f, "today", days.Tenants[0].Days[today].Incomplete(days.Tenants[0].Tenant, days.Now), false)
}

func totalCorrection(f *fixture) {
	f.add(3)
	_, err := f.correctTotal(3, ptr(int64(1)))
	f.wantKind(err, domain.KindNotFound)
	f.takeTotals(f.total(3, 2), f.total(domain.WholeDay, 2))
	_, err = f.correctTotal(3, ptr(int64(3)))
	f.wantKind(err, domain.KindConflict)
	equal(f, "after a refusal", f.comparison(), "short 1 surplus 0")
	done, err := f.correctTotal(3, ptr(int64(1)))
	f.must(err)
	equal(f, "corrected", fmt.Sprintf("%s %d %d %d", done.Hour, *done.From, *done.To, done.Registered), "03 2 1 1")
	e, detail := f.last()
	equal(f, "line", fmt.Sprint(e.Actor, " ", e.Action, " ", detail), fmt.Sprintf("admin total.correct map[day:%s from:2 hour:03 reason:ticket 7 to:1]", f.day))
	equal(f, "the line that told of it, and one that says what stands", f.takeTotals(f.total(3, 2), f.total(3, 1)).Changed, 0)
	f.refusedTotal(f.total(3, 4), domain.KindConflict, fmt.Sprintf(`"recordings" is 4, and the total of %s 03:00 is 1; if this line is right, an operator corrects what stands (callvault total correct)`, f.day))
	equal(f, "the day's own", f.comparison(), "short 1 surplus 0")
	_, err = f.correctTotal(domain.WholeDay, nil)
	f.must(err)
	e, _ = f.last()
	equal(f, "action", e.Action, catalog.ActionTotalRemove)
	equal(f, "removed", f.comparison(), "short 0 surplus 0")
	equal(f, "its line", f.takeTotals(f.total(domain.WholeDay, 2)).Changed, 0)
	equal(f, "another line", f.takeTotals(f.total(domain.WholeDay, 3)).Changed, 1)
	equal(f, "short again", f.comparison(), "short 2 surplus 0")
}

// totalOfEndedDay is a total that comes after the end of a day of which nothing was ever sent. It
// is kept and compared.
func totalOfEndedDay(f *fixture) {
	f.plan()
	f.pass(4 * 24 * time.Hour)
	f.must(PauseDeletions(f.ctx, f.c, 0))
	f.expire(1)
	equal(f, "taken in", f.takeTotals(f.total(3, 4)).Changed, 1)
	equal(f, "the day", f.comparison(), "short 4 surplus 0")
	old := f.total(3, 1)
	old.Value.Day = f.day.Add(-400)
	equal(f, "of a day long ago", f.takeTotals(old).Changed, 1)
	f.expire(1)
	f.daysOff("the first one only", 0, 1, 0)
}

func surplusDay(f *fixture) {
	f.endpoint("acme")
	f.add(3, 3, 4)
	f.takeTotals(f.total(3, 1), f.total(4, 2))
	equal(f, "one in another hour", f.comparison(), "short 1 surplus 1")
	f.plan()
	f.publish(3)
	f.publish(4)
	f.daysOff("both", 1, 0, 1)
	_, err := f.correctTotal(4, ptr(int64(1)))
	f.must(err)
	f.daysOff("more", 0, 0, 1)
	equal(f, "events: all that is registered is there", f.eventTypes(), "day.completed")
}

// totalRemoved removes the only total of a short day, before and after its tenant was told.
func totalRemoved(f *fixture) {
	f.endpoint("acme")
	f.add(3)
	f.takeTotals(f.total(3, 2))
	f.plan()
	f.publish(3)
	_, err := f.correctTotal(3, nil)
	f.must(err)
	f.pass(grace)
	equal(f, "told, though no total stands", f.tellShort(), 0)
	equal(f, "events", f.eventTypes(), "day.completed")

	f.takeTotals(f.total(3, 3))
	f.pass(grace)
	equal(f, "told", f.tellShort(), 1)
	_, err = f.correctTotal(3, nil)
	f.must(err)
	const complete = "day.completed day.completed day.short"
	equal(f, "events", f.eventTypes(), complete)
	f.add(3)
	f.publishLater(3)
	f.pass(grace)
	equal(f, "told again", f.tellShort(), 0)
	equal(f, "events of a late recording", f.eventTypes(), complete+" hour.rebuilt")
}

// totalAfterFormerProgram compares an hour whose recordings a program registered that does not
// count them.
func totalAfterFormerProgram(f *fixture) {
	f.add(3, 3)
	_, err := f.c.DB().ExecContext(f.ctx, `UPDATE hours SET registered = 0, counted = 0`)
	f.must(err)
	f.add(3)
	f.takeTotals(f.total(3, 3))
	equal(f, "counted again", f.comparison(), "short 0 surplus 0")
}

func totalOfErased(f *fixture) {
	f.add(3)
	_, err := f.c.DB().ExecContext(f.ctx, `INSERT INTO erased_recordings (tenant, day, hour, recordings) VALUES ($1, $2, 3, 2)`, f.tenant, f.day)
	f.must(err)
	f.takeTotals(f.total(3, 3), f.total(domain.WholeDay, 4))
	equal(f, "what was erased counts", f.comparison(), "short 1 surplus 0")
}

// totalsInAnyOrder registers, moves and counts at the same time, and compares the outcome with
// what the rows say.
func totalsInAnyOrder(f *fixture) {
	const writers, steps, hours = 4, 12, 3
	seed := uint64(time.Now().UnixNano())
	f.Logf("seed %d", seed)
	days := []domain.Day{f.day, f.day.Add(-1)}
	var wait sync.WaitGroup
	for w := range writers {
		random := rand.New(rand.NewPCG(seed, uint64(w)))
		wait.Go(func() {
			var mine []string
			for step := range steps {
				at := func() time.Time {
					return days[random.IntN(2)].Start().Add(time.Duration(random.IntN(hours)) * time.Hour)
				}
				var err error
				switch what := random.IntN(4); {
				case what == 0 && len(mine) > 0:
					_, err = f.c.Correct(f.ctx, catalog.Correction{Tenant: f.tenant, ObjectKey: mine[random.IntN(len(mine))], Reason: "r", Timestamp: ptr(at())})
				case what == 1:
					_, err = f.c.Register(f.ctx, f.tenant, catalog.Batch{Totals: []catalog.Line[domain.Total]{
						{Number: 1, Value: domain.Total{Day: days[random.IntN(2)], Hour: random.IntN(hours+1) - 1, Recordings: int64(random.IntN(30))}}}})
				default:
					var batch catalog.Batch
					for i := range 1 + random.IntN(3) {
						key := fmt.Sprintf("acme/%d-%d-%d", w, step, i)
						mine = append(mine, key)
						batch.Recordings = append(batch.Recordings, catalog.Line[domain.Recording]{Number: i + 1,
							Value: domain.Recording{ObjectKey: key, ConversationID: "c", SessionID: "s", MessageID: 1, Type: "t", Timestamp: at()}})
					}
					_, err = f.c.Register(f.ctx, f.tenant, batch)
				}
				if err != nil && !errors.Is(err, domain.ErrConflict) {
					f.Error(err)
				}
			}
		})
	}
	wait.Wait()
	for _, f.day = range days {
		v := f.view()
		short, surplus := int64(0), int64(0)
		all := int64(0)
		for hour := range hours {
			var n int64
			f.must(f.c.DB().QueryRowContext(f.ctx, `SELECT count(*) FROM recordings WHERE tenant = $1 AND day = $2 AND hour = $3`, f.tenant, f.day, hour).Scan(&n))
			equal(f, "registered", v.Totals.RegisteredOf(hour), n)
			all += n
			if t := v.Totals.Hours[hour]; t != nil {
				short, surplus = short+max(*t-n, 0), surplus+max(n-*t, 0)
			}
		}
		if t := v.Totals.Day; t != nil {
			short, surplus = max(short, *t-all), max(surplus, all-*t)
		}
		equal(f, "the day", f.comparison(), fmt.Sprintf("short %d surplus %d", short, surplus))
	}
}

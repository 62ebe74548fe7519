package catalogtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// RunHours proves the life of an hour on the catalogs that open gives, each empty and migrated.
func RunHours(t *testing.T, open func(t *testing.T) *catalog.Catalog) {
	for name, test := range map[string]func(*bench){
		"plan":                        planDay,
		"plan again":                  planAgain,
		"plan of an open day":         planOpenDay,
		"registration before a plan":  registerBeforePlan,
		"registration after a plan":   registerAfterPlan,
		"late rule grows with builds": lateRule,
		"heal":                        heal,
		"claim":                       claims,
		"claims race":                 claimsRace,
		"renew":                       renew,
		"build":                       build,
		"empty build":                 buildEmpty,
		"snapshot":                    snapshot,
		"fencing":                     fencing,
		"superseded":                  superseded,
		"totals":                      totals,
		"failures":                    failures,
		"final failure":               finalFailure,
		"failed rebuild":              failedRebuild,
		"lapses":                      lapses,
		"release":                     release,
		"rebuild":                     rebuild,
		"rebuild one hour":            rebuildHour,
		"dispatch":                    dispatch,
		"dispatch is fair":            dispatchFair,
		"dispatch is traced":          dispatchTraced,
		"outstanding":                 outstanding,
		"unclear commit":              unclearCommit,
		"expiry":                      expiry,
		"expiry meets a build":        expiryMeetsBuild,
		"expiry pauses":               expiryPauses,
		"clock ahead at the start":    clockAtStart,
		"clock of a new catalog":      clockOfNewCatalog,
		"clock stays":                 clockStays,
		"days of a wrong clock":       daysOfWrongClock,
		"too late":                    tooLate,
		"late before the end":         lateBeforeTheEnd,
		"rebuild fails until the end": failsUntilTheEnd,
		"nothing waits past the end":  nothingWaitsPastTheEnd,
		"the end comes nearer":        endComesNearer,
		"reopen":                      reopen,
		"reopen before planning":      reopenUnplanned,
		"catch-up lists":              catchUp,
		"tenants":                     tenants,
		"retention shortened":         retentionShortened,
		"retention raised":            retentionRaised,
		"retention raised later":      retentionRaisedLater,
		"tenant changes meet":         tenantChangesMeet,
		"installation":                installation,
		"sweep superseded":            sweepSuperseded,
		"sweep unfinished":            sweepUnfinished,
		"sweep meets commit":          sweepMeetsCommit,
		"sweep pauses":                sweepPauses,
		"spared":                      spared,
		"deletion refused":            deletionRefused,
		"deleted twice":               deletedTwice,
		"gone":                        gone,
		"rechecks":                    rechecks,
		"source back":                 sourceBack,
		"unchecked":                   unchecked,
		"store is remembered":         storeRemembered,
		"everything at once":          everythingAtOnce,
	} {
		t.Run(name, func(t *testing.T) {
			c := open(t)
			b := &bench{T: t, c: c, ctx: t.Context(), tenant: "acme"}
			b.newTenant("acme", 3)
			b.day = domain.DayOf(b.now()).Add(-1)
			b.pass(0) // somebody has looked at the clock
			test(b)
		})
	}
}

// bench is one test's catalog with a tenant and its yesterday.
type bench struct {
	*testing.T
	c       *catalog.Catalog
	ctx     context.Context
	tenant  string
	day     domain.Day
	shifted time.Duration
	serial  int
	made    int // of days by issue
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) wantKind(err error, kind domain.Kind) {
	b.Helper()
	if domain.KindOf(err) != kind {
		b.Fatalf("got error %v of kind %q, want kind %q", err, domain.KindOf(err), kind)
	}
}

// equal fails unless got is want.
func equal[T comparable](b *bench, what string, got, want T) {
	b.Helper()
	if got != want {
		b.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func (b *bench) newTenant(id string, retentionDays int) {
	b.Helper()
	_, err := b.c.CreateTenant(b.ctx, domain.Tenant{ID: id, Name: id, Recordings: true, RetentionDays: retentionDays,
		DayLimit: domain.DefaultDayLimit, DownloadLimit: domain.DefaultDownloadLimit})
	b.must(err)
}

func (b *bench) now() time.Time {
	b.Helper()
	at, err := b.c.Now(b.ctx)
	b.must(err)
	return at
}

// pass moves the catalog's clock forward by d.
func (b *bench) pass(d time.Duration) {
	b.Helper()
	b.shifted += d
	b.must(b.c.ShiftClock(b.ctx, b.shifted))
}

func (b *bench) key(hour int) domain.HourKey {
	return domain.HourKey{Tenant: b.tenant, Day: b.day, Hour: hour}
}

// recording makes a recording of an hour that no other has.
func (b *bench) recording(hour int, session string) domain.Recording {
	b.serial++
	size := int64(1000)
	return domain.Recording{ObjectKey: fmt.Sprintf("%s/%s/%d.opus", b.tenant, b.day, b.serial), ConversationID: "c-" + session,
		SessionID: session, MessageID: int64(b.serial), Type: "agent_tts", Timestamp: b.day.Start().Add(time.Duration(hour) * time.Hour), Size: &size}
}

// add registers one new recording in each of the hours.
func (b *bench) add(hours ...int) {
	b.Helper()
	recs := make([]domain.Recording, 0, len(hours))
	for _, h := range hours {
		recs = append(recs, b.recording(h, "s1"))
	}
	_, err := b.register(recs)
	b.must(err)
}

// register takes recordings in and says how many came too late.
func (b *bench) register(recs []domain.Recording) (tooLate int, err error) {
	var batch catalog.Batch
	for i, r := range recs {
		batch.Recordings = append(batch.Recordings, catalog.Line[domain.Recording]{Number: i + 1, Value: r})
	}
	n, err := b.c.Register(b.ctx, b.tenant, batch)
	return n.TooLate, err
}

func (b *bench) plan() catalog.PlanResult {
	b.Helper()
	p, err := b.c.PlanDay(b.ctx, b.tenant, b.day)
	b.must(err)
	return p
}

func (b *bench) view() catalog.DayView {
	b.Helper()
	v, err := b.c.Day(b.ctx, b.tenant, b.day)
	b.must(err)
	return v
}

func (b *bench) hour(hour int) catalog.HourView {
	b.Helper()
	return b.view().Hours[hour]
}

func (b *bench) claim(hour int) catalog.Claim {
	b.Helper()
	claim, ok, err := b.c.Claim(b.ctx, b.key(hour), "w1")
	b.must(err)
	if !ok {
		b.Fatalf("hour %d could not be claimed", hour)
	}
	return claim
}

func (b *bench) noClaim(hour int) {
	b.Helper()
	_, ok, err := b.c.Claim(b.ctx, b.key(hour), "w1")
	b.must(err)
	if ok {
		b.Fatalf("hour %d was claimed", hour)
	}
}

// start claims an hour, reads its input and makes the archive's row.
func (b *bench) start(hour int) (catalog.Claim, catalog.BuildResult) {
	b.Helper()
	claim := b.claim(hour)
	in, err := b.c.BuildInput(b.ctx, claim)
	b.must(err)
	b.must(b.c.StartArchive(b.ctx, claim))
	return claim, builtOf(in)
}

func builtOf(in catalog.BuildInput) catalog.BuildResult {
	r := catalog.BuildResult{Wanted: in.Wanted, Files: len(in.Recordings), Size: int64(len(in.Recordings)) * 1000, ManifestSHA256: "ab", ETag: "e", Took: time.Second}
	seen := map[domain.Session]bool{}
	for _, rec := range in.Recordings {
		s := domain.Session{ExternalConversationID: rec.ExternalConversationID, SessionID: rec.SessionID}
		if !seen[s] {
			r.Sessions = append(r.Sessions, s)
		}
		seen[s] = true
	}
	return r
}

// publish builds a due hour to the end.
func (b *bench) publish(hour int) catalog.Claim {
	b.Helper()
	claim, built := b.start(hour)
	b.must(b.c.Commit(b.ctx, claim, built))
	return claim
}

// doomed lists the object keys whose bytes are to be deleted now.
func (b *bench) doomed() map[string]catalog.DoomedArchive {
	b.Helper()
	list, err := b.c.Doomed(b.ctx, 1000)
	b.must(err)
	out := map[string]catalog.DoomedArchive{}
	for _, d := range list {
		out[d.ObjectKey] = d
	}
	return out
}

func (b *bench) isDoomed(objectKey string) bool {
	b.Helper()
	_, ok := b.doomed()[objectKey]
	return ok
}

func isLost(err error) bool { return errors.Is(err, domain.ErrLost) }

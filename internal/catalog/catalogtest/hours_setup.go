package catalogtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// RunHours tests the life of an hour. open gives an empty, migrated catalog.
func RunHours(t *testing.T, open func(t *testing.T) *catalog.Catalog) {
	for name, test := range map[string]func(*fixture){
		"plan":                        planDay,
		"plan again":                  planAgain,
		"plan of an open day":         planOpenDay,
		"registration before a plan":  registerBeforePlan,
		"registration after a plan":   registerAfterPlan,
		"late rule grows with builds": lateRule,
		"repair":                      repair,
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
		"expiry races a build":        expiryRacesBuild,
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
		"seal of a day":               sealOfDay,
		"seal of an empty day":        sealOfEmptyDay,
		"reopen before planning":      reopenUnplanned,
		"catch-up lists":              catchUp,
		"tenants":                     tenants,
		"retention shortened":         retentionShortened,
		"retention raised":            retentionRaised,
		"retention raised later":      retentionRaisedLater,
		"tenant changes race":         tenantChangesRace,
		"installation":                installation,
		"sweep superseded":            sweepSuperseded,
		"sweep unfinished":            sweepUnfinished,
		"sweep races a commit":        sweepRacesCommit,
		"sweep pauses":                sweepPauses,
		"object kept":                 objectKept,
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
			f := &fixture{T: t, c: c, ctx: t.Context(), tenant: "acme"}
			f.newTenant("acme", 3)
			f.day = domain.DayOf(f.now()).Add(-1)
			f.pass(0) // the clock is checked
			test(f)
		})
	}
}

// fixture is one test's catalog with a tenant and its yesterday.
type fixture struct {
	*testing.T
	c       *catalog.Catalog
	ctx     context.Context
	tenant  string
	day     domain.Day
	shifted time.Duration
	serial  int
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) wantKind(err error, kind domain.Kind) {
	f.Helper()
	if domain.KindOf(err) != kind {
		f.Fatalf("got error %v of kind %q, want kind %q", err, domain.KindOf(err), kind)
	}
}

// equal fails unless got is want.
func equal[T comparable](f *fixture, what string, got, want T) {
	f.Helper()
	if got != want {
		f.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// fixtureActor is the actor of the fixture's audit lines, which the tests of lines leave out.
const fixtureActor = "fixture"

func (f *fixture) newTenant(id string, retentionDays int) {
	f.Helper()
	f.newTenantNamed(id, id, retentionDays)
}

func (f *fixture) newTenantNamed(id, name string, retentionDays int) {
	f.Helper()
	t := domain.NewTenant(id, retentionDays)
	t.Name, t.Recordings = name, true
	_, err := f.c.CreateTenant(f.ctx, t, audit.Origin{Actor: fixtureActor})
	f.must(err)
}

func (f *fixture) now() time.Time {
	f.Helper()
	at, err := f.c.Now(f.ctx)
	f.must(err)
	return at
}

// pass moves the catalog's clock forward by d.
func (f *fixture) pass(d time.Duration) {
	f.Helper()
	f.shifted += d
	f.must(ShiftClock(f.ctx, f.c, f.shifted))
}

func (f *fixture) key(hour int) domain.HourKey {
	return domain.HourKey{Tenant: f.tenant, Day: f.day, Hour: hour}
}

// recording gives a new recording of an hour.
func (f *fixture) recording(hour int, session string) domain.Recording {
	f.serial++
	size := int64(1000)
	return domain.Recording{ObjectKey: fmt.Sprintf("%s/%s/%d.opus", f.tenant, f.day, f.serial), ConversationID: "c-" + session,
		SessionID: session, MessageID: int64(f.serial), Type: "agent_tts", Timestamp: f.day.Start().Add(time.Duration(hour) * time.Hour), Size: &size}
}

// add registers one new recording in each of these hours.
func (f *fixture) add(hours ...int) {
	f.Helper()
	recs := make([]domain.Recording, 0, len(hours))
	for _, h := range hours {
		recs = append(recs, f.recording(h, "s1"))
	}
	_, err := f.register(recs)
	f.must(err)
}

// register takes recordings in and says how many came too late.
func (f *fixture) register(recs []domain.Recording) (tooLate int, err error) {
	var batch catalog.Batch
	for i, r := range recs {
		batch.Recordings = append(batch.Recordings, catalog.Line[domain.Recording]{Number: i + 1, Value: r})
	}
	n, err := f.c.Register(f.ctx, f.tenant, batch)
	return n.TooLate, err
}

func (f *fixture) plan() catalog.PlanResult {
	f.Helper()
	p, err := f.c.PlanDay(f.ctx, f.tenant, f.day)
	f.must(err)
	return p
}

func (f *fixture) view() catalog.DayView {
	f.Helper()
	v, err := f.c.Day(f.ctx, f.tenant, f.day)
	f.must(err)
	return v
}

func (f *fixture) hour(hour int) catalog.HourView {
	f.Helper()
	return f.view().Hours[hour]
}

func (f *fixture) claim(hour int) catalog.Claim {
	f.Helper()
	claim, ok, err := f.c.Claim(f.ctx, f.key(hour), "w1")
	f.must(err)
	if !ok {
		f.Fatalf("hour %d could not be claimed", hour)
	}
	return claim
}

func (f *fixture) noClaim(hour int) {
	f.Helper()
	_, ok, err := f.c.Claim(f.ctx, f.key(hour), "w1")
	f.must(err)
	if ok {
		f.Fatalf("hour %d was claimed", hour)
	}
}

// start claims an hour, reads its input and inserts the archive's row.
func (f *fixture) start(hour int) (catalog.Claim, catalog.BuildResult) {
	f.Helper()
	claim := f.claim(hour)
	in, err := f.c.BuildInput(f.ctx, claim)
	f.must(err)
	f.must(f.c.StartArchive(f.ctx, claim))
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

// publish builds and commits a due hour.
func (f *fixture) publish(hour int) catalog.Claim {
	f.Helper()
	claim, built := f.start(hour)
	f.must(f.c.Commit(f.ctx, claim, built))
	return claim
}

// doomed lists the archives whose bytes must be deleted now, by key.
func (f *fixture) doomed() map[string]catalog.DoomedArchive {
	f.Helper()
	list, err := f.c.Doomed(f.ctx, 1000)
	f.must(err)
	out := map[string]catalog.DoomedArchive{}
	for _, d := range list {
		out[d.ObjectKey] = d
	}
	return out
}

func (f *fixture) isDoomed(objectKey string) bool {
	f.Helper()
	_, ok := f.doomed()[objectKey]
	return ok
}

// deleted reports that the bytes of an archive were deleted, as the sweeper does.
func (f *fixture) deleted(objectKey string) {
	f.Helper()
	f.must(f.tryDeleted(f.doomed()[objectKey], objectKey))
}

func (f *fixture) tryDeleted(d catalog.DoomedArchive, objectKey string) error {
	if !d.Unfinished && !d.Deleting && d.ObjectKey != "" {
		if _, err := f.c.StartDeletion(f.ctx, d); err != nil {
			return err
		}
	}
	return f.c.Deleted(f.ctx, objectKey)
}

func isLost(err error) bool { return errors.Is(err, domain.ErrLost) }

package catalogtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// RunWebhooks proves what tenants are told and how it is handed out for sending, on the catalogs
// that open gives, each empty and migrated.
func RunWebhooks(t *testing.T, open func(t *testing.T) *catalog.Catalog) {
	each(t, open, map[string]func(*bench){
		"day completed":        dayCompleted,
		"hour emptied":         hourEmptied,
		"quiet day":            quietDayCompleted,
		"day failed":           dayFailed,
		"failed by hand":       dayFailedAgain,
		"first archive, late":  firstArchiveLate,
		"reopened":             reopenedCompleted,
		"reopened in time":     reopenedInTime,
		"object gone":          goneRebuilt,
		"nobody asked":         nobodyAsked,
		"only what was asked":  askedTypes,
		"hours at once":        hoursAtOnce,
		"commit at once":       commitAtOnce,
		"refused commit":       refusedCommit,
		"endpoints":            endpointsKept,
		"endpoint bounds":      endpointBounds,
		"secrets":              secretsRotate,
		"claim":                claimDelivery,
		"claims race":          claimDeliveriesRace,
		"lapsed claim":         lapsedDelivery,
		"fair":                 fairDeliveries,
		"batched":              batchedDeliveries,
		"retries":              retriedDelivery,
		"gone for good":        goneEndpoint,
		"disabled":             disabledEndpoint,
		"replay":               replayed,
		"test":                 testedEndpoint,
		"log":                  deliveryLog,
		"sweep of old events":  sweptEvents,
		"attempts are bounded": attemptsBounded,
		"clock was ahead":      mendedDeliveries,
		"returned":             returnedDelivery,
		"standing":             standingWebhooks,
	})
}

var anyone = catalog.Origin{Actor: "admin", Remote: "192.0.2.1", Request: "r1"}

// endpoint adds an endpoint that asks for the given events, or all.
func (b *bench) endpoint(tenant string, events ...string) catalog.Endpoint {
	b.Helper()
	if len(events) == 0 {
		events = domain.EventTypes()
	}
	e, err := b.c.CreateEndpoint(b.ctx, catalog.Endpoint{ID: catalog.NewEndpointID(), Tenant: tenant, URL: "https://hooks.example.com/" + tenant,
		Events: events, Secret: catalog.Sealed{Data: []byte("secret")}}, anyone)
	b.must(err)
	return e
}

func (b *bench) deliveries(q catalog.DeliveryQuery) []catalog.Delivery {
	b.Helper()
	if q.Tenant == "" {
		q.Tenant = b.tenant
	}
	if q.Limit == 0 {
		q.Limit = 1000
	}
	list, err := b.c.Deliveries(b.ctx, q)
	b.must(err)
	return list
}

// told gives the types of all deliveries, sorted.
func (b *bench) told() string {
	b.Helper()
	var types []string
	for _, d := range b.deliveries(catalog.DeliveryQuery{}) {
		types = append(types, d.Type)
	}
	slices.Sort(types)
	return strings.Join(types, " ")
}

// data gives what the only event of a type tells.
func (b *bench) data(eventType string) map[string]any {
	b.Helper()
	list := b.deliveries(catalog.DeliveryQuery{Type: eventType})
	if len(list) != 1 {
		b.Fatalf("%d deliveries of %s, want 1", len(list), eventType)
	}
	story, err := b.c.DeliveryHistory(b.ctx, b.tenant, list[0].ID)
	b.must(err)
	var e struct {
		Type, Timestamp string
		Data            map[string]any
	}
	b.must(json.Unmarshal([]byte(story.Payload), &e))
	equal(b, "type", e.Type, eventType)
	if _, err := time.Parse("2006-01-02T15:04:05Z", e.Timestamp); err != nil {
		b.Error(err)
	}
	return e.Data
}

func dayCompleted(b *bench) {
	b.endpoint("acme")
	b.add(3, 3, 4)
	b.plan()
	b.publish(3)
	equal(b, "told while an hour is pending", b.told(), "")
	b.publish(4)
	equal(b, "told", b.told(), "day.completed")
	d := b.data("day.completed")
	v := b.view()
	equal(b, "data", fmt.Sprint(d), fmt.Sprint(map[string]any{"tenant": "acme", "utcDay": string(b.day), "totalSessions": 1.0, "totalFiles": 3.0, "totalSizeBytes": 3000.0,
		"generatedAt": v.Completed.Format(time.RFC3339[:19] + "Z"), "retentionDays": 3.0, "expiresAt": v.RetentionEnd.Format(time.RFC3339[:19] + "Z"),
		"availableHours": 2.0, "noDataHours": 22.0}))
	b.plan()
	equal(b, "told after another plan", b.told(), "day.completed")
	_, err := b.c.Rebuild(b.ctx, "acme", b.day, 3, true)
	b.must(err)
	b.publish(3)
	equal(b, "told after a rebuild", b.told(), "day.completed hour.rebuilt")
	h := b.data("hour.rebuilt")
	equal(b, "data", fmt.Sprint(h), fmt.Sprint(map[string]any{"tenant": "acme", "utcDay": string(b.day), "hour": "03", "revision": 2.0, "sessionCount": 1.0,
		"fileCount": 2.0, "sizeBytes": 2000.0, "missingFileCount": 0.0, "manifestSha256": "ab"}))
}

// hourEmptied by a correction: whoever fetched it is told.
func hourEmptied(b *bench) {
	b.endpoint("acme", domain.EventHourRebuilt)
	rec := b.recording(3, "s1")
	b.takeRecordings(rec)
	b.plan()
	b.publish(3)
	b.correct(rec, func(k *catalog.Correction) { k.Timestamp = ptr(rec.Timestamp.Add(time.Hour)) })
	b.pass(10 * time.Minute)
	b.publish(4)
	b.must(b.c.CommitEmpty(b.ctx, b.claim(3), b.stories(3).Wanted))
	equal(b, "told", b.told(), "hour.rebuilt hour.rebuilt")
	equal(b, "hours, files", words(b.hour(3).State, b.hour(4).State, b.view().Files), "no_data available 1")
}

func quietDayCompleted(b *bench) {
	b.endpoint("acme")
	b.plan()
	equal(b, "told", b.told(), "day.completed")
	equal(b, "hours without data", b.data("day.completed")["noDataHours"], any(24.0))
}

// fails uses an hour's attempts up.
func (b *bench) fails(hour int) {
	b.Helper()
	b.must(b.c.Fail(b.ctx, b.claim(hour), catalog.Failure{Kind: domain.KindStoreFault, Message: "full", Final: true}))
}

func dayFailed(b *bench) {
	b.endpoint("acme")
	b.add(3, 4, 5)
	b.plan()
	b.publish(3)
	b.fails(4)
	equal(b, "told while an hour is pending", b.told(), "")
	b.fails(5)
	equal(b, "told", b.told(), "day.failed")
	equal(b, "hours", fmt.Sprint(b.data("day.failed")["failedHours"]), "[04 05]")
	b.pass(2 * time.Hour) // tried again by itself
	b.fails(4)
	equal(b, "told of the same hour again", b.told(), "day.failed")
	b.pass(2 * time.Hour)
	b.publish(4)
	equal(b, "told of the first that came", b.told(), "day.failed hour.rebuilt")
	b.publish(5)
	equal(b, "told of the second", b.told(), "day.completed day.failed hour.rebuilt hour.rebuilt")
}

func dayFailedAgain(b *bench) {
	b.endpoint("acme", domain.EventDayFailed)
	b.add(3, 4)
	b.plan()
	b.publish(3)
	b.fails(4)
	_, err := b.c.Rebuild(b.ctx, "acme", b.day, 4, false) // by hand: it begins afresh
	b.must(err)
	b.fails(4)
	equal(b, "told", b.told(), "day.failed day.failed")
	b.add(7)
	b.pass(time.Hour)
	b.publish(4)
	b.fails(7)
	equal(b, "told of another hour", b.told(), "day.failed day.failed day.failed")
	ids := map[string]bool{}
	for _, d := range b.deliveries(catalog.DeliveryQuery{}) {
		ids[d.Event] = true
	}
	equal(b, "event ids", len(ids), 3)
}

func firstArchiveLate(b *bench) {
	b.endpoint("acme")
	b.add(3)
	b.plan()
	b.publish(3)
	b.add(9)
	b.pass(time.Hour)
	b.publish(9)
	equal(b, "told", b.told(), "day.completed hour.rebuilt")
	equal(b, "revision", b.data("hour.rebuilt")["revision"], any(1.0))
}

func reopenedCompleted(b *bench) {
	b.endpoint("acme", domain.EventDayCompleted)
	b.add(3)
	b.plan()
	b.publish(3)
	b.pass(5 * 24 * time.Hour)
	_, err := b.c.ExpireDays(b.ctx, 10)
	b.must(err)
	b.must(b.c.Reopen(b.ctx, "acme", b.day))
	equal(b, "told before the day is whole again", b.told(), "day.completed")
	b.publish(3)
	equal(b, "told", b.told(), "day.completed day.completed")
}

// A day that never ended is as complete after its reopening as before.
func reopenedInTime(b *bench) {
	b.endpoint("acme")
	b.add(3)
	b.plan()
	b.publish(3)
	b.must(b.c.Reopen(b.ctx, "acme", b.day))
	equal(b, "told", b.told(), "day.completed")
}

func goneRebuilt(b *bench) {
	b.endpoint("acme")
	b.add(3)
	b.plan()
	claim := b.publish(3)
	hit, err := b.c.Gone(b.ctx, catalog.ServedArchive{HourKey: claim.HourKey, ObjectKey: claim.ObjectKey(), Size: 1000})
	b.must(err)
	equal(b, "gone", hit, true)
	b.publish(3)
	equal(b, "told", b.told(), "day.completed hour.rebuilt")
}

func nobodyAsked(b *bench) {
	b.newTenant("other", 3)
	b.endpoint("other")
	off := false
	e := b.endpoint("acme")
	_, err := b.c.SetEndpoint(b.ctx, "acme", e.ID, catalog.EndpointChange{Enabled: &off}, anyone)
	b.must(err)
	b.add(3)
	b.plan()
	b.publish(3)
	equal(b, "told", b.told(), "")
	equal(b, "told to another", len(b.deliveries(catalog.DeliveryQuery{Tenant: "other"})), 0)
	n, err := b.c.SweepWebhooks(b.ctx, -time.Hour, 10)
	b.must(err)
	equal(b, "events", n, 0)
}

func askedTypes(b *bench) {
	one, two := b.endpoint("acme", domain.EventHourRebuilt), b.endpoint("acme", domain.EventDayCompleted, domain.EventHourRebuilt)
	b.add(3)
	b.plan()
	b.publish(3)
	_, err := b.c.Rebuild(b.ctx, "acme", b.day, 3, true)
	b.must(err)
	b.publish(3)
	equal(b, "to one", len(b.deliveries(catalog.DeliveryQuery{Endpoint: one.ID})), 1)
	equal(b, "to two", len(b.deliveries(catalog.DeliveryQuery{Endpoint: two.ID})), 2)
	events := map[string]bool{}
	for _, d := range b.deliveries(catalog.DeliveryQuery{Type: domain.EventHourRebuilt}) {
		events[d.Event] = true
	}
	equal(b, "ids of one cause", len(events), 1)
}

// hoursAtOnce lets all hours of a day end at once: the day is complete once.
func hoursAtOnce(b *bench) {
	b.endpoint("acme")
	var hours []int
	for h := range 24 {
		hours = append(hours, h)
	}
	b.add(hours...)
	b.plan()
	var group sync.WaitGroup
	for h := range 24 {
		claim, built := b.start(h)
		group.Go(func() {
			if err := b.c.Commit(b.ctx, claim, built); err != nil {
				b.Error(err)
			}
		})
	}
	group.Wait()
	equal(b, "told", b.told(), "day.completed")
	equal(b, "files", b.data("day.completed")["totalFiles"], any(24.0))
}

// commitAtOnce repeats one commit, as after unclear answers: it counts once.
func commitAtOnce(b *bench) {
	b.endpoint("acme")
	b.add(3)
	b.plan()
	b.publish(3)
	_, err := b.c.Rebuild(b.ctx, "acme", b.day, 3, true)
	b.must(err)
	claim, built := b.start(3)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() { _ = b.c.Commit(b.ctx, claim, built) }) // all but one are lost
	}
	group.Wait()
	equal(b, "told", b.told(), "day.completed hour.rebuilt")
}

// refusedCommit commits what is no longer its own: nothing is told.
func refusedCommit(b *bench) {
	b.endpoint("acme")
	b.add(3)
	b.plan()
	claim, built := b.start(3)
	b.must(b.c.Release(b.ctx, claim))
	if err := b.c.Commit(b.ctx, claim, built); !isLost(err) {
		b.Fatal(err)
	}
	equal(b, "told", b.told(), "")
}

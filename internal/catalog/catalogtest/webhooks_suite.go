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
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/domain"
)

// RunWebhooks tests events and their deliveries. open gives an empty, migrated catalog.
func RunWebhooks(t *testing.T, open func(t *testing.T) *catalog.Catalog) {
	each(t, open, map[string]func(*fixture){
		"day completed":        dayCompleted,
		"hour emptied":         hourEmptied,
		"empty day":            emptyDayCompleted,
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
		"clock was ahead":      repairedDeliveries,
		"returned":             returnedDelivery,
		"backlog":              webhooksBacklog,
	})
}

var anyone = audit.Origin{Actor: "admin", Remote: "192.0.2.1", Request: "r1"}

// endpoint adds an endpoint for the given events, or for all.
func (f *fixture) endpoint(tenant string, events ...string) outbox.Endpoint {
	f.Helper()
	if len(events) == 0 {
		events = domain.EventTypes()
	}
	e, err := f.c.CreateEndpoint(f.ctx, outbox.Endpoint{ID: outbox.NewEndpointID(), Tenant: tenant, URL: "https://hooks.example.com/" + tenant,
		Events: events, Secret: outbox.Sealed{Data: []byte("secret")}}, anyone)
	f.must(err)
	return e
}

func (f *fixture) deliveries(q outbox.DeliveryQuery) []outbox.Delivery {
	f.Helper()
	if q.Tenant == "" {
		q.Tenant = f.tenant
	}
	if q.Limit == 0 {
		q.Limit = 1000
	}
	list, err := f.c.Deliveries(f.ctx, q)
	f.must(err)
	return list
}

// eventTypes gives the types of all deliveries, sorted.
func (f *fixture) eventTypes() string {
	f.Helper()
	var types []string
	for _, d := range f.deliveries(outbox.DeliveryQuery{}) {
		types = append(types, d.Type)
	}
	slices.Sort(types)
	return strings.Join(types, " ")
}

// data gives the data of the only event of a type.
func (f *fixture) data(eventType string) map[string]any {
	f.Helper()
	list := f.deliveries(outbox.DeliveryQuery{Type: eventType})
	if len(list) != 1 {
		f.Fatalf("%d deliveries of %s, want 1", len(list), eventType)
	}
	story, err := f.c.DeliveryHistory(f.ctx, f.tenant, list[0].ID)
	f.must(err)
	var e struct {
		Type, Timestamp string
		Data            map[string]any
	}
	f.must(json.Unmarshal([]byte(story.Payload), &e))
	equal(f, "type", e.Type, eventType)
	if _, err := time.Parse("2006-01-02T15:04:05Z", e.Timestamp); err != nil {
		f.Error(err)
	}
	return e.Data
}

func dayCompleted(f *fixture) {
	f.endpoint("acme")
	f.add(3, 3, 4)
	f.plan()
	f.publish(3)
	equal(f, "events while an hour is pending", f.eventTypes(), "")
	f.publish(4)
	equal(f, "events", f.eventTypes(), "day.completed")
	d := f.data("day.completed")
	v := f.view()
	equal(f, "data", fmt.Sprint(d), fmt.Sprint(map[string]any{"tenant": "acme", "utcDay": string(f.day), "totalSessions": 1.0, "totalFiles": 3.0, "totalSizeBytes": 3000.0,
		"generatedAt": v.Settled.Format(time.RFC3339[:19] + "Z"), "retentionDays": 3.0, "expiresAt": v.RetentionEnd.Format(time.RFC3339[:19] + "Z"),
		"availableHours": 2.0, "noDataHours": 22.0}))
	f.plan()
	equal(f, "events after another plan", f.eventTypes(), "day.completed")
	_, err := f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: "acme", Day: f.day, Hour: 3, Force: true})
	f.must(err)
	f.publish(3)
	equal(f, "events after a rebuild", f.eventTypes(), "day.completed hour.rebuilt")
	h := f.data("hour.rebuilt")
	equal(f, "data", fmt.Sprint(h), fmt.Sprint(map[string]any{"tenant": "acme", "utcDay": string(f.day), "hour": "03", "revision": 2.0, "sessionCount": 1.0,
		"fileCount": 2.0, "sizeBytes": 2000.0, "missingFileCount": 0.0, "manifestSha256": "ab"}))
}

// hourEmptied checks that a correction that empties an hour creates an event.
func hourEmptied(f *fixture) {
	f.endpoint("acme", domain.EventHourRebuilt)
	rec := f.recording(3, "s1")
	f.takeRecordings(rec)
	f.plan()
	f.publish(3)
	f.correct(rec, func(k *catalog.Correction) { k.Timestamp = ptr(rec.Timestamp.Add(time.Hour)) })
	f.pass(10 * time.Minute)
	f.publish(4)
	f.must(f.c.CommitEmpty(f.ctx, f.claim(3), f.hourHistory(3).Wanted))
	equal(f, "events", f.eventTypes(), "hour.rebuilt hour.rebuilt")
	equal(f, "hours, files", words(f.hour(3).State, f.hour(4).State, f.view().Files), "no_data available 1")
}

func emptyDayCompleted(f *fixture) {
	f.endpoint("acme")
	f.plan()
	equal(f, "events", f.eventTypes(), "day.completed")
	equal(f, "hours without data", f.data("day.completed")["noDataHours"], any(24.0))
}

// fails uses up an hour's attempts.
func (f *fixture) fails(hour int) {
	f.Helper()
	f.must(f.c.Fail(f.ctx, f.claim(hour), catalog.Failure{Kind: domain.KindStoreFault, Message: "full", Final: true}))
}

func dayFailed(f *fixture) {
	f.endpoint("acme")
	f.add(3, 4, 5)
	f.plan()
	f.publish(3)
	f.fails(4)
	equal(f, "events while an hour is pending", f.eventTypes(), "")
	f.fails(5)
	equal(f, "events", f.eventTypes(), "day.failed")
	equal(f, "hours", fmt.Sprint(f.data("day.failed")["failedHours"]), "[04 05]")
	f.pass(2 * time.Hour) // tried again after the wait
	f.fails(4)
	equal(f, "events of the same hour again", f.eventTypes(), "day.failed")
	f.pass(2 * time.Hour)
	f.publish(4)
	equal(f, "events of the first that came", f.eventTypes(), "day.failed hour.rebuilt")
	f.publish(5)
	equal(f, "events of the second", f.eventTypes(), "day.completed day.failed hour.rebuilt hour.rebuilt")
}

func dayFailedAgain(f *fixture) {
	f.endpoint("acme", domain.EventDayFailed)
	f.add(3, 4)
	f.plan()
	f.publish(3)
	f.fails(4)
	_, err := f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: "acme", Day: f.day, Hour: 4}) // by an operator: attempts are counted from zero
	f.must(err)
	f.fails(4)
	equal(f, "events", f.eventTypes(), "day.failed day.failed")
	f.add(7)
	f.pass(time.Hour)
	f.publish(4)
	f.fails(7)
	equal(f, "events of another hour", f.eventTypes(), "day.failed day.failed day.failed")
	ids := map[string]bool{}
	for _, d := range f.deliveries(outbox.DeliveryQuery{}) {
		ids[d.Event] = true
	}
	equal(f, "event ids", len(ids), 3)
}

func firstArchiveLate(f *fixture) {
	f.endpoint("acme")
	f.add(3)
	f.plan()
	f.publish(3)
	f.add(9)
	f.pass(time.Hour)
	f.publish(9)
	equal(f, "events", f.eventTypes(), "day.completed hour.rebuilt")
	equal(f, "revision", f.data("hour.rebuilt")["revision"], any(1.0))
}

func reopenedCompleted(f *fixture) {
	f.endpoint("acme", domain.EventDayCompleted)
	f.add(3)
	f.plan()
	f.publish(3)
	f.pass(5 * 24 * time.Hour)
	_, err := f.c.ExpireDays(f.ctx, 10)
	f.must(err)
	f.must(f.c.Reopen(f.ctx, "acme", f.day, audit.Origin{}))
	equal(f, "events before the day is whole again", f.eventTypes(), "day.completed")
	f.publish(3)
	equal(f, "events", f.eventTypes(), "day.completed day.completed")
}

// Reopening a day that has not ended creates no event.
func reopenedInTime(f *fixture) {
	f.endpoint("acme")
	f.add(3)
	f.plan()
	f.publish(3)
	f.must(f.c.Reopen(f.ctx, "acme", f.day, audit.Origin{}))
	equal(f, "events", f.eventTypes(), "day.completed")
}

func goneRebuilt(f *fixture) {
	f.endpoint("acme")
	f.add(3)
	f.plan()
	claim := f.publish(3)
	hit, err := f.c.Gone(f.ctx, catalog.ServedArchive{HourKey: claim.HourKey, ObjectKey: claim.ObjectKey(), Size: 1000})
	f.must(err)
	equal(f, "gone", hit, true)
	f.publish(3)
	equal(f, "events", f.eventTypes(), "day.completed hour.rebuilt")
}

func nobodyAsked(f *fixture) {
	f.newTenant("other", 3)
	f.endpoint("other")
	off := false
	e := f.endpoint("acme")
	_, err := f.c.SetEndpoint(f.ctx, "acme", e.ID, outbox.EndpointChange{Enabled: &off}, anyone)
	f.must(err)
	f.add(3)
	f.plan()
	f.publish(3)
	equal(f, "events", f.eventTypes(), "")
	equal(f, "deliveries to another", len(f.deliveries(outbox.DeliveryQuery{Tenant: "other"})), 0)
	n, err := f.c.SweepWebhooks(f.ctx, -time.Hour, 10)
	f.must(err)
	equal(f, "events", n, 0)
}

func askedTypes(f *fixture) {
	one, two := f.endpoint("acme", domain.EventHourRebuilt), f.endpoint("acme", domain.EventDayCompleted, domain.EventHourRebuilt)
	f.add(3)
	f.plan()
	f.publish(3)
	_, err := f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: "acme", Day: f.day, Hour: 3, Force: true})
	f.must(err)
	f.publish(3)
	equal(f, "to one", len(f.deliveries(outbox.DeliveryQuery{Endpoint: one.ID})), 1)
	equal(f, "to two", len(f.deliveries(outbox.DeliveryQuery{Endpoint: two.ID})), 2)
	events := map[string]bool{}
	for _, d := range f.deliveries(outbox.DeliveryQuery{Type: domain.EventHourRebuilt}) {
		events[d.Event] = true
	}
	equal(f, "ids of one cause", len(events), 1)
}

// hoursAtOnce commits all hours of a day at the same time: the day's event is created once.
func hoursAtOnce(f *fixture) {
	f.endpoint("acme")
	var hours []int
	for h := range 24 {
		hours = append(hours, h)
	}
	f.add(hours...)
	f.plan()
	var group sync.WaitGroup
	for h := range 24 {
		claim, built := f.start(h)
		group.Go(func() {
			if err := f.c.Commit(f.ctx, claim, built); err != nil {
				f.Error(err)
			}
		})
	}
	group.Wait()
	equal(f, "events", f.eventTypes(), "day.completed")
	equal(f, "files", f.data("day.completed")["totalFiles"], any(24.0))
}

// commitAtOnce repeats one commit at the same time, as after unclear answers: it counts once.
func commitAtOnce(f *fixture) {
	f.endpoint("acme")
	f.add(3)
	f.plan()
	f.publish(3)
	_, err := f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: "acme", Day: f.day, Hour: 3, Force: true})
	f.must(err)
	claim, built := f.start(3)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() { _ = f.c.Commit(f.ctx, claim, built) }) // all but one are lost
	}
	group.Wait()
	equal(f, "events", f.eventTypes(), "day.completed hour.rebuilt")
}

// refusedCommit commits with a lost claim: no event is created.
func refusedCommit(f *fixture) {
	f.endpoint("acme")
	f.add(3)
	f.plan()
	claim, built := f.start(3)
	f.must(f.c.Release(f.ctx, claim))
	if err := f.c.Commit(f.ctx, claim, built); !isLost(err) {
		f.Fatal(err)
	}
	equal(f, "events", f.eventTypes(), "")
}

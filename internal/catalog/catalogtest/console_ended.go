package catalogtest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// calendarEnds ends a day with hours in every state: day and calendar keep what they were, until
// the day is reopened.
func calendarEnds(f *fixture) {
	f.add(1, 2, 3, 4, 5)
	f.plan()
	f.publish(1)
	f.publishMissing(2, "not_found")
	f.publish(3)
	f.must(f.c.Fail(f.ctx, f.claim(4), catalog.Failure{Kind: domain.KindStoreFault, Message: "full", Final: true}))
	f.before(time.Second)
	f.add(3) // too late for a build
	day := func() catalog.CalendarDay { return f.calendar(catalog.TenantQuery{Limit: 1}).Tenants[0].Days[f.day] }
	want := func(what, counts string, cutShort, incomplete bool) {
		f.Helper()
		d := day()
		equal(f, what, fmt.Sprintf("%+v", d.DayCounts), counts)
		equal(f, what+", as the day has it", f.view().Counts(), d.DayCounts)
		equal(f, what+": cut short, incomplete", fmt.Sprint(d.CutShort, d.Incomplete(domain.Tenant{Recordings: true}, f.now())), fmt.Sprint(cutShort, incomplete))
	}
	want("before", "{Available:3 NoData:19 Pending:1 Failed:1 Missing:1 Rebuilding:1 Lacking:2}", false, true)
	f.before(0)
	f.add(6) // after the end, before the planner marks it
	list, err := f.c.ExpireDays(f.ctx, 10)
	f.must(err)
	equal(f, "unbuilt", list[0].Unbuilt, 3)
	f.add(7)
	const ended = "{Available:3 NoData:19 Pending:1 Failed:1 Missing:1 Rebuilding:0 Lacking:2}"
	want("after", ended, true, true)
	v := f.view()
	for hour, want := range map[int]catalog.HourEnd{0: {State: "no_data"}, 1: {State: "available", Files: 1}, 2: {State: "available", Files: 1, Missing: 1},
		3: {State: "available", Files: 1, Unbuilt: true}, 4: {State: "failed", Unbuilt: true}, 5: {State: "pending", Unbuilt: true}, 6: {State: "no_data", TooLate: true}, 7: {State: "no_data", TooLate: true}, 8: {State: "no_data"}} {
		equal(f, fmt.Sprint("hour ", hour), v.Hours[hour].End, want)
	}
	equal(f, "known, too late", fmt.Sprint(v.EndKnown, day().EndKnown, v.TooLate), "true true 2")
	f.pass(30 * 24 * time.Hour)
	want("a month later", ended, true, true)

	f.must(f.c.Reopen(f.ctx, f.tenant, f.day, audit.Origin{}))
	for hour := 1; hour <= 7; hour++ {
		f.publish(hour)
	}
	want("reopened and built", "{Available:7 NoData:17 Pending:0 Failed:0 Missing:0 Rebuilding:0 Lacking:0}", false, false)
	equal(f, "kept", f.view().EndKnown || f.view().Hours[4].End != (catalog.HourEnd{}) || day().TooLate > 0, false)
	equal(f, "unbuilt", f.ended(), 0)
	want("ended complete", "{Available:7 NoData:17 Pending:0 Failed:0 Missing:0 Rebuilding:0 Lacking:0}", false, false)
}

// unplannedEnds ends a day that nobody planned. Recordings came before the end, after it, and after
// it was marked.
func unplannedEnds(f *fixture) {
	f.add(1)
	f.before(0)
	f.add(2)
	equal(f, "unbuilt", f.ended(), 1)
	f.add(1, 3)
	v := f.view()
	for hour, want := range map[int]catalog.HourEnd{0: {State: "pending"}, 1: {State: "pending", Unbuilt: true}, 2: {State: "pending", TooLate: true}, 3: {State: "pending", TooLate: true}} {
		equal(f, fmt.Sprint("hour ", hour), v.Hours[hour].End, want)
	}
}

// tenantsFound finds tenants by parts of ids and names, and those with an incomplete day, page by
// page.
func tenantsFound(f *fixture) {
	for id, name := range map[string]string{"b-one": "ÄRZTEHAUS SÜD Straße", "b-two": "Acme GmbH", "c_three": "50 % off", "zed": "İzmir"} {
		f.newTenantNamed(id, name, 3)
	}
	find := func(q catalog.TenantQuery) string {
		f.Helper()
		var ids []string
		for q.Limit = 2; ; {
			page, more, err := f.c.FindTenants(f.ctx, q)
			f.must(err)
			for _, t := range page {
				ids = append(ids, t.ID)
			}
			if !more {
				return strings.Join(ids, " ")
			}
			q.After = page[len(page)-1].ID
		}
	}
	for search, want := range map[string]string{"": "acme b-one b-two c_three zed", "ACME": "acme b-two", "ärzteh": "b-one", "a\u0308rzte": "b-one", "arzte": "b-one", "sud STRASSE": "b-one", "i\u0307zm": "zed", "İZMİR": "zed", "IZMIR": "zed",
		"E": "acme b-one b-two c_three zed", "-": "b-one b-two", "%": "c_three", "_": "c_three", "nobody": ""} {
		equal(f, "found by "+search, find(catalog.TenantQuery{Search: search}), want)
	}

	incomplete := func(search string, from, to domain.Day) string {
		f.Helper()
		return find(catalog.TenantQuery{Search: search, Incomplete: true, From: from, To: to})
	}
	f.add(1)
	f.plan()
	equal(f, "pending", incomplete("", f.day, f.day), "acme")
	equal(f, "pending and found", incomplete("b-", f.day, f.day), "")
	equal(f, "other days", incomplete("", f.day.Add(-9), f.day.Add(-1)), "")
	f.publish(1)
	equal(f, "complete", incomplete("", f.day, f.day), "")
	f.force(1)
	equal(f, "being rebuilt", incomplete("", f.day, f.day), "acme")
	f.publishMissing(1, "not_found")
	equal(f, "missing", incomplete("", f.day, f.day), "acme")
	f.tenant = "zed"
	f.add(2)
	equal(f, "not planned", incomplete("", f.day, f.day), "acme zed")
	equal(f, "after acme", find(catalog.TenantQuery{Incomplete: true, From: f.day, To: f.day, After: "acme"}), "zed")
	_, err := f.c.SetFeature(f.ctx, "zed", "daily_audio_recordings", false, audit.Origin{})
	f.must(err)
	equal(f, "not planned, the feature is off", incomplete("", f.day, f.day), "acme")
	f.pass(9 * 24 * time.Hour)
	_, err = f.c.ExpireDays(f.ctx, 10)
	f.must(err)
	equal(f, "ended with missing recordings", incomplete("", f.day, f.day), "acme")
}

// triedAgain lists hours that failed and are tried again, until they are built.
func triedAgain(f *fixture) {
	tried := func() string {
		f.Helper()
		list, err := f.c.TriedHours(f.ctx, 10)
		f.must(err)
		var all []string
		for _, h := range list {
			all = append(all, fmt.Sprintf("%s %s %q %s", h.HH(), h.State, h.Worker, h.LastError))
		}
		return strings.Join(all, ", ")
	}
	f.failHour(f.key(4))
	equal(f, "while it has failed", tried(), "")
	_, err := f.c.RetryHour(f.ctx, f.key(4), audit.Origin{})
	f.must(err)
	equal(f, "retried", tried(), `04 pending "" the disk is full`)
	claim, built := f.start(4)
	equal(f, "being built", tried(), `04 pending "w1" the disk is full`)
	f.must(f.c.Commit(f.ctx, claim, built))
	equal(f, "built", tried(), "")
	f.force(4)
	f.must(f.c.Fail(f.ctx, f.claim(4), catalog.Failure{Kind: domain.KindStoreFault, Message: "full", Final: true}))
	equal(f, "its rebuild failed", tried(), `04 available "" full`)
	f.ended()
	equal(f, "ended", tried(), "")
}

// reopeningAudited writes what the day was when it ended.
func reopeningAudited(f *fixture) {
	f.add(4)
	f.plan()
	f.ended()
	f.add(5)
	f.must(f.c.Reopen(f.ctx, f.tenant, f.day, audit.Origin{Actor: "admin", Remote: "192.0.2.1"}))
	entry, _ := f.last()
	want, err := json.Marshal(map[string]any{"day": f.day, "cutShort": true, "unbuiltHours": 1, "tooLate": 1, "remote": "192.0.2.1"})
	f.must(err)
	var got, wanted any
	f.must(json.Unmarshal(entry.Detail, &got))
	f.must(json.Unmarshal(want, &wanted))
	equal(f, "line", fmt.Sprint(entry.Actor, entry.Action, got), fmt.Sprint("admin", catalog.ActionReopen, wanted))
	f.pass(time.Second)
	f.must(f.c.Reopen(f.ctx, f.tenant, f.day.Add(-1), audit.Origin{}))
	end, err := f.c.FormerEnd(f.ctx, f.tenant, f.day, f.view().Reopened)
	f.must(err)
	equal(f, "former end", end, catalog.FormerEnd{CutShort: true, Unbuilt: 1, TooLate: 1})
	end, err = f.c.FormerEnd(f.ctx, f.tenant, f.day, f.now())
	f.must(err)
	equal(f, "none", end, catalog.FormerEnd{})
}

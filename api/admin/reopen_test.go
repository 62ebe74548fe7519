package admin_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

// end ends the days of acme before the one that lies back days before yesterday.
func (f *fixture) end(back int) {
	f.Helper()
	// A day's retention counts from when it settled, which was a moment ago.
	run(f, testenv.Raw(f, f.database), `UPDATE days SET completed_us = closes_us WHERE tenant = 'acme'`)
	if _, err := f.catalog.SetTenant(f.Context(), "acme", func(t *domain.Tenant) { t.RetentionDays = back }, audit.Origin{Actor: apitest.FixtureActor}); err != nil {
		f.Fatal(err)
	}
}

// TestEndedDay ends a day with a failed hour and missing recordings. Calendar, day, hour and tenant
// say so, until the day is reopened.
func TestEndedDay(t *testing.T) {
	onBoth(t, nil, func(f *fixture) {
		day := f.day.Add(-3)
		f.plan("acme", day)
		f.build(f.key("acme", day, 7), 5000)
		f.buildMissing(f.key("acme", day, 8), 2)
		f.fail(f.key("acme", day, 9), "the disk is full")
		f.plan("acme", f.day)
		f.end(2)
		apitest.Register(f, f.catalog, f.key("acme", day, 10))

		path := "/tenants/acme/days/" + string(day)
		d := f.call("GET", path, "", 200)
		want := func(what string, d map[string]any, want string) {
			f.Helper()
			f.equal(what, fmt.Sprint(d["completeHours"], d["availableHours"], d["noDataHours"], d["pendingHours"], d["failedHours"], d["missingFileCount"],
				d["unbuiltHours"], d["tooLate"], d["cutShort"]), want)
		}
		want("day", d, "22 2 21 0 1 2 1 1 true")
		f.equal("hour 9", d["hours"].([]any)[9].(map[string]any)["atEnd"], "map[files:0 missingFileCount:0 state:failed tooLate:false unbuilt:true]")
		calendar := f.call("GET", "/calendar?incomplete=true", "", 200)["tenants"].([]any)
		days := calendar[0].(map[string]any)["days"].([]any)
		f.equal("incomplete tenants and days", fmt.Sprint(len(calendar), len(days)), "1 1")
		want("calendar", days[0].(map[string]any), "22 2 21 0 1 2 1 1 true")
		f.equal("incomplete tenants", len(f.call("GET", "/tenants?incomplete=true&q=ACME", "", 200)["tenants"].([]any)), 1)
		f.equal("other incomplete tenants", len(f.call("GET", "/tenants?incomplete=true&days=1", "", 200)["tenants"].([]any)), 0)
		f.call("GET", "/tenants?incomplete=1", "", 400)

		session := f.session()
		page := func(path string) string {
			f.Helper()
			return string(f.ask("GET", "/admin"+path, "", "Cookie", session).Body)
		}
		const label = "ended incomplete: 1 hour failed, 2 recordings missing, 1 recording came too late"
		for _, p := range []string{"", "?incomplete=true", "/tenants/acme", "/tenants/acme?incomplete=true", path} {
			f.equal(p+" says what the day was", strings.Contains(page(p), label), true)
		}
		f.equal("the day's hours", strings.Contains(page(path), "ended while failed") && strings.Contains(page(path), "22 of 24"), true)
		f.equal("the hour", strings.Contains(page(path+"/hours/09"), "the hour was failed; it had recordings in no archive. Reopen the day"), true)
		f.equal("hour 10", strings.Contains(page(path+"/hours/10"), "the hour was without data. Recordings came too late"), true)
		f.equal("an archive that is to go", strings.Contains(page(path+"/hours/07"), "to be deleted"), true)

		f.equal("a question", strings.Contains(page(path+"/reopen"), "Reopen "+string(day)+" of acme?"), true)
		f.equal("from another site", f.ask("POST", "/admin"+path+"/reopen", "x=1", "Cookie", session, "Sec-Fetch-Site", "cross-site").Status, 403)
		a := f.ask("POST", "/admin"+path+"/reopen", "x=1", "Cookie", session, "Sec-Fetch-Site", "same-origin")
		f.equal("reopened", a.Header.Get("Location"), "/admin"+path+"?done=reopen&n=4")
		f.equal("log", f.events("acme")[:2], []string{"admin archive", "admin " + catalog.ActionReopen})
		want("reopened day", f.call("GET", path, "", 200), "20 0 20 4 0 0 0 0 false")
		f.equal("what it was", strings.Contains(page(path), "Before it was reopened: 1 hour with recordings in no archive, 2 recordings missing, 1 recording came too late."), true)
		f.equal("by the API", f.call("POST", path+"/reopen", "", 200)["due"], 4)
		f.call("POST", "/tenants/acme/days/"+string(f.day.Add(1))+"/reopen", "", 400)
	})
}

// TestRetriedAreListed retries all failed hours: the page says what was asked for and what happens.
func TestRetriedAreListed(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), nil)
	fillMonth(f)
	session := f.session()
	a := f.ask("POST", "/admin/failed/retry", "x=1", "Cookie", session)
	page := string(f.ask("GET", a.Header.Get("Location"), "", "Cookie", session).Body)
	for _, part := range []string{"You asked to retry 2 failed hours", "No hour is failed now; those below are tried again", "the disk is full", "waits for a worker"} {
		if !strings.Contains(page, part) {
			t.Errorf("the page does not say %q", part)
		}
	}
	f.equal("tried again", len(f.call("GET", "/failed", "", 200)["triedAgain"].([]any)), 2)
}

// The calendar is compressed for clients that accept gzip.
func TestCalendarIsCompressed(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), nil)
	fillMonth(f)
	for path, header := range map[string][]string{"/admin": {"Cookie", f.session()}, root + "/calendar": {"Authorization", "Bearer " + adminToken}} {
		plain := f.ask("GET", path, "", header...)
		packed := f.ask("GET", path, "", append(header, "Accept-Encoding", "gzip")...)
		f.equal("encodings", fmt.Sprint(plain.Header.Get("Content-Encoding"), packed.Header.Get("Content-Encoding"), packed.Header.Get("Vary")), "gzipAccept-Encoding")
		r, err := gzip.NewReader(strings.NewReader(string(packed.Body)))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil || len(text) != len(plain.Body) || len(packed.Body)*4 > len(text) {
			t.Errorf("%s: %d bytes of %d, error %v", path, len(packed.Body), len(text), err)
		}
	}
}

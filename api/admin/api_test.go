package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/api/admin"
	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

const root = "/api/admin/v1"

// call sends a request with the token and checks the answer against the OpenAPI document.
func (f *fixture) call(method, path, body string, status int) map[string]any {
	f.Helper()
	a := apitest.LoadSpec(f, "openapi.yaml").Do(f, f.handler, request(method, root+path, body, "Authorization", "Bearer "+adminToken))
	if a.Status != status {
		f.Fatalf("%s %s answers %d, want %d: %s", method, path, a.Status, status, a.Body)
	}
	var out map[string]any
	if err := json.Unmarshal(a.Body, &out); err != nil {
		f.Fatalf("%s %s: %v in %s", method, path, err, a.Body)
	}
	return out
}

// equal compares two values by how they print.
func (f *fixture) equal(what string, got, want any) {
	f.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		f.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestAPI(t *testing.T) {
	onBoth(t, nil, func(f *fixture) {
		fillMonth(f)
		day := "/tenants/acme/days/" + string(f.day)

		page := f.call("GET", "/tenants?limit=2", "", 200)
		f.equal("next", page["next"], "blueline")
		f.equal("the last page's next", f.call("GET", "/tenants?after=harbor", "", 200)["next"], nil)
		f.equal("name", f.call("GET", "/tenants/acme", "", 200)["name"], "Acme Telephone Ltd")

		calendar := f.call("GET", "/calendar?q=ac&days=3", "", 200)
		tenants := calendar["tenants"].([]any)
		f.equal("tenants", len(tenants), 1)
		days := tenants[0].(map[string]any)["days"].([]any)
		f.equal("days", len(days), 3)
		latest := days[0].(map[string]any)
		f.equal("latest day", latest["day"], f.day)
		f.equal("complete hours", latest["completeHours"], 21)
		f.equal("failed hours", latest["failedHours"], 1)
		for back, want := range []string{"0 1", "3 0", "1 2"} {
			d := days[back].(map[string]any)
			f.equal("missing and rebuilt", fmt.Sprint(d["missingFileCount"], d["rebuildingHours"]), want)
		}

		hours := f.call("GET", day, "", 200)["hours"].([]any)
		f.equal("state of 20", hours[20].(map[string]any)["state"], "failed")
		f.equal("downloads of 09", hours[9].(map[string]any)["downloads"], 1)
		f.equal("worker of 21", hours[21].(map[string]any)["worker"], "worker-1/4711")
		hour := f.call("GET", day+"/hours/09", "", 200)
		f.equal("archives", len(hour["archives"].([]any)), 2)
		f.equal("events", acted(hour), 2)
		f.equal("events of an hour without links", len(f.call("GET", day+"/hours/03", "", 200)["events"].([]any)), 0)

		running := f.call("GET", "/running", "", 200)
		f.equal("builds", len(running["builds"].([]any)), 1)
		f.equal("slots", running["slots"], 0)
		f.equal("failed", len(f.call("GET", "/failed", "", 200)["hours"].([]any)), 2)
	})
}

// acted counts an hour's events without those of the fixture and of workers.
func acted(hour map[string]any) (n int) {
	for _, e := range hour["events"].([]any) {
		if actor := e.(map[string]any)["actor"]; actor != apitest.FixtureActor && actor != "worker" {
			n++
		}
	}
	return n
}

func TestActions(t *testing.T) {
	onBoth(t, nil, func(f *fixture) {
		fillMonth(f)
		day := "/tenants/acme/days/" + string(f.day)
		f.equal("rebuilt hour", f.call("POST", day+"/hours/08/rebuild", `{"force":true}`, 200)["due"], 1)
		f.equal("a complete hour that is not forced", f.call("POST", day+"/hours/07/rebuild", "", 200)["due"], 0)
		f.equal("retried", f.call("POST", day+"/retry", "", 200)["retried"], 1)
		f.equal("retried again", f.call("POST", day+"/retry", "", 200)["retried"], 0)
		f.equal("retried anywhere", f.call("POST", "/failed/retry", "", 200), map[string]any{"more": false, "retried": 1})
		f.equal("failed", len(f.call("GET", "/failed", "", 200)["hours"].([]any)), 0)
		f.equal("features", f.call("PUT", "/tenants/acme/features/export_api", `{"enabled":true}`, 200)["features"], []string{"daily_audio_recordings", "export_api"})
		f.equal("the day's due hours", f.call("POST", day+"/rebuild", `{}`, 200)["due"], 4) // hours 8, 10, 20, and 21, which is being built

		f.equal("acme's log", f.events("acme")[:5], []string{"admin archive", "admin tenant.set", "admin retry", "admin archive", "admin archive"})
		f.equal("fjord-bank's log", f.events("fjord-bank"), []string{"admin retry"})
	})
}

func TestFaults(t *testing.T) {
	onBoth(t, nil, func(f *fixture) {
		var batch catalog.Batch
		for i := range 2 {
			batch.Recordings = append(batch.Recordings, catalog.Line[domain.Recording]{Number: i + 1, Value: domain.Recording{ObjectKey: fmt.Sprintf("acme/f-%d.opus", i),
				ConversationID: "c", SessionID: "s", MessageID: int64(i), Type: "t", Timestamp: f.day.Start().Add(7 * time.Hour)}})
		}
		if _, err := f.catalog.Register(t.Context(), "acme", batch); err != nil {
			t.Fatal(err)
		}
		list, err := f.catalog.PatrolledRecordings(t.Context(), catalog.Position{}, 2)
		if err != nil || len(list) != 2 {
			t.Fatal(list, err)
		}
		for _, r := range list {
			if _, err := f.catalog.RecordingFault(t.Context(), r, catalog.ReasonChecksum, nil); err != nil {
				t.Fatal(err)
			}
		}
		all := f.call("GET", "/faults", "", 200)["faults"].([]any)
		f.equal("faults", len(all), 2)
		first, r := all[0].(map[string]any), list[0]
		f.equal("the first", []any{first["kind"], first["tenant"], first["objectKey"], first["reason"]}, []any{"recording", r.Tenant, r.ObjectKey, "checksum_mismatch"})
		f.equal("after it", len(f.call("GET", "/faults?after=recording/"+r.Tenant+"/"+url.PathEscape(r.ObjectKey), "", 200)["faults"].([]any)), 1)
		f.call("GET", "/faults?after=x", "", 400)
		hour := "/tenants/" + r.Tenant + "/days/" + string(r.Day) + "/hours/" + domain.HourKey{Hour: r.Hour}.HH()
		f.equal("its hour", f.call("GET", hour, "", 200)["faults"].([]any)[0].(map[string]any)["objectKey"], r.ObjectKey)
		for _, page := range []string{"/admin" + hour, "/admin/failed"} {
			f.equal(page, strings.Contains(string(f.ask("GET", page, "", "Cookie", f.session()).Body), "recording <code>"+r.ObjectKey+"</code>"), true)
		}
	})
}

// A refused action writes no audit line.
func TestRefusals(t *testing.T) {
	onBoth(t, nil, func(f *fixture) {
		today := f.day.Add(1)
		long := "/tenants/acme/days/" + string(f.day.Add(-60))
		for _, c := range []struct {
			method, path, body string
			status             int
		}{
			{"POST", "/tenants/acme/days/" + string(today) + "/rebuild", "", 400},
			{"POST", "/tenants/acme/days/2026-02-30/rebuild", "", 400},
			{"POST", "/tenants/acme/days/" + string(f.day) + "/hours/24/rebuild", "", 400},
			{"POST", "/tenants/acme/days/" + string(f.day) + "/hours/7/rebuild", "", 400},
			{"POST", "/tenants/acme/days/" + string(f.day) + "/rebuild", `{"force":1}`, 400},
			{"POST", "/tenants/acme/days/" + string(f.day) + "/rebuild", `{"forse":true}`, 400},
			{"POST", "/tenants/acme/days/" + string(f.day) + "/rebuild", `{} {}`, 400},
			{"POST", long + "/rebuild", "", 409},
			{"POST", "/tenants/nobody/days/" + string(f.day) + "/rebuild", "", 404},
			{"POST", "/tenants/nobody/days/" + string(f.day) + "/retry", "", 404},
			{"PUT", "/tenants/nobody/features/export_api", `{"enabled":true}`, 404},
			{"PUT", "/tenants/acme/features/flying", `{"enabled":true}`, 404},
			{"PUT", "/tenants/acme/features/export_api", `{}`, 400},
			{"GET", "/tenants/nobody", "", 404},
			{"GET", "/tenants/nobody/days/" + string(f.day), "", 404},
			{"GET", "/tenants?limit=0", "", 400},
			{"GET", "/calendar?days=93", "", 400},
			{"GET", "/calendar?to=yesterday", "", 400},
			{"GET", "/failed?after=x", "", 400},
			{"PUT", "/calendar", "", 405},
		} {
			f.call(c.method, c.path, c.body, c.status)
		}
		f.equal("log", f.events("acme"), []string{})
		if t, err := f.catalog.Tenant(f.Context(), "acme"); err != nil || t.Export {
			f.Errorf("%+v, %v", t, err)
		}
	})
}

func TestAPIMethods(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), nil)
	token := []string{"Authorization", "Bearer " + adminToken}
	a := apitest.Do(f.handler, request("PROPFIND2", root+"/tenants", "", token...))
	if a.Status != 405 || a.Header.Get("Allow") != "GET, HEAD" || !strings.Contains(string(a.Body), "Method Not Allowed.") {
		t.Errorf("%d %v %s", a.Status, a.Header, a.Body)
	}
	f.equal("no such path", apitest.Do(f.handler, request("PROPFIND2", root+"/nothing", "", token...)).Status, 404)
	f.equal("without a token", apitest.Do(f.handler, request("PROPFIND2", root+"/tenants", "")).Status, 401)
}

func TestAPIToken(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), nil)
	spec := apitest.LoadSpec(t, "openapi.yaml")
	ask := func(header ...string) int {
		return spec.Do(t, f.handler, request("GET", root+"/tenants", "", header...)).Status
	}
	f.equal("without", ask(), 401)
	f.equal("as a session", ask("Cookie", "callvault_admin="+adminToken), 401)
	for range 10 {
		f.equal("wrong", ask("Authorization", "Bearer wrong"), 401)
	}
	f.equal("wrong once more", ask("Authorization", "Bearer wrong"), 429)
	f.equal("right all the same", ask("Authorization", "Bearer "+adminToken), 200)
}

// Credentials are checked before the size of a body.
func TestLargeBodies(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), nil)
	large, action := "x="+strings.Repeat("x", 2<<20), root+"/failed/retry"
	f.equal("no token", f.ask("POST", action, large).Status, 401)
	f.equal("token", f.ask("POST", action, large, "Authorization", "Bearer "+adminToken).Status, 413)
	f.equal("no session", f.ask("POST", "/admin/signout", large[:1<<20]).Status, 303)
	f.equal("no session, page", f.ask("POST", "/admin/failed/retry", large).Status, 303)
	f.equal("session", f.ask("POST", "/admin/failed/retry", large, "Cookie", f.session()).Status, 413)
	f.equal("form", f.signIn(adminToken+strings.Repeat(" ", 16<<10), "192.0.2.1").Status, 413)
}

func TestReadOnly(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), func(c *admin.Config) { c.ReadOnly = true })
	fillMonth(f)
	day := "/tenants/acme/days/" + string(f.day)
	for _, path := range []string{day + "/rebuild", day + "/retry", day + "/reopen", day + "/hours/08/rebuild", "/failed/retry"} {
		f.call("POST", path, "", 403)
	}
	f.call("PUT", "/tenants/acme/features/export_api", `{"enabled":true}`, 403)
	f.call("POST", "/tenants/acme/recordings/correct", `{"objectKey":"k","reason":"r","sizeBytes":1}`, 403)
	f.call("GET", day, "", 200)
	session := f.session()
	for _, path := range []string{"/admin" + day + "/rebuild", "/admin" + day + "/reopen", "/admin/failed/retry"} {
		f.equal(path, f.ask("GET", path, "", "Cookie", session).Status, 403)
		f.equal(path, f.ask("POST", path, "hours=all", "Cookie", session).Status, 403)
	}
	if page := string(f.ask("GET", "/admin"+day, "", "Cookie", session).Body); strings.Contains(page, "Rebuild the day") || !strings.Contains(page, "Read-only") {
		t.Error("the day's page offers what it can't do")
	}
	f.equal("queues", f.ask("POST", "/admin/queues/api/queues/build:pause", "", "Cookie", session, "Accept", "application/json").Status, http.StatusMethodNotAllowed)
	for _, action := range slices.Concat(f.events("acme"), f.events("")) {
		if strings.HasPrefix(action, "admin ") {
			t.Errorf("the log says %s", action)
		}
	}
}

// FuzzPosition parses any text as a position.
func FuzzPosition(f *testing.F) {
	f.Add("2026-01-02/acme/07")
	f.Add("//")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := admin.ParsePosition(text)
		if err == nil && text != "" && string(key.Day)+"/"+key.Tenant+"/"+key.HH() != text {
			t.Errorf("%q is read as %s", text, key)
		}
		if err != nil && domain.KindOf(err) != domain.KindInvalid {
			t.Errorf("%q: %v", text, err)
		}
	})
}

func TestHistoryAPI(t *testing.T) {
	onBoth(t, nil, func(f *fixture) {
		for _, status := range []string{"initiated", "done"} {
			line := domain.Conversation{ID: "c/1", AgentID: "a", Start: f.day.Start(), Status: status, Locale: "en_" + status}
			_, err := f.catalog.Register(f.Context(), "acme", catalog.Batch{Origin: audit.Origin{Actor: "internal"},
				Conversations: []catalog.Line[domain.Conversation]{{Number: 1, Value: line}}})
			if err != nil {
				f.Fatal(err)
			}
		}
		const path = "/tenants/acme/history?kind=conversation&id=c%2F1"
		page := f.call("GET", path+"&limit=1", "", 200)
		first := page["values"].([]any)[0].(map[string]any)
		f.equal("latest", []any{first["field"], first["value"], first["origin"]}, []any{"locale", "en_initiated", "internal"})
		page = f.call("GET", path+"&before="+page["next"].(string), "", 200)
		f.equal("before", []any{page["values"].([]any)[0].(map[string]any)["value"], page["next"]}, []any{"initiated", nil})
		f.equal("nothing known", len(f.call("GET", "/tenants/acme/history?kind=agent&id=x", "", 200)["values"].([]any)), 0)
		f.call("GET", "/tenants/acme/history?kind=recording&id="+strings.Repeat("x", 1024), "", 200)
		f.call("GET", "/tenants/nobody/history?kind=agent&id=x", "", 404)
		read := apitest.Audited(f, f.catalog, "acme", "history.read") // each page that gave values
		f.equal("read pages", len(read), 2)
		f.equal("read", strings.HasPrefix(read[0], `admin history.read {"kind":"conversation","id":"c/1","remote":"192.0.2.1"`), true)
		for _, bad := range []string{"", "?kind=agent", "?kind=user&id=x", "?kind=agent&id=" + strings.Repeat("x", 513), "?kind=agent&id=x&before=x", "?kind=agent&id=x&limit=0"} {
			if a := apitest.Do(f.handler, request("GET", root+"/tenants/acme/history"+bad, "", "Authorization", "Bearer "+adminToken)); a.Status != 400 {
				f.Errorf("%q answers %d", bad, a.Status)
			}
		}
	})
}

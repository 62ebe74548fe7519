package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/api/admin"
	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

const root = "/api/admin/v1"

// call asks the API with the token and checks the answer against its description.
func (w *world) call(method, path, body string, status int) map[string]any {
	w.Helper()
	a := apitest.LoadSpec(w, "openapi.yaml").Do(w, w.handler, request(method, root+path, body, "Authorization", "Bearer "+adminToken))
	if a.Status != status {
		w.Fatalf("%s %s answers %d, want %d: %s", method, path, a.Status, status, a.Body)
	}
	var out map[string]any
	if err := json.Unmarshal(a.Body, &out); err != nil {
		w.Fatalf("%s %s: %v in %s", method, path, err, a.Body)
	}
	return out
}

// equal compares by what values print as.
func (w *world) equal(what string, got, want any) {
	w.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestAPI(t *testing.T) {
	onBoth(t, nil, func(w *world) {
		month(w)
		day := "/tenants/acme/days/" + string(w.day)

		page := w.call("GET", "/tenants?limit=2", "", 200)
		w.equal("next", page["next"], "blueline")
		w.equal("the last page's next", w.call("GET", "/tenants?after=harbor", "", 200)["next"], nil)
		w.equal("name", w.call("GET", "/tenants/acme", "", 200)["name"], "Acme Telephone Ltd")

		calendar := w.call("GET", "/calendar?q=ac&days=3", "", 200)
		tenants := calendar["tenants"].([]any)
		w.equal("tenants", len(tenants), 1)
		days := tenants[0].(map[string]any)["days"].([]any)
		w.equal("days", len(days), 3)
		latest := days[0].(map[string]any)
		w.equal("latest day", latest["day"], w.day)
		w.equal("complete hours", latest["completeHours"], 22)
		w.equal("failed hours", latest["failedHours"], 1)
		for back, want := range []string{"0 1", "3 0", "1 2"} {
			d := days[back].(map[string]any)
			w.equal("missing and rebuilt", fmt.Sprint(d["missingFileCount"], d["rebuildingHours"]), want)
		}

		hours := w.call("GET", day, "", 200)["hours"].([]any)
		w.equal("state of 20", hours[20].(map[string]any)["state"], "failed")
		w.equal("downloads of 09", hours[9].(map[string]any)["downloads"], 1)
		w.equal("worker of 21", hours[21].(map[string]any)["worker"], "worker-1/4711")
		story := w.call("GET", day+"/hours/09", "", 200)
		w.equal("archives", len(story["archives"].([]any)), 2)
		w.equal("events", len(story["events"].([]any)), 2)
		w.equal("events of an hour without links", len(w.call("GET", day+"/hours/03", "", 200)["events"].([]any)), 0)

		running := w.call("GET", "/running", "", 200)
		w.equal("builds", len(running["builds"].([]any)), 1)
		w.equal("slots", running["slots"], 0)
		w.equal("failed", len(w.call("GET", "/failed", "", 200)["hours"].([]any)), 2)
	})
}

func TestActions(t *testing.T) {
	onBoth(t, nil, func(w *world) {
		month(w)
		day := "/tenants/acme/days/" + string(w.day)
		w.equal("rebuilt hour", w.call("POST", day+"/hours/08/rebuild", `{"force":true}`, 200)["due"], 1)
		w.equal("a complete hour that is not forced", w.call("POST", day+"/hours/07/rebuild", "", 200)["due"], 0)
		w.equal("retried", w.call("POST", day+"/retry", "", 200)["retried"], 1)
		w.equal("retried again", w.call("POST", day+"/retry", "", 200)["retried"], 0)
		w.equal("retried anywhere", w.call("POST", "/failed/retry", "", 200), map[string]any{"more": false, "retried": 1})
		w.equal("failed", len(w.call("GET", "/failed", "", 200)["hours"].([]any)), 0)
		w.equal("features", w.call("PUT", "/tenants/acme/features/export_api", `{"enabled":true}`, 200)["features"], []string{"daily_audio_recordings", "export_api"})
		w.equal("the day's due hours", w.call("POST", day+"/rebuild", `{}`, 200)["due"], 4) // 8, 10, 20 and 21, which runs

		w.equal("acme's log", w.events("acme")[:5], []string{"admin archive", "admin tenant.set", "admin retry", "admin archive", "admin archive"})
		w.equal("fjord-bank's log", w.events("fjord-bank"), []string{"admin retry"})
	})
}

// A recording is corrected; its failed hour named it, and both its hours are rebuilt.
func TestCorrect(t *testing.T) {
	onBoth(t, nil, func(w *world) {
		key, size := w.key("acme", w.day, 7), int64(5)
		rec := domain.Recording{ObjectKey: "acme/s/conf.wav", ConversationID: "c", SessionID: "s", MessageID: 5, Type: "t", Timestamp: w.day.Start().Add(7 * time.Hour), Size: &size}
		if _, err := w.catalog.Register(w.Context(), "acme", catalog.Batch{Recordings: []catalog.Line[domain.Recording]{{Number: 1, Value: rec}}}); err != nil {
			t.Fatal(err)
		}
		if err := w.catalog.Fail(w.Context(), w.claim(key), catalog.Failure{Kind: domain.KindAllMissing, Message: "no", Final: true,
			Missing: []catalog.MissingFile{{ObjectKey: rec.ObjectKey, MessageID: 5, Reason: catalog.ReasonSize}}}); err != nil {
			t.Fatal(err)
		}
		hour := "/tenants/acme/days/" + string(w.day) + "/hours/07"
		w.equal("missing files", w.call("GET", hour, "", 200)["missingFiles"], "[map[messageId:5 objectKey:acme/s/conf.wav reason:size_changed]]")
		page := string(w.ask("GET", "/admin"+hour, "", "Cookie", w.session()).Body)
		w.equal("the page names it and says what helps", strings.Contains(page, "acme/s/conf.wav") && strings.Contains(page, "callvault recording correct --size"), true)

		const path = "/tenants/acme/recordings/correct"
		at := w.day.Start().Add(8*time.Hour + time.Second).Format(time.RFC3339)
		body := fmt.Sprintf(`{"objectKey":%q,"reason":"it has 11","sizeBytes":11,"timestamp":%q}`, rec.ObjectKey, at)
		done := w.call("POST", path, body, 200)
		w.equal("size", done["changed"].(map[string]any)["sizeBytes"], "map[from:5 to:11]")
		w.equal("hours", done["rebuiltHours"], fmt.Sprintf("[map[day:%s hour:07] map[day:%s hour:08]]", w.day, w.day))
		w.equal("again", w.call("POST", path, body, 200)["changed"], "map[]")
		for hour, want := range map[string]int{"07": 1, "08": 1, "09": 0} {
			w.equal("lines about "+hour, len(w.call("GET", "/tenants/acme/days/"+string(w.day)+"/hours/"+hour, "", 200)["events"].([]any)), want)
		}
		page = string(w.ask("GET", "/admin"+hour, "", "Cookie", w.session()).Body)
		w.equal("the page tells of it", strings.Contains(page, "recording corrected") && strings.Contains(page, "sizeBytes: 5 → 11"), true)
		for body, status := range map[string]int{
			`{"objectKey":"acme/s/conf.wav","reason":"r"}`:                                           400,
			`{"objectKey":"acme/s/conf.wav","sizeBytes":1}`:                                          400,
			`{"objectKey":"acme/s/conf.wav","reason":"r","size":1}`:                                  400,
			`{"objectKey":"acme/s/other.wav","reason":"r","sizeBytes":1}`:                            404,
			`{"objectKey":"acme/s/conf.wav","reason":"r","timestamp":"2020-01-01T00:00:00Z"}`:        409,
			`{"objectKey":"acme/s/conf.wav","reason":"r","type":"` + strings.Repeat("x", 600) + `"}`: 400,
		} {
			w.call("POST", path, body, status)
		}
		w.equal("log", w.events("acme"), []string{"admin recording.correct"})
	})
}

// What was refused leaves no line behind: the log says what was done.
func TestRefusals(t *testing.T) {
	onBoth(t, nil, func(w *world) {
		today := w.day.Add(1)
		long := "/tenants/acme/days/" + string(w.day.Add(-60))
		for _, c := range []struct {
			method, path, body string
			status             int
		}{
			{"POST", "/tenants/acme/days/" + string(today) + "/rebuild", "", 400},
			{"POST", "/tenants/acme/days/2026-02-30/rebuild", "", 400},
			{"POST", "/tenants/acme/days/" + string(w.day) + "/hours/24/rebuild", "", 400},
			{"POST", "/tenants/acme/days/" + string(w.day) + "/hours/7/rebuild", "", 400},
			{"POST", "/tenants/acme/days/" + string(w.day) + "/rebuild", `{"force":1}`, 400},
			{"POST", "/tenants/acme/days/" + string(w.day) + "/rebuild", `{"forse":true}`, 400},
			{"POST", "/tenants/acme/days/" + string(w.day) + "/rebuild", `{} {}`, 400},
			{"POST", long + "/rebuild", "", 409},
			{"POST", "/tenants/nobody/days/" + string(w.day) + "/rebuild", "", 404},
			{"POST", "/tenants/nobody/days/" + string(w.day) + "/retry", "", 404},
			{"PUT", "/tenants/nobody/features/export_api", `{"enabled":true}`, 404},
			{"PUT", "/tenants/acme/features/flying", `{"enabled":true}`, 404},
			{"PUT", "/tenants/acme/features/export_api", `{}`, 400},
			{"GET", "/tenants/nobody", "", 404},
			{"GET", "/tenants/nobody/days/" + string(w.day), "", 404},
			{"GET", "/tenants?limit=0", "", 400},
			{"GET", "/calendar?days=93", "", 400},
			{"GET", "/calendar?to=yesterday", "", 400},
			{"GET", "/failed?after=x", "", 400},
			{"PUT", "/calendar", "", 405},
		} {
			w.call(c.method, c.path, c.body, c.status)
		}
		w.equal("log", w.events("acme"), []string{})
		if t, err := w.catalog.Tenant(w.Context(), "acme"); err != nil || t.Export {
			w.Errorf("%+v, %v", t, err)
		}
	})
}

func TestAPIMethods(t *testing.T) {
	w := newWorld(t, apitest.SQLite(t), nil)
	token := []string{"Authorization", "Bearer " + adminToken}
	a := apitest.Do(w.handler, request("PROPFIND2", root+"/tenants", "", token...))
	if a.Status != 405 || a.Header.Get("Allow") != "GET, HEAD" || !strings.Contains(string(a.Body), "Method Not Allowed.") {
		t.Errorf("%d %v %s", a.Status, a.Header, a.Body)
	}
	w.equal("no such path", apitest.Do(w.handler, request("PROPFIND2", root+"/nothing", "", token...)).Status, 404)
	w.equal("without a token", apitest.Do(w.handler, request("PROPFIND2", root+"/tenants", "")).Status, 401)
}

func TestAPIToken(t *testing.T) {
	w := newWorld(t, apitest.SQLite(t), nil)
	spec := apitest.LoadSpec(t, "openapi.yaml")
	ask := func(header ...string) int {
		return spec.Do(t, w.handler, request("GET", root+"/tenants", "", header...)).Status
	}
	w.equal("without", ask(), 401)
	w.equal("as a session", ask("Cookie", "callvault_admin="+adminToken), 401)
	for range 10 {
		w.equal("wrong", ask("Authorization", "Bearer wrong"), 401)
	}
	w.equal("wrong once more", ask("Authorization", "Bearer wrong"), 429)
	w.equal("right, too late", ask("Authorization", "Bearer "+adminToken), 429)
}

// TestLargeBodies: credentials are asked for before a body is read.
func TestLargeBodies(t *testing.T) {
	w := newWorld(t, apitest.SQLite(t), nil)
	large, action := "x="+strings.Repeat("x", 2<<20), root+"/failed/retry"
	w.equal("no token", w.ask("POST", action, large).Status, 401)
	w.equal("token", w.ask("POST", action, large, "Authorization", "Bearer "+adminToken).Status, 413)
	w.equal("no session", w.ask("POST", "/admin/signout", large[:1<<20]).Status, 303)
	w.equal("no session, page", w.ask("POST", "/admin/failed/retry", large).Status, 303)
	w.equal("session", w.ask("POST", "/admin/failed/retry", large, "Cookie", w.session()).Status, 413)
	w.equal("form", w.signIn(adminToken+strings.Repeat(" ", 16<<10), "192.0.2.1").Status, 413)
}

func TestReadOnly(t *testing.T) {
	w := newWorld(t, apitest.SQLite(t), func(c *admin.Config) { c.ReadOnly = true })
	month(w)
	day := "/tenants/acme/days/" + string(w.day)
	for _, path := range []string{day + "/rebuild", day + "/retry", day + "/hours/08/rebuild", "/failed/retry"} {
		w.call("POST", path, "", 403)
	}
	w.call("PUT", "/tenants/acme/features/export_api", `{"enabled":true}`, 403)
	w.call("POST", "/tenants/acme/recordings/correct", `{"objectKey":"k","reason":"r","sizeBytes":1}`, 403)
	w.call("GET", day, "", 200)
	session := w.session()
	for _, path := range []string{"/admin" + day + "/rebuild", "/admin/failed/retry"} {
		w.equal(path, w.ask("GET", path, "", "Cookie", session).Status, 403)
		w.equal(path, w.ask("POST", path, "hours=all", "Cookie", session).Status, 403)
	}
	if page := string(w.ask("GET", "/admin"+day, "", "Cookie", session).Body); strings.Contains(page, "Rebuild the day") || !strings.Contains(page, "Read-only") {
		t.Error("the day's page offers what it can't do")
	}
	w.equal("queues", w.ask("POST", "/admin/queues/api/queues/build:pause", "", "Cookie", session, "Accept", "application/json").Status, http.StatusMethodNotAllowed)
	for _, action := range slices.Concat(w.events("acme"), w.events("")) {
		if strings.HasPrefix(action, "admin ") {
			t.Errorf("the log says %s", action)
		}
	}
}

// FuzzPosition reads positions that strangers make up.
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
	onBoth(t, nil, func(w *world) {
		for _, status := range []string{"initiated", "done"} {
			line := domain.Conversation{ID: "c/1", AgentID: "a", Start: w.day.Start(), Status: status, Locale: "en_" + status}
			_, err := w.catalog.Register(w.Context(), "acme", catalog.Batch{Origin: catalog.Origin{Actor: "internal"},
				Conversations: []catalog.Line[domain.Conversation]{{Number: 1, Value: line}}})
			if err != nil {
				w.Fatal(err)
			}
		}
		const path = "/tenants/acme/history?kind=conversation&id=c%2F1"
		page := w.call("GET", path+"&limit=1", "", 200)
		first := page["values"].([]any)[0].(map[string]any)
		w.equal("latest", []any{first["field"], first["value"], first["origin"]}, []any{"locale", "en_initiated", "internal"})
		page = w.call("GET", path+"&before="+page["next"].(string), "", 200)
		w.equal("before", []any{page["values"].([]any)[0].(map[string]any)["value"], page["next"]}, []any{"initiated", nil})
		w.equal("nothing known", len(w.call("GET", "/tenants/acme/history?kind=agent&id=x", "", 200)["values"].([]any)), 0)
		w.call("GET", "/tenants/acme/history?kind=recording&id="+strings.Repeat("x", 1024), "", 200)
		w.call("GET", "/tenants/nobody/history?kind=agent&id=x", "", 404)
		for _, bad := range []string{"", "?kind=agent", "?kind=user&id=x", "?kind=agent&id=" + strings.Repeat("x", 513), "?kind=agent&id=x&before=x", "?kind=agent&id=x&limit=0"} {
			if a := apitest.Do(w.handler, request("GET", root+"/tenants/acme/history"+bad, "", "Authorization", "Bearer "+adminToken)); a.Status != 400 {
				w.Errorf("%q answers %d", bad, a.Status)
			}
		}
	})
}

package admin_test

import (
	"html"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/api/admin"
	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/webhooks"
)

// withWebhooks opens the handler with what makes webhooks.
func (w *world) withWebhooks(cfg admin.Config) {
	w.Helper()
	vault, err := auth.NewVault("a master key of a good length, for tests")
	if err != nil {
		w.Fatal(err)
	}
	log := zaptest.NewLogger(w, zaptest.Level(zap.ErrorLevel))
	families, err := admin.New(cfg, admin.Deps{Catalog: w.catalog, Queue: w.queue, Endpoints: webhooks.NewEndpoints(w.catalog, vault, webhooks.Rules{}),
		Log: log, Now: time.Now})
	if err != nil {
		w.Fatal(err)
	}
	w.handler = api.New(api.Config{}, api.Deps{Families: families, Log: log, Now: time.Now})
}

func TestWebhookAPI(t *testing.T) {
	onBoth(t, nil, func(w *world) {
		w.withWebhooks(admin.Config{Token: adminToken})
		hooks, day := "/tenants/acme/webhooks", string(w.day)
		made := w.call("POST", hooks, `{"url":"https://hooks.example.com/x","events":["hour.rebuilt","day.completed"]}`, 201)
		id := made["id"].(string)
		w.equal("secret", strings.HasPrefix(made["secret"].(string), "whsec_"), true)
		w.equal("events", made["events"], []string{"day.completed", "hour.rebuilt"})
		list := w.call("GET", hooks, "", 200)["webhooks"].([]any)
		w.equal("listed", len(list), 1)
		w.equal("secret, listed", list[0].(map[string]any)["secret"], nil)
		secrets := map[any]bool{made["secret"]: true}
		for _, body := range []string{"", `{"graceSeconds":0}`, `{"graceSeconds":2592000}`} {
			rotated := w.call("POST", hooks+"/"+id+"/rotate", body, 200)
			w.equal("rotated", []any{rotated["id"], strings.HasPrefix(rotated["secret"].(string), "whsec_"), secrets[rotated["secret"]]}, []any{id, true, false})
			secrets[rotated["secret"]] = true
			e, err := w.catalog.Endpoint(w.Context(), "acme", id)
			if err != nil {
				w.Fatal(err)
			}
			w.equal("the former signs too after "+body, e.Former.Data != nil, body != `{"graceSeconds":0}`)
		}
		w.equal("all events", w.call("PUT", hooks+"/"+id, `{"events":["day.failed","day.completed","hour.rebuilt"]}`, 200)["events"],
			[]string{"day.completed", "day.failed", "hour.rebuilt"})

		w.plan("acme", w.day)
		if err := w.catalog.ShiftClock(w.Context(), time.Second); err != nil { // SQLite's clock has milliseconds: both would be of one
			w.Fatal(err)
		}
		w.plan("acme", w.day.Add(-1))
		page := w.call("GET", "/tenants/acme/deliveries?limit=1", "", 200)
		w.equal("a page", len(page["deliveries"].([]any)), 1)
		next := page["next"].(string)
		page = w.call("GET", "/tenants/acme/deliveries?limit=1&before="+next, "", 200)
		w.equal("the last page's next", page["next"], nil)
		d := page["deliveries"].([]any)[0].(map[string]any)
		w.equal("delivery", []any{d["type"], d["day"], d["state"], d["webhook"], d["lastStatus"]}, []any{"day.completed", day, "pending", id, nil})
		w.equal("of a day", len(w.call("GET", "/tenants/acme/deliveries?state=pending&type=day.completed&day="+day+"&webhook="+id, "", 200)["deliveries"].([]any)), 1)

		claims, err := w.catalog.ClaimDeliveries(w.Context(), catalog.DeliveryLimits{Endpoint: 2, Tenant: 9}, time.Minute, 1)
		if err != nil || len(claims) != 1 {
			w.Fatal(claims, err)
		}
		if err := w.catalog.RecordDelivery(w.Context(), claims[0][0], catalog.DeliveryOutcome{Status: 500, Error: "answered 500", RetryIn: -1}); err != nil {
			w.Fatal(err)
		}
		failed := w.call("GET", "/tenants/acme/deliveries?state=failed", "", 200)["deliveries"].([]any)
		w.equal("failed", len(failed), 1)
		w.equal("status", failed[0].(map[string]any)["lastStatus"], 500)
		w.equal("replayed", w.call("POST", "/tenants/acme/deliveries/replay", `{"failed":true}`, 200)["replayed"], 1)
		w.equal("one", w.call("POST", "/tenants/acme/deliveries/replay", `{"delivery":"`+failed[0].(map[string]any)["id"].(string)+`"}`, 200)["replayed"], 1)
		w.equal("a day's", w.call("POST", "/tenants/acme/deliveries/replay", `{"day":"`+day+`"}`, 200)["replayed"], 1)
		w.equal("tested", strings.HasPrefix(w.call("POST", hooks+"/"+id+"/test", "", 200)["delivery"].(string), "whd_"), true)
		w.equal("disabled", w.call("PUT", hooks+"/"+id, `{"enabled":false}`, 200)["disabledReason"], "by an operator")
		w.call("POST", hooks+"/"+id+"/test", "", 409)

		for _, c := range []struct {
			method, path, body string
			status             int
		}{
			{"POST", hooks, `{"url":"https://127.0.0.1/x"}`, 400},
			{"POST", hooks, `{"url":"http://hooks.example.com"}`, 400},
			{"POST", hooks, `{"url":"https://hooks.example.com","events":["x"]}`, 400},
			{"POST", hooks, `{"url":"https://hooks.example.com","events":[]}`, 400},
			{"POST", "/tenants/nobody/webhooks", `{"url":"https://hooks.example.com"}`, 404},
			{"PUT", hooks + "/" + id, `{"url":"ftp://x"}`, 400},
			{"PUT", hooks + "/whe_x", `{"enabled":true}`, 404},
			{"GET", "/tenants/nobody/webhooks", "", 404},
			{"GET", "/tenants/nobody/deliveries", "", 404},
			{"GET", "/tenants/acme/deliveries?before=x", "", 400},
			{"GET", "/tenants/acme/deliveries?day=x", "", 400},
			{"GET", "/tenants/acme/deliveries?state=lost", "", 400},
			{"GET", "/tenants/acme/deliveries?type=day.begun", "", 400},
			{"GET", "/tenants/acme/deliveries?limit=0", "", 400},
			{"POST", "/tenants/acme/deliveries/replay", `{}`, 400},
			{"POST", "/tenants/acme/deliveries/replay", `{"delivery":"whd_x"}`, 404},
			{"POST", "/tenants/nobody/webhooks/" + id + "/test", "", 404},
			{"DELETE", "/tenants/nobody/webhooks/" + id, "", 404},
			{"GET", hooks + "/" + id, "", 405},
			{"POST", hooks + "/" + id + "/rotate", `{"graceSeconds":-1}`, 400},
			{"POST", hooks + "/" + id + "/rotate", `{"graceSeconds":2592001}`, 400},
			{"POST", hooks + "/" + id + "/rotate", `{"graceSeconds":9223372036854775807}`, 400},
			{"POST", hooks + "/" + id + "/rotate", `{"graceSeconds":1.5}`, 400},
			{"POST", hooks + "/" + id + "/rotate", `{"grace":1}`, 400},
			{"POST", hooks + "/whe_x/rotate", "", 404},
			{"POST", "/tenants/nobody/webhooks/" + id + "/rotate", "", 404},
			{"GET", hooks + "/" + id + "/rotate", "", 405},
		} {
			w.call(c.method, c.path, c.body, c.status)
		}
		w.equal("deleted", w.call("DELETE", hooks+"/"+id, "", 200)["deleted"], id)
		w.equal("log", w.events("acme"), []string{"admin webhook.delete", "admin webhook.set", "admin webhook.test", "admin webhook.replay", "admin webhook.replay",
			"admin webhook.replay", "admin webhook.set", "admin webhook.rotate", "admin webhook.rotate", "admin webhook.rotate", "admin webhook.create"})
	})
}

func TestWebhookPages(t *testing.T) {
	onBoth(t, nil, func(w *world) {
		w.withWebhooks(admin.Config{Token: adminToken})
		session := w.session()
		tenant := "/admin/tenants/acme"
		if page := string(w.ask("GET", tenant, "", "Cookie", session).Body); !strings.Contains(page, "callvault webhook create --tenant acme") {
			w.Error("the page does not say how to add one")
		}
		w.call("POST", "/tenants/acme/webhooks", `{"url":"https://hooks.example.com/x?y=<script>"}`, 201)
		w.plan("acme", w.day)
		list, err := w.catalog.Deliveries(w.Context(), catalog.DeliveryQuery{Tenant: "acme", Limit: 1})
		if err != nil || len(list) != 1 {
			w.Fatal(list, err)
		}
		replay := tenant + "/deliveries/" + list[0].ID + "/replay"
		page := string(w.ask("GET", tenant, "", "Cookie", session).Body)
		for _, want := range []string{"https://hooks.example.com/x?y=&lt;script&gt;", "day.completed", string(w.day), `href="` + replay + `"`, "✓ enabled",
			`<td>next try ` + list[0].Next.UTC().Format("2006-01-02 15:04:05") + `</td>`,
			", events day.completed day.failed hour.rebuilt, "} {
			if !strings.Contains(page, want) {
				w.Errorf("the page does not show %s", want)
			}
		}
		ask := w.ask("GET", replay, "", "Cookie", session)
		if ask.Status != 200 || !strings.Contains(string(ask.Body), "Deliver day.completed of "+string(w.day)) {
			w.Errorf("asking answers %d: %s", ask.Status, ask.Body)
		}
		w.equal("asked only", w.events("acme"), []string{"admin webhook.create"})
		a := w.ask("POST", replay, "x=1", "Cookie", session)
		w.equal("done", []any{a.Status, a.Header.Get("Location")}, []any{303, tenant + "?done=replay&n=1"})
		if page := w.ask("GET", tenant+"?done=replay&n=1", "", "Cookie", session); !strings.Contains(string(page.Body), `role="status"`) {
			w.Error("nothing says that it was done")
		}
		w.equal("unknown", w.ask("GET", tenant+"/deliveries/whd_x/replay", "", "Cookie", session).Status, 404)
		w.equal("unknown", w.ask("POST", tenant+"/deliveries/whd_x/replay", "x=1", "Cookie", session).Status, 404)
		w.equal("log", w.events("acme"), []string{"admin webhook.replay", "admin webhook.create"})

		w.call("PUT", "/tenants/acme/webhooks/"+list[0].Endpoint, `{"enabled":false}`, 200)
		w.call("POST", "/tenants/acme/webhooks", `{"url":"https://hooks.example.com/second"}`, 201)
		origin := catalog.Origin{Actor: "command"}
		for action, detail := range map[string]any{"app.create": map[string]any{"id": "app_1", "name": ""},
			"tenant.create": map[string]any{"settings": map[string]any{"dayLimit": 5, "features": []string{"a", "b"}}}} {
			if err := w.catalog.AppendAudit(w.Context(), origin, "acme", action, detail); err != nil {
				w.Fatal(err)
			}
		}
		page = string(w.ask("GET", tenant, "", "Cookie", session).Body)
		for _, want := range []string{"<td>next try when the webhook is enabled</td>", `<td class="nowrap">` + list[0].Endpoint + `</td>`, ">id app_1<", ">settings dayLimit 5, features a b<"} {
			if !strings.Contains(page, want) {
				w.Errorf("the page does not show %s", want)
			}
		}
	})
}

// TestRotatePages makes new secrets from the console: each is shown once, on a page that nobody keeps.
func TestRotatePages(t *testing.T) {
	onBoth(t, nil, func(w *world) {
		w.withWebhooks(admin.Config{Token: adminToken})
		session := w.session()
		made := w.call("POST", "/tenants/acme/webhooks", `{"url":"https://hooks.example.com/x"}`, 201)
		id := made["id"].(string)
		tenant := "/admin/tenants/acme"
		rotate := tenant + "/webhooks/" + id + "/rotate"
		if page := string(w.ask("GET", tenant, "", "Cookie", session).Body); !strings.Contains(page, `href="`+rotate+`"`) {
			w.Error("the tenant's page does not offer a new secret")
		}
		ask := w.ask("GET", rotate, "", "Cookie", session)
		if ask.Status != 200 || !strings.Contains(string(ask.Body), "hooks.example.com") || !strings.Contains(string(ask.Body), `name="former" value="end"`) {
			w.Errorf("asking answers %d: %s", ask.Status, ask.Body)
		}
		w.equal("asked only", w.events("acme"), []string{"admin webhook.create"})
		shown := regexp.MustCompile(`whsec_[A-Za-z0-9+/=]+`)
		seen := map[string]bool{made["secret"].(string): true}
		for _, former := range []string{"grace", "end"} {
			a := w.ask("POST", rotate, "former="+former, "Cookie", session)
			secret := html.UnescapeString(string(a.Body))
			secret = shown.FindString(secret)
			if a.Status != 200 || a.Header.Get("Cache-Control") != "no-store" || secret == "" || seen[secret] {
				w.Errorf("%s answers %d, %v: %s", former, a.Status, a.Header, a.Body)
			}
			seen[secret] = true
			e, err := w.catalog.Endpoint(w.Context(), "acme", id)
			if err != nil {
				w.Fatal(err)
			}
			w.equal("the former signs too, "+former, e.Former.Data != nil, former == "grace")
		}
		if page := string(w.ask("GET", tenant, "", "Cookie", session).Body); strings.Contains(page, "whsec_") {
			w.Error("the tenant's page shows a secret")
		}
		for _, method := range []string{"GET", "POST"} {
			w.equal("unknown", w.ask(method, tenant+"/webhooks/whe_x/rotate", "", "Cookie", session).Status, 404)
		}
		w.equal("log", w.events("acme"), []string{"admin webhook.rotate", "admin webhook.rotate", "admin webhook.create"})
	})
}

func TestWebhooksReadOnly(t *testing.T) {
	w := newWorld(t, apitest.SQLite(t), nil)
	w.withWebhooks(admin.Config{Token: adminToken})
	id := w.call("POST", "/tenants/acme/webhooks", `{"url":"https://hooks.example.com/x"}`, 201)["id"].(string)
	w.plan("acme", w.day)
	w.withWebhooks(admin.Config{Token: adminToken, ReadOnly: true})
	hooks := "/tenants/acme/webhooks"
	w.call("GET", hooks, "", 200)
	for _, c := range [][3]string{{"POST", hooks, `{"url":"https://hooks.example.com/x"}`}, {"PUT", hooks + "/" + id, `{"enabled":false}`}, {"DELETE", hooks + "/" + id, ""},
		{"POST", hooks + "/" + id + "/test", ""}, {"POST", hooks + "/" + id + "/rotate", ""}, {"POST", "/tenants/acme/deliveries/replay", `{"failed":true}`}} {
		w.call(c[0], c[1], c[2], 403)
	}
	rotate := "/admin/tenants/acme/webhooks/" + id + "/rotate"
	w.equal("asked", w.ask("GET", rotate, "", "Cookie", w.session()).Status, 403)
	w.equal("done", w.ask("POST", rotate, "x=1", "Cookie", w.session()).Status, 403)
	if page := string(w.ask("GET", "/admin/tenants/acme", "", "Cookie", w.session()).Body); strings.Contains(page, "Replay…") || strings.Contains(page, "New secret…") || !strings.Contains(page, "day.completed") {
		w.Error("the page offers what it can't do")
	}
}

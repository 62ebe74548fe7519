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
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/webhooks"
)

// withWebhooks makes the handler with webhooks.
func (f *fixture) withWebhooks(cfg admin.Config) {
	f.Helper()
	vault, err := auth.NewVault("a master key of a good length, for tests")
	if err != nil {
		f.Fatal(err)
	}
	log := zaptest.NewLogger(f, zaptest.Level(zap.ErrorLevel))
	families, err := admin.New(cfg, admin.Deps{Catalog: f.catalog, Queue: f.queue, Redis: f.queue.Redis(), Endpoints: webhooks.NewEndpoints(f.catalog, vault, webhooks.Rules{}),
		Log: log, Now: time.Now})
	if err != nil {
		f.Fatal(err)
	}
	f.handler = api.New(api.Config{BasePath: cfg.BasePath}, api.Deps{Families: families, Log: log, Now: time.Now})
}

func TestWebhookAPI(t *testing.T) {
	onBoth(t, nil, func(f *fixture) {
		f.withWebhooks(admin.Config{Token: adminToken})
		hooks, day := "/tenants/acme/webhooks", string(f.day)
		made := f.call("POST", hooks, `{"url":"https://hooks.example.com/x","events":["hour.rebuilt","day.completed"]}`, 201)
		id := made["id"].(string)
		f.equal("secret", strings.HasPrefix(made["secret"].(string), "whsec_"), true)
		f.equal("events", made["events"], []string{"day.completed", "hour.rebuilt"})
		list := f.call("GET", hooks, "", 200)["webhooks"].([]any)
		f.equal("listed", len(list), 1)
		f.equal("secret, listed", list[0].(map[string]any)["secret"], nil)
		secrets := map[any]bool{made["secret"]: true}
		for _, body := range []string{"", `{"graceSeconds":0}`, `{"graceSeconds":2592000}`} {
			rotated := f.call("POST", hooks+"/"+id+"/rotate", body, 200)
			f.equal("rotated", []any{rotated["id"], strings.HasPrefix(rotated["secret"].(string), "whsec_"), secrets[rotated["secret"]]}, []any{id, true, false})
			secrets[rotated["secret"]] = true
			e, err := f.catalog.Endpoint(f.Context(), "acme", id)
			if err != nil {
				f.Fatal(err)
			}
			f.equal("the former signs too after "+body, e.Former.Data != nil, body != `{"graceSeconds":0}`)
		}
		f.equal("all events", f.call("PUT", hooks+"/"+id, `{"events":["day.failed","day.completed","hour.rebuilt"]}`, 200)["events"],
			[]string{"day.completed", "day.failed", "hour.rebuilt"})

		f.plan("acme", f.day)
		if err := catalogtest.ShiftClock(f.Context(), f.catalog, time.Second); err != nil { // SQLite's clock has milliseconds, and both could have the same
			f.Fatal(err)
		}
		f.plan("acme", f.day.Add(-1))
		page := f.call("GET", "/tenants/acme/deliveries?limit=1", "", 200)
		f.equal("a page", len(page["deliveries"].([]any)), 1)
		next := page["next"].(string)
		page = f.call("GET", "/tenants/acme/deliveries?limit=1&before="+next, "", 200)
		f.equal("the last page's next", page["next"], nil)
		d := page["deliveries"].([]any)[0].(map[string]any)
		f.equal("delivery", []any{d["type"], d["day"], d["state"], d["webhook"], d["lastStatus"]}, []any{"day.completed", day, "pending", id, nil})
		f.equal("of a day", len(f.call("GET", "/tenants/acme/deliveries?state=pending&type=day.completed&day="+day+"&webhook="+id, "", 200)["deliveries"].([]any)), 1)

		claims, err := f.catalog.ClaimDeliveries(f.Context(), outbox.DeliveryLimits{Endpoint: 2, Tenant: 9}, time.Minute, 1)
		if err != nil || len(claims) != 1 {
			f.Fatal(claims, err)
		}
		if err := f.catalog.RecordDelivery(f.Context(), claims[0][0], outbox.DeliveryOutcome{Status: 500, Error: "answered 500", RetryIn: -1}); err != nil {
			f.Fatal(err)
		}
		failed := f.call("GET", "/tenants/acme/deliveries?state=failed", "", 200)["deliveries"].([]any)
		f.equal("failed", len(failed), 1)
		f.equal("status", failed[0].(map[string]any)["lastStatus"], 500)
		f.equal("replayed", f.call("POST", "/tenants/acme/deliveries/replay", `{"failed":true}`, 200)["replayed"], 1)
		f.equal("one", f.call("POST", "/tenants/acme/deliveries/replay", `{"delivery":"`+failed[0].(map[string]any)["id"].(string)+`"}`, 200)["replayed"], 1)
		f.equal("a day's", f.call("POST", "/tenants/acme/deliveries/replay", `{"day":"`+day+`"}`, 200)["replayed"], 1)
		f.equal("tested", strings.HasPrefix(f.call("POST", hooks+"/"+id+"/test", "", 200)["delivery"].(string), "whd_"), true)
		f.equal("disabled", f.call("PUT", hooks+"/"+id, `{"enabled":false}`, 200)["disabledReason"], "by an operator")
		f.call("POST", hooks+"/"+id+"/test", "", 409)

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
			f.call(c.method, c.path, c.body, c.status)
		}
		f.equal("deleted", f.call("DELETE", hooks+"/"+id, "", 200)["deleted"], id)
		f.equal("log", f.events("acme"), []string{"admin webhook.delete", "admin webhook.set", "admin webhook.test", "admin webhook.replay", "admin webhook.replay",
			"admin webhook.replay", "admin webhook.set", "admin webhook.rotate", "admin webhook.rotate", "admin webhook.rotate", "admin webhook.create"})
	})
}

func TestWebhookPages(t *testing.T) {
	onBoth(t, nil, func(f *fixture) {
		f.withWebhooks(admin.Config{Token: adminToken})
		session := f.session()
		tenant := "/admin/tenants/acme"
		if page := string(f.ask("GET", tenant, "", "Cookie", session).Body); !strings.Contains(page, "callvault webhook create --tenant acme") {
			f.Error("the page does not say how to add one")
		}
		f.call("POST", "/tenants/acme/webhooks", `{"url":"https://hooks.example.com/x?y=<script>"}`, 201)
		f.plan("acme", f.day)
		list, err := f.catalog.Deliveries(f.Context(), outbox.DeliveryQuery{Tenant: "acme", Limit: 1})
		if err != nil || len(list) != 1 {
			f.Fatal(list, err)
		}
		replay := tenant + "/deliveries/" + list[0].ID + "/replay"
		page := string(f.ask("GET", tenant, "", "Cookie", session).Body)
		for _, want := range []string{"https://hooks.example.com/x?y=&lt;script&gt;", "day.completed", string(f.day), `href="` + replay + `"`, "✓ enabled",
			`<td>next try ` + list[0].Next.UTC().Format("2006-01-02 15:04:05") + `</td>`,
			", events day.completed day.failed day.short hour.rebuilt, "} {
			if !strings.Contains(page, want) {
				f.Errorf("the page does not show %s", want)
			}
		}
		ask := f.ask("GET", replay, "", "Cookie", session)
		if ask.Status != 200 || !strings.Contains(string(ask.Body), "Deliver day.completed of "+string(f.day)) {
			f.Errorf("asking answers %d: %s", ask.Status, ask.Body)
		}
		f.equal("asked only", f.events("acme"), []string{"admin webhook.create"})
		a := f.ask("POST", replay, "x=1", "Cookie", session)
		f.equal("done", []any{a.Status, a.Header.Get("Location")}, []any{303, tenant + "?done=replay&n=1"})
		if page := f.ask("GET", tenant+"?done=replay&n=1", "", "Cookie", session); !strings.Contains(string(page.Body), `role="status"`) {
			f.Error("nothing says that it was done")
		}
		f.equal("unknown", f.ask("GET", tenant+"/deliveries/whd_x/replay", "", "Cookie", session).Status, 404)
		f.equal("unknown", f.ask("POST", tenant+"/deliveries/whd_x/replay", "x=1", "Cookie", session).Status, 404)
		f.equal("log", f.events("acme"), []string{"admin webhook.replay", "admin webhook.create"})

		f.call("PUT", "/tenants/acme/webhooks/"+list[0].Endpoint, `{"enabled":false}`, 200)
		f.call("POST", "/tenants/acme/webhooks", `{"url":"https://hooks.example.com/second"}`, 201)
		origin := audit.Origin{Actor: "command"}
		for action, detail := range map[string]any{"app.create": map[string]any{"id": "app_1", "name": ""},
			"tenant.create": map[string]any{"settings": map[string]any{"dayLimit": 5, "features": []string{"a", "b"}}}} {
			if err := f.catalog.AppendAudit(f.Context(), origin, "acme", action, detail); err != nil {
				f.Fatal(err)
			}
		}
		page = string(f.ask("GET", tenant, "", "Cookie", session).Body)
		for _, want := range []string{"<td>next try when the webhook is enabled</td>", `<td class="nowrap">` + list[0].Endpoint + `</td>`, ">id app_1<", ">settings dayLimit 5, features a b<"} {
			if !strings.Contains(page, want) {
				f.Errorf("the page does not show %s", want)
			}
		}
	})
}

// TestRotatePages makes new secrets in the console. Each is shown once, on a page that is not
// cached.
func TestRotatePages(t *testing.T) {
	onBoth(t, nil, func(f *fixture) {
		f.withWebhooks(admin.Config{Token: adminToken})
		session := f.session()
		made := f.call("POST", "/tenants/acme/webhooks", `{"url":"https://hooks.example.com/x"}`, 201)
		id := made["id"].(string)
		tenant := "/admin/tenants/acme"
		rotate := tenant + "/webhooks/" + id + "/rotate"
		if page := string(f.ask("GET", tenant, "", "Cookie", session).Body); !strings.Contains(page, `href="`+rotate+`"`) {
			f.Error("the tenant's page does not offer a new secret")
		}
		ask := f.ask("GET", rotate, "", "Cookie", session)
		if ask.Status != 200 || !strings.Contains(string(ask.Body), "hooks.example.com") || !strings.Contains(string(ask.Body), `name="former" value="end"`) {
			f.Errorf("asking answers %d: %s", ask.Status, ask.Body)
		}
		f.equal("asked only", f.events("acme"), []string{"admin webhook.create"})
		shown := regexp.MustCompile(`whsec_[A-Za-z0-9+/=]+`)
		seen := map[string]bool{made["secret"].(string): true}
		for _, former := range []string{"grace", "end"} {
			a := f.ask("POST", rotate, "former="+former, "Cookie", session)
			secret := html.UnescapeString(string(a.Body))
			secret = shown.FindString(secret)
			if a.Status != 200 || a.Header.Get("Cache-Control") != "no-store" || secret == "" || seen[secret] {
				f.Errorf("%s answers %d, %v: %s", former, a.Status, a.Header, a.Body)
			}
			seen[secret] = true
			e, err := f.catalog.Endpoint(f.Context(), "acme", id)
			if err != nil {
				f.Fatal(err)
			}
			f.equal("the former signs too, "+former, e.Former.Data != nil, former == "grace")
		}
		if page := string(f.ask("GET", tenant, "", "Cookie", session).Body); strings.Contains(page, "whsec_") {
			f.Error("the tenant's page shows a secret")
		}
		for _, method := range []string{"GET", "POST"} {
			f.equal("unknown", f.ask(method, tenant+"/webhooks/whe_x/rotate", "", "Cookie", session).Status, 404)
		}
		f.equal("log", f.events("acme"), []string{"admin webhook.rotate", "admin webhook.rotate", "admin webhook.create"})
	})
}

func TestWebhooksReadOnly(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), nil)
	f.withWebhooks(admin.Config{Token: adminToken})
	id := f.call("POST", "/tenants/acme/webhooks", `{"url":"https://hooks.example.com/x"}`, 201)["id"].(string)
	f.plan("acme", f.day)
	f.withWebhooks(admin.Config{Token: adminToken, ReadOnly: true})
	hooks := "/tenants/acme/webhooks"
	f.call("GET", hooks, "", 200)
	for _, c := range [][3]string{{"POST", hooks, `{"url":"https://hooks.example.com/x"}`}, {"PUT", hooks + "/" + id, `{"enabled":false}`}, {"DELETE", hooks + "/" + id, ""},
		{"POST", hooks + "/" + id + "/test", ""}, {"POST", hooks + "/" + id + "/rotate", ""}, {"POST", "/tenants/acme/deliveries/replay", `{"failed":true}`}} {
		f.call(c[0], c[1], c[2], 403)
	}
	rotate := "/admin/tenants/acme/webhooks/" + id + "/rotate"
	f.equal("asked", f.ask("GET", rotate, "", "Cookie", f.session()).Status, 403)
	f.equal("done", f.ask("POST", rotate, "x=1", "Cookie", f.session()).Status, 403)
	if page := string(f.ask("GET", "/admin/tenants/acme", "", "Cookie", f.session()).Body); strings.Contains(page, "Replay…") || strings.Contains(page, "New secret…") || !strings.Contains(page, "day.completed") {
		f.Error("the page offers what it can't do")
	}
}

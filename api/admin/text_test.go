package admin_test

import (
	"testing"

	"github.com/callvault/callvault/api/admin"
)

// Names that no database column can hold are never answered 500.
func TestInvalidText(t *testing.T) {
	onBoth(t, nil, func(f *fixture) {
		f.withWebhooks(admin.Config{Token: adminToken})
		session := f.session()
		for _, c := range []struct {
			method, path, body string
		}{
			{"GET", "/tenants/%00", ""},
			{"GET", "/tenants/%00/webhooks", ""},
			{"GET", "/tenants/%00/deliveries", ""},
			{"POST", "/tenants/acme/deliveries/replay", `{"delivery":"\u0000"}`},
			{"POST", "/tenants/%00/deliveries/replay", `{"failed":true}`},
			{"POST", "/tenants/acme/webhooks/%00/test", ""},
			{"PUT", "/tenants/acme/webhooks/%00", `{"enabled":true}`},
			{"DELETE", "/tenants/acme/webhooks/%00", ""},
			{"POST", "/tenants/%00/webhooks", `{"url":"https://hooks.example.com/x"}`},
			{"GET", "/tenants/%00/days/2025-01-01", ""},
			{"POST", "/tenants/%00/days/2025-01-01/rebuild", ""},
			{"PUT", "/tenants/%00/features/export_api", `{"enabled":true}`},
		} {
			a := f.ask(c.method, "/api/admin/v1"+c.path, c.body, "Authorization", "Bearer "+adminToken)
			if a.Status != 404 && a.Status != 400 {
				t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, a.Status, a.Body)
			}
		}
		for _, webhook := range []string{`\u0000`, `\ud800`, "\xff"} {
			if a := f.ask("POST", "/api/admin/v1/tenants/acme/deliveries/replay", `{"failed":true,"webhook":"`+webhook+`"}`, "Authorization", "Bearer "+adminToken); a.Status != 400 {
				t.Errorf("the webhook %q answers %d", webhook, a.Status)
			}
		}
		for _, path := range []string{"/admin/tenants/%00", "/admin/tenants/%ff", "/admin/tenants/acme/deliveries/%00/replay", "/admin/tenants/%00/days/2025-01-01"} {
			if a := f.ask("GET", path, "", "Cookie", session); a.Status != 404 {
				t.Errorf("%s answers %d", path, a.Status)
			}
		}
	})
}

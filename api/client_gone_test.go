package api_test

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/zap/zapcore"

	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/api/internal/web"
)

// TestClientGone checks that a client that goes away is no outage, at any endpoint and at any time.
func TestClientGone(t *testing.T) {
	for name, database := range apitest.Databases() {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, database(t))
			form := url.Values{"grant_type": {"client_credentials"}, "client_id": {f.app.ID}, "client_secret": {f.secret}}.Encode()
			var token struct {
				Access string `json:"access_token"`
			}
			f.must(json.Unmarshal(f.ok(f.ask(t.Context(), "POST", "/connect/token", form)).Body.Bytes(), &token))
			dayPath := "/api/external/conversations/daily-audio-recordings/" + string(f.day)
			var day struct{ Links []struct{ URL *string } }
			f.must(json.Unmarshal(f.ok(f.ask(t.Context(), "GET", dayPath, "", "Authorization", "Bearer "+token.Access)).Body.Bytes(), &day))
			const export = `{"conversationId":"c1","includeRecording":true}`
			var exported struct {
				Conversation struct{ Recording struct{ SignedURL string } }
			}
			f.must(json.Unmarshal(f.ok(f.ask(t.Context(), "POST", "/export/conversation", export, "x-api-key", f.key, "Content-Type", "application/json")).Body.Bytes(), &exported))
			session := f.ok(f.ask(t.Context(), "POST", "/admin/signin", "token="+operatorToken)).Header().Get("Set-Cookie")
			console := []string{"Cookie", session[:strings.IndexByte(session, ';')]}
			operator := []string{"Authorization", "Bearer " + operatorToken}
			key := []string{"x-api-key", f.key}
			for _, c := range []struct {
				method, path, body string
				headers            []string
			}{
				{"POST", "/connect/token", form, nil},
				{"GET", dayPath, "", []string{"Authorization", "Bearer " + token.Access}},
				{"GET", *day.Links[14].URL, "", nil},
				{"GET", *day.Links[14].URL, "", []string{"Range", "bytes=1-"}},
				{"POST", "/api/ingest/v1/records", `{"kind":"agent","agentId":"ag","name":"Bot","mode":"text"}`, f.platform()},
				{"PUT", "/api/ingest/v1/audio/k/a.opus", strings.Repeat("a", 300<<10), f.platform()},
				{"POST", "/export/conversation", export, append(key, "Content-Type", "application/json")},
				{"GET", exported.Conversation.Recording.SignedURL, "", nil},
				{"GET", "/conversations/export/v1/conversations?bot_name=Bot&start_time=0&end_time=2000000000", "", key},
				{"GET", "/conversations/export/v1/messages?bot_name=Bot&start_time=0&end_time=2000000000", "", append(key, "Accept", web.NDJSON)},
				{"GET", "/conversations?summary_mode=include", "", key},
				{"GET", "/conversations/c1", "", key},
				{"GET", "/v1/convai/conversations/c1/audio", "", key},
				{"GET", "/api/admin/v1/calendar", "", operator},
				{"POST", "/api/admin/v1/tenants/acme/days/" + string(f.day) + "/rebuild", "{}", operator},
				{"GET", "/api/admin/v1/running", "", operator},
				{"GET", "/admin", "", console},
				{"GET", "/admin/tenants/acme", "", console},
				{"GET", "/admin/tenants/acme/days/" + string(f.day) + "/hours/14", "", console},
				{"POST", "/admin/tenants/acme/days/" + string(f.day) + "/rebuild", "hours=all", console},
				{"GET", "/admin/running/part", "", console},
				{"GET", "/admin/queues/api/queues", "", console},
			} {
				f.goesAway(c.method, c.path, c.body, c.headers...)
			}
		})
	}
}

// goesAway sends a request again and again. Each time its client stays for one more operation of
// the catalog, until the request is answered before it goes away.
func (f *fixture) goesAway(method, path, body string, headers ...string) {
	f.Helper()
	route, _, _ := strings.Cut(path, "?")
	for stays := range 30 {
		_ = f.logs.TakeAll()
		ctx, cancel := context.WithCancel(f.Context())
		f.operations.Store(int64(stays))
		f.goAway.Store(&cancel)
		if stays == 0 {
			cancel()
		}
		w := f.ask(ctx, method, path, body, headers...)
		f.goAway.Store(nil)
		gone := ctx.Err() != nil
		cancel()
		for _, line := range f.logs.All() {
			if line.Level >= zapcore.WarnLevel {
				f.Errorf("%s %s, gone after %d operations: %s %v", method, route, stays, line.Message, line.ContextMap())
			}
			if status, known := line.ContextMap()["status"].(int64); known && status != 499 && (status >= 400 || status == 0) {
				f.Errorf("%s %s, gone after %d operations: logged as %d", method, route, stays, status)
			}
		}
		if !gone {
			f.ok(w)
			return
		}
	}
	f.Errorf("%s %s never ends", method, route)
}

package exports_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/callvault/callvault/api/exports"
	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/conversations"
	"github.com/callvault/callvault/internal/domain"
)

const (
	noCredential = "Authentication required: either x-internal-token or x-api-key header"
	badKey       = "Invalid API key"
	badToken     = "Invalid internal token"
	noOrg        = "Organization ID missing for internal requests. Please provide x-organization-id header."
	notFound     = "Conversation not found or you don't have access to this conversation"
	good         = `{"conversationId":"` + sampleID + `"}`
)

func TestCredentials(t *testing.T) {
	onBoth(t, func(f *fixture) {
		_, foreign, err := f.c.CreateAPIKey(f.Context(), "org_456", "other", audit.Origin{})
		f.must(err)
		off, disabled, err := f.c.CreateAPIKey(f.Context(), "org_123", "disabled", audit.Origin{})
		f.must(err)
		f.must(f.c.DisableCredential(f.Context(), catalog.CredentialKey, off.ID, true, audit.Origin{}))
		for name, c := range map[string]struct {
			headers []string
			status  int
			detail  string
		}{
			"key":                            {[]string{"x-api-key", f.key}, 200, ""},
			"bearer":                         {[]string{"Authorization", "Bearer " + f.key}, 200, ""},
			"bearer in small letters":        {[]string{"Authorization", "bearer " + f.key}, 200, ""},
			"internal":                       {[]string{"x-internal-token", internal, "x-organization-id", "org_123"}, 200, ""},
			"key before bearer":              {[]string{"x-api-key", f.key, "Authorization", "Bearer wrong"}, 200, ""},
			"empty key, bearer":              {[]string{"x-api-key", "", "Authorization", "Bearer " + f.key}, 200, ""},
			"nothing":                        {nil, 401, noCredential},
			"empty key":                      {[]string{"x-api-key", ""}, 401, noCredential},
			"empty bearer":                   {[]string{"Authorization", "Bearer "}, 401, noCredential},
			"basic":                          {[]string{"Authorization", "Basic eDp5"}, 401, noCredential},
			"an organization alone":          {[]string{"x-organization-id", "org_123"}, 401, noCredential},
			"wrong key":                      {[]string{"x-api-key", "test-api-key-123"}, 401, badKey},
			"wrong bearer":                   {[]string{"Authorization", "Bearer demo-api-key-456"}, 401, badKey},
			"disabled key":                   {[]string{"x-api-key", disabled}, 401, badKey},
			"two keys":                       {[]string{"x-api-key", f.key, "x-api-key", f.key}, 401, badKey},
			"two bearers":                    {[]string{"Authorization", "Bearer " + f.key, "Authorization", "Bearer " + f.key}, 401, badKey},
			"key that is not text":           {[]string{"x-api-key", "\xff\xfe"}, 401, badKey},
			"another tenant's key":           {[]string{"x-api-key", foreign}, 404, notFound},
			"wrong token":                    {[]string{"x-internal-token", "wrong", "x-organization-id", "org_123"}, 401, badToken},
			"empty token":                    {[]string{"x-internal-token", "", "x-organization-id", "org_123"}, 401, noCredential},
			"two tokens":                     {[]string{"x-internal-token", internal, "x-internal-token", internal, "x-organization-id", "org_123"}, 401, badToken},
			"wrong token beside a good key":  {[]string{"x-internal-token", "wrong", "x-api-key", f.key}, 401, badToken},
			"empty token beside a good key":  {[]string{"x-internal-token", "", "x-api-key", f.key}, 200, ""},
			"empty key beside a token":       {[]string{"x-api-key", "", "x-internal-token", internal, "x-organization-id", "org_123"}, 200, ""},
			"empty key beside a good key":    {[]string{"x-api-key", "", "x-api-key", f.key}, 200, ""},
			"empty bearer beside a good key": {[]string{"Authorization", "", "Authorization", "Bearer " + f.key}, 200, ""},
			"a key that the token overrules": {[]string{"x-internal-token", internal, "x-organization-id", "org_123", "x-api-key", foreign}, 200, ""},
			"no organization":                {[]string{"x-internal-token", internal}, 400, noOrg},
			"no organization, a key":         {[]string{"x-internal-token", internal, "x-api-key", f.key}, 400, noOrg},
			"empty organization":             {[]string{"x-internal-token", internal, "x-organization-id", ""}, 400, noOrg},
			"two organizations":              {[]string{"x-internal-token", internal, "x-organization-id", "org_123", "x-organization-id", "org_456"}, 400, "x-organization-id must be given once"},
			"long organization":              {[]string{"x-internal-token", internal, "x-organization-id", strings.Repeat("o", 513)}, 400, "x-organization-id is longer than 512 bytes"},
			"unknown organization":           {[]string{"x-internal-token", internal, "x-organization-id", "org_789"}, 404, notFound},
			"no organization's name":         {[]string{"x-internal-token", internal, "x-organization-id", "org 123\xff"}, 404, notFound},
			"another organization":           {[]string{"x-internal-token", internal, "x-organization-id", "org_456"}, 404, notFound},
		} {
			f.Run(name, func(t *testing.T) {
				for _, path := range paths() {
					one := *f
					one.T = t
					a := one.ask(path, "application/json", good, c.headers...)
					if c.status == http.StatusOK {
						if d := read(t, a.Body); a.Status != 200 || d.ExportMetadata.OrganizationID != "org_123" {
							t.Fatalf("%s answered %d %s", path, a.Status, a.Body)
						}
						continue
					}
					one.want(a, c.status, c.detail)
				}
			})
		}
	})
}

// An unset internal token matches nothing, not even an empty header.
func TestNoInternalToken(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), exports.Config{})
	f.deps.Internal = nil
	f.mount(exports.Config{PublicURL: public})
	for token, detail := range map[string]string{"": noCredential, internal: badToken} {
		f.want(f.ask(jsonPath, "application/json", good, "x-internal-token", token, "x-organization-id", "org_123"), 401, detail)
	}
}

// After ten wrong internal tokens from one address further ones are answered 429. The right one and
// API keys are answered as before.
func TestWrongInternalTokens(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), exports.Config{})
	for range 10 {
		f.want(f.ask(jsonPath, "application/json", good, "x-internal-token", "wrong", "x-organization-id", "org_123"), 401, badToken)
	}
	a := f.ask(formPath, "application/json", good, "x-internal-token", "wrong", "x-organization-id", "org_123")
	f.want(a, 429, "Too many wrong internal tokens came from this address, please try again later or with the right one")
	if a.Header.Get("Retry-After") == "" {
		t.Error("a 429 without Retry-After")
	}
	for _, headers := range [][]string{{"x-internal-token", internal, "x-organization-id", "org_123"}, {"x-api-key", f.key}} {
		if a := f.ask(jsonPath, "application/json", good, headers...); a.Status != 200 {
			t.Errorf("%s: answered %d %s", headers[0], a.Status, a.Body)
		}
	}
}

// Another tenant's conversation, one that only recordings name, and one that does not exist get the
// same answer.
func TestIsolation(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load("org_456", []byte(`{"kind":"conversation","conversationId":"theirs","agentId":"a","startTime":"2024-01-15T10:30:00Z"}`))
		_, err := f.c.Register(f.Context(), "org_123", catalog.Batch{Recordings: []catalog.Line[domain.Recording]{{Number: 1, Value: domain.Recording{
			ObjectKey: "k", ConversationID: "stubbed", SessionID: "s", Type: "t", Timestamp: time.Now().Add(-time.Hour)}}}})
		f.must(err)
		for _, headers := range [][]string{{"x-api-key", f.key}, {"Authorization", "Bearer " + f.key}, {"x-internal-token", internal, "x-organization-id", "org_123"}} {
			headers = append(headers, "X-Request-Id", "same")
			want := f.ask(jsonPath, "application/json", `{"conversationId":"nobody"}`, headers...)
			f.want(want, 404, notFound)
			for _, id := range []string{"theirs", "stubbed"} {
				if diff := cmp.Diff(want, f.ask(jsonPath, "application/json", `{"conversationId":"`+id+`"}`, headers...)); diff != "" {
					f.Errorf("%s: %s", id, diff)
				}
			}
		}
	})
}

func TestRouting(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), exports.Config{})
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"} {
		for _, path := range paths() {
			a := f.spec.Do(t, f.h, request(method, path))
			if a.Status != 405 || a.Header.Get("Allow") != "POST" {
				t.Errorf("%s %s answered %d, Allow %q", method, path, a.Status, a.Header.Get("Allow"))
			}
		}
	}
	a := f.spec.Do(t, f.h, request("POST", "/api/export/recording"))
	if a.Status != 405 || a.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("answered %d, Allow %q", a.Status, a.Header.Get("Allow"))
	}
	for _, path := range []string{"/api/export", "/api/export/", "/export", "/export/conversation/", "/export/conversation/json", "/api/export/conversation%2fjson", "/export/Conversation"} {
		a := apitest.Do(f.h, request("POST", path))
		f.want(a, 404, "Not Found")
	}
}

func TestFaults(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), exports.Config{})
	down := domain.Errorf(domain.KindUnavailable, "down")
	const later = "Export is temporarily unavailable, please try again"
	for name, c := range map[string]struct {
		c      faulty
		status int
		detail string
	}{
		"keys":      {faulty{authenticate: down}, 503, later},
		"catalog":   {faulty{export: down}, 503, later},
		"broken":    {faulty{export: domain.Errorf(domain.KindBadCatalog, "x")}, 500, "Export failed"},
		"audit log": {faulty{audit: down}, 503, later},
	} {
		t.Run(name, func(t *testing.T) {
			c.c.Catalog, c.c.Reader = f.c, conversations.New(f.c.DB())
			f.want(f.with(c.c).ask(jsonPath, "application/json", good, "x-api-key", f.key), c.status, c.detail)
		})
	}
	f.store.Fail = down
	f.want(f.ask(jsonPath, "application/json", good, "x-api-key", f.key), 503, later)
	if d := f.export(sampleID, `,"includeRecording":false`); d.Conversation.Recording != nil {
		t.Fatal("a recording that was not asked for")
	}
}

func TestAudit(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), exports.Config{})
	a := f.ask(jsonPath, "application/json", `{"conversationId":"`+sampleID+`","includeAnalysis":false}`, "x-api-key", f.key, "X-Request-Id", "r-1")
	d := read(t, a.Body)
	for _, part := range []string{"", "bytes=1-", "bytes=0-1"} { // a player asks for many parts
		r := request("GET", strings.TrimPrefix(d.Conversation.Recording.SignedURL, public))
		r.Header.Set("Range", part)
		apitest.Do(f.h, r)
	}
	f.ask(jsonPath, "application/json", `{"conversationId":"nobody"}`, "x-api-key", f.key)
	other := read(t, f.ask(jsonPath, "application/json", `{"conversationId":"`+sampleID+`"}`, "x-internal-token", internal, "x-organization-id", "org_123").Body)
	apitest.Do(f.h, request("GET", strings.TrimPrefix(other.Conversation.Recording.SignedURL, public)))
	got := apitest.Audited(t, f.c, "org_123", "export.conversation", "export.recording")
	want := []string{
		`key export.conversation {"conversation":"` + sampleID + `","transcript":true,"analysis":false,"recording":true,"object":"` + audioKey +
			`","until":"` + d.Conversation.Recording.URLExpiry + `","remote":"192.0.2.1","request":"r-1"}`,
		`link export.recording {"object":"` + audioKey + `","until":"` + d.Conversation.Recording.URLExpiry + `","remote":"192.0.2.1"`,
	}
	if len(got) != 4 || got[0] != want[0] || !strings.HasPrefix(got[1], want[1]) || !json.Valid([]byte(got[1][len("link export.recording "):])) {
		t.Fatalf("got %q", got)
	}
}

package admin_test

import (
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
)

// A hold is created, listed and released. A day that ends under it keeps its archives for
// operators.
func TestHoldAPI(t *testing.T) {
	onBoth(t, nil, func(f *fixture) {
		path := "/tenants/acme/holds"
		f.build(f.key("acme", f.day, 5), 10)
		for body, status := range map[string]int{
			`{"name":"a","reason":"r"}`:                                                400,
			`{"name":"a","all":true}`:                                                  400,
			`{"name":"","reason":"r","all":true}`:                                      400,
			`{"name":"a","reason":"r","fromDay":"2025-12-12","toDay":"2025-12-11"}`:    400,
			`{"name":"a","reason":"r","fromDay":"2025-12-12","toDay":"x","all":false}`: 400,
			`{"name":"a","reason":"r","conversations":["c"],"all":true}`:               400,
			`{"name":"a","reason":"r","days":1}`:                                       400,
		} {
			f.call("POST", path, body, status)
		}
		f.call("POST", "/tenants/nobody/holds", `{"name":"a","reason":"r","all":true}`, 404)
		made := f.call("POST", path, `{"name":"matter/7","reason":"letter","fromDay":"`+string(f.day)+`","toDay":"`+string(f.day)+`"}`, 201)
		f.equal("made", []any{made["scope"], made["fromDay"], made["sparedArchives"], made["createdBy"]}, []any{"days", string(f.day), 0., "admin"})
		f.equal("unknown", f.call("POST", path, `{"name":"b","reason":"r","conversations":["later"]}`, 201)["unknownConversations"], []string{"later"})
		f.call("POST", path, `{"name":"b","reason":"r","all":true}`, 409)
		f.equal("listed", len(f.call("GET", path, "", 200)["holds"].([]any)), 2)
		f.call("GET", "/tenants/nobody/holds", "", 404)

		if err := catalogtest.ShiftClock(f.Context(), f.catalog, 60*24*time.Hour); err != nil {
			f.Fatal(err)
		}
		if ended, err := f.catalog.ExpireDays(f.Context(), 10); err != nil || len(ended) != 1 {
			f.Fatal(ended, err)
		}
		hour := "/api/admin/v1/tenants/acme/days/" + string(f.day) + "/hours/05"
		a := apitest.LoadSpec(f, "openapi.yaml").Do(f, f.handler, request("GET", hour+"/archives/1", "", "Authorization", "Bearer "+adminToken))
		f.equal("archive", []any{a.Status, string(a.Body), a.Header.Get("Content-Type")}, []any{200, strings.Repeat("z", 10), "application/zip"})
		f.equal("state", f.call("GET", strings.TrimPrefix(hour, "/api/admin/v1"), "", 200)["archives"].([]any)[0].(map[string]any)["state"], "retained")
		for bad, status := range map[string]int{"/archives/2": 404, "/archives/x": 400, "/archives/0": 400} {
			f.equal(bad, f.ask("GET", hour+bad, "", "Authorization", "Bearer "+adminToken).Status, status)
		}
		var archiveKey string
		if err := f.catalog.DB().QueryRowContext(f.Context(), `SELECT object_key FROM archives`).Scan(&archiveKey); err != nil {
			f.Fatal(err)
		}
		info, err := f.archives.Stat(f.Context(), archiveKey)
		if err != nil {
			f.Fatal(err)
		}
		if _, err := f.catalog.DB().ExecContext(f.Context(), `UPDATE archives SET version_id = 'v1', etag = $1`, info.ETag); err != nil {
			f.Fatal(err)
		}
		for _, v := range []struct {
			version, bytes string
			status         int
		}{{"v1", "", 200}, {"a restored bucket's", "", 200}, {"what somebody puts over the key", "yyyyyyyyyy", 404}} {
			if f.archives.Version = v.version; v.bytes != "" {
				f.archives.Put(archiveKey, []byte(v.bytes))
			}
			f.equal(v.version, f.ask("GET", hour+"/archives/1", "", "Authorization", "Bearer "+adminToken).Status, v.status)
		}

		f.call("POST", path+"/release", `{"name":"matter/7"}`, 400)
		f.call("POST", path+"/release", `{"name":"none","reason":"r"}`, 404)
		f.equal("released", f.call("POST", path+"/release", `{"name":"matter/7","reason":"settled"}`, 200)["releaseReason"], "settled")
		f.equal("log", f.events("acme")[:4], []string{"admin hold.release", "admin archive.read", "admin hold.create", "admin hold.create"})
	})
}

package bulk_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/catalog/audit"
)

// TestAudit checks that the log names each walk and each stream, and each key that goes on with a
// walk.
func TestAudit(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	f.sample()
	walk := messagesPath + "?per_page=1&" + allTime
	f.walk(walk, nil)
	_, err := f.catalog.PutAPIKey(t.Context(), tenant, "other", "another key", audit.Origin{})
	f.must(err)
	next := walk + "&cursor=" + url.QueryEscape(*f.page(walk).Cursor)
	f.spec.Do(t, f.handler, request(http.MethodGet, next, "another key"))
	r := request(http.MethodGet, conversationsPath+"?"+allTime, sampleKey)
	r.Header.Set("Accept", "application/x-ndjson")
	f.spec.Do(t, f.handler, r)
	f.spec.Do(t, f.handler, request(http.MethodHead, conversationsPath+"?"+allTime, sampleKey))
	f.get(conversationsPath)
	got := apitest.Audited(t, f.catalog, tenant, "bulk.walk", "bulk.stream")
	want := []string{"walk messages false", "walk messages true", "walk messages false", "walk messages true", "stream conversations false"}
	for i, line := range got {
		action, detail, _ := strings.Cut(strings.TrimPrefix(line, "key bulk."), " ")
		var d struct {
			Endpoint  string
			Continues bool
		}
		f.must(json.Unmarshal([]byte(detail), &d))
		got[i] = fmt.Sprint(action, " ", d.Endpoint, " ", d.Continues)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, not %q", got, want)
	}
}

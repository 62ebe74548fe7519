package recordings_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
)

// line is what of a line of the audit log finds out whose link a download used.
type line struct {
	Object string    `json:"object"`
	Hour   string    `json:"hour"`
	Until  time.Time `json:"until"`
	Links  []struct {
		Object string `json:"object"`
		Hour   string `json:"hour"`
	} `json:"links"`
}

// TestDownloadsAreTraced gives two applications the same hour and finds in the audit log through
// which of them each download came.
func TestDownloadsAreTraced(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.build(4, zipText)
		b.build(14, zipText)
		other, _, err := b.cat.CreateApplication(b.Context(), "acme", "other", []string{auth.ScopeDataService})
		b.must(err)
		links := map[string]string{} // by application
		for _, app := range []catalog.Application{b.app, other} {
			b.token = b.issue(app, auth.ScopeDataService)
			links[app.ID] = b.link(14)
			b.pass(time.Second)
		}
		want := []string{other.ID, b.app.ID, other.ID}
		for _, app := range want {
			b.want(b.ask(http.MethodGet, links[app]), http.StatusOK, "")
		}
		issued := map[string]line{} // by actor
		var came []string
		b.must(b.cat.Audit(b.Context(), "acme", b.now().Add(-time.Hour), b.now().Add(time.Hour), func(e catalog.AuditEntry) error {
			var l line
			b.must(json.Unmarshal(e.Detail, &l))
			switch e.Action {
			case catalog.ActionDay:
				issued[e.Actor] = l
			case catalog.ActionDownload:
				for actor, day := range issued {
					if day.Until.Equal(l.Until) && day.Links[1].Object == l.Object && day.Links[1].Hour == l.Hour {
						came = append(came, actor[len("app:"):])
					}
				}
			}
			return nil
		}))
		if !slices.Equal(came, want) {
			b.Errorf("downloads came through %q, want %q", came, want)
		}
	})
}

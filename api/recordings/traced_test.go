package recordings_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
)

// line is the fields of an audit line that tell whose link a download used.
type line struct {
	Object string    `json:"object"`
	Hour   string    `json:"hour"`
	Until  time.Time `json:"until"`
	Links  []struct {
		Object string `json:"object"`
		Hour   string `json:"hour"`
	} `json:"links"`
}

// Two applications get links to the same hour. The audit log tells through whose link each download
// came.
func TestDownloadsAreTraced(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.build(4, zipText)
		f.build(14, zipText)
		other, _, err := f.cat.CreateApplication(f.Context(), "acme", "other", []string{auth.ScopeDataService}, audit.Origin{})
		f.must(err)
		links := map[string]string{} // by application
		for _, app := range []catalog.Application{f.app, other} {
			f.token = f.issue(app, auth.ScopeDataService)
			links[app.ID] = f.link(14)
			f.pass(time.Second)
		}
		want := []string{other.ID, f.app.ID, other.ID}
		for _, app := range want {
			f.want(f.ask(http.MethodGet, links[app]), http.StatusOK, "")
		}
		issued := map[string]line{} // by actor
		var came []string
		f.must(f.cat.Audit(f.Context(), "acme", f.now().Add(-time.Hour), f.now().Add(time.Hour), func(e audit.Entry) error {
			var l line
			f.must(json.Unmarshal(e.Detail, &l))
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
			f.Errorf("downloads came through %q, want %q", came, want)
		}
	})
}

package admin

import (
	"net/http"
	"strings"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// maxFaults is how many faults a page lists.
const maxFaults = 100

type faultJSON struct {
	catalog.Fault
	Hour    string `json:"hour"`
	FoundAt string `json:"foundAt"`
	Checked string `json:"checkedAt"`
}

func faultsAnswer(list []catalog.Fault) []faultJSON {
	out := []faultJSON{}
	for _, f := range list {
		out = append(out, faultJSON{f, domain.HourKey{Hour: f.Hour}.HH(), web.Time(f.Found), web.Time(f.Checked)})
	}
	return out
}

// getFaults is GET /api/admin/v1/faults.
func (h *handler) getFaults(r *http.Request) (any, error) {
	q, err := web.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	text, _, err := q.Text("after", 2*domain.MaxKeyBytes)
	if err != nil {
		return nil, err
	}
	var after catalog.Fault
	if text != "" {
		parts := strings.SplitN(text, "/", 3)
		if len(parts) != 3 {
			return nil, domain.Errorf(domain.KindInvalid, "after is not a position of this list")
		}
		after = catalog.Fault{Kind: parts[0], Tenant: parts[1], ObjectKey: parts[2]}
	}
	list, err := h.deps.Catalog.Faults(r.Context(), after, maxFaults+1)
	if err != nil {
		return nil, err
	}
	next := ""
	if len(list) > maxFaults {
		list = list[:maxFaults]
		last := list[maxFaults-1]
		next = last.Kind + "/" + last.Tenant + "/" + last.ObjectKey
	}
	return map[string]any{"faults": faultsAnswer(list), "next": web.TextOrNull(next)}, nil
}

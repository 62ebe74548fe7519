package admin

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

const (
	historyPage  = 50
	maxHistory   = 500
	historyBytes = 8 << 20 // of values on a page; one larger value has a page of its own
)

type formerJSON struct {
	Field      string          `json:"field"`
	Value      json.RawMessage `json:"value"`
	ReplacedAt string          `json:"replacedAt"`
	Origin     string          `json:"origin"`
}

// actionHistory is the action of the audit log when former values were given.
const actionHistory = "history.read"

type historyDetail struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	audit.Origin
}

// getHistory is GET …/history.
func (h *handler) getHistory(r *http.Request) (any, error) {
	s, before, limit, err := historyQuery(r)
	if err != nil {
		return nil, err
	}
	if _, err := h.deps.Catalog.Tenant(r.Context(), s.Tenant); err != nil {
		return nil, err
	}
	page, err := h.deps.Catalog.FormerValues(r.Context(), s, before, limit, historyBytes)
	if err != nil {
		return nil, err
	}
	if len(page.Values) > 0 && r.Method != http.MethodHead { // a transcript may be among them
		o := origin(r)
		if err := h.deps.Catalog.AppendAudit(r.Context(), o, s.Tenant, actionHistory, historyDetail{s.Kind, s.ID, o}); err != nil {
			return nil, err
		}
	}
	out := struct {
		Values []formerJSON `json:"values"`
		Next   *string      `json:"next"`
	}{Values: []formerJSON{}}
	for _, v := range page.Values {
		out.Values = append(out.Values, formerJSON{Field: v.Field, Value: v.Value, ReplacedAt: web.Time(v.At), Origin: v.Actor})
	}
	if page.Next > 0 {
		out.Next = new(strconv.FormatInt(page.Next, 10))
	}
	return out, nil
}

// historyQuery reads whose former values are asked for. Error: KindInvalid.
func historyQuery(r *http.Request) (s catalog.Subject, before int64, limit int, err error) {
	q, err := web.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return s, 0, 0, err
	}
	s.Tenant = chi.URLParam(r, "tenant")
	if s.Kind, _, err = q.Text("kind", domain.MaxIDBytes); err != nil {
		return s, 0, 0, err
	}
	longest := domain.MaxIDBytes
	if s.Kind == catalog.KindRecording {
		longest = domain.MaxKeyBytes
	}
	if s.ID, _, err = q.Text("id", longest); err != nil {
		return s, 0, 0, err
	}
	position, _, err := q.Text("before", domain.MaxIDBytes)
	if err != nil {
		return s, 0, 0, err
	}
	if !catalog.ValidKind(s.Kind) || s.ID == "" {
		return s, 0, 0, domain.Errorf(domain.KindInvalid, "kind must be agent, conversation, message or recording, and id its id (of a recording its object key)")
	}
	if position != "" {
		if before, err = strconv.ParseInt(position, 10, 64); err != nil || before < 1 {
			return s, 0, 0, domain.Errorf(domain.KindInvalid, "before must be the next of another page")
		}
	}
	limit, err = intOr(q, "limit", historyPage, maxHistory)
	return s, before, limit, err
}

package admin

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/webhooks"
)

const (
	deliveryPage  = 50  // deliveries of an answer
	maxDeliveries = 500 // that a query may ask for
)

// Endpoints makes and changes endpoints with their secrets. Errors: KindInvalid, KindNotFound,
// KindConflict when a tenant has too many, KindUnavailable.
type Endpoints interface {
	Create(ctx context.Context, tenant, url string, events []string, o audit.Origin) (outbox.Endpoint, string, error)
	Set(ctx context.Context, tenant, id string, c outbox.EndpointChange, o audit.Origin) (outbox.Endpoint, error)
	Rotate(ctx context.Context, tenant, id string, grace time.Duration, o audit.Origin) (outbox.Endpoint, string, error)
}

// Webhooks is what the catalog knows and does about webhooks. Errors: KindNotFound, KindConflict
// for a test of a disabled endpoint, KindUnavailable.
type Webhooks interface {
	Endpoints(ctx context.Context, tenant string) ([]outbox.Endpoint, error)
	Deliveries(ctx context.Context, q outbox.DeliveryQuery) ([]outbox.Delivery, error)
	DeleteEndpoint(ctx context.Context, tenant, id string, o audit.Origin) error
	TestEndpoint(ctx context.Context, tenant, id string, o audit.Origin) (delivery string, err error)
	ReplayDeliveries(ctx context.Context, q outbox.DeliveryQuery, o audit.Origin) (int, error)
}

var _ Endpoints = (*webhooks.Endpoints)(nil)

type endpointJSON struct {
	ID       string   `json:"id"`
	URL      string   `json:"url"`
	Events   []string `json:"events"`
	Enabled  bool     `json:"enabled"`
	Disabled *string  `json:"disabledAt"`
	Reason   *string  `json:"disabledReason"`
	Created  string   `json:"createdAt"`
	Secret   string   `json:"secret,omitempty"` // only in the answer that made it
}

func endpointAnswer(e outbox.Endpoint, secret string) endpointJSON {
	return endpointJSON{e.ID, e.URL, e.Events, e.Disabled.IsZero(), web.TimeOrNull(e.Disabled), web.TextOrNull(e.Reason), web.Time(e.Created), secret}
}

// getWebhooks is GET …/webhooks.
func (h *handler) getWebhooks(r *http.Request) (any, error) {
	tenant := chi.URLParam(r, "tenant")
	if _, err := h.deps.Catalog.Tenant(r.Context(), tenant); err != nil {
		return nil, err
	}
	list, err := h.deps.Catalog.Endpoints(r.Context(), tenant)
	out := []endpointJSON{}
	for _, e := range list {
		out = append(out, endpointAnswer(e, ""))
	}
	return map[string]any{"webhooks": out}, err
}

// postWebhook is POST …/webhooks.
func (h *handler) postWebhook(r *http.Request) (any, error) {
	var body struct {
		URL    string   `json:"url"`
		Events []string `json:"events"`
	}
	if err := h.readChange(r, &body); err != nil {
		return nil, err
	}
	if body.Events == nil {
		body.Events = domain.EventTypes()
	}
	e, secret, err := h.deps.Endpoints.Create(r.Context(), chi.URLParam(r, "tenant"), body.URL, body.Events, origin(r))
	return endpointAnswer(e, secret), err
}

// putWebhook is PUT …/webhooks/{webhook}.
func (h *handler) putWebhook(r *http.Request) (any, error) {
	var body struct {
		URL     *string  `json:"url"`
		Events  []string `json:"events"`
		Enabled *bool    `json:"enabled"`
	}
	if err := h.readChange(r, &body); err != nil {
		return nil, err
	}
	change := outbox.EndpointChange{URL: body.URL, Events: body.Events, Enabled: body.Enabled}
	e, err := h.deps.Endpoints.Set(r.Context(), chi.URLParam(r, "tenant"), chi.URLParam(r, "webhook"), change, origin(r))
	return endpointAnswer(e, ""), err
}

// deleteWebhook is DELETE …/webhooks/{webhook}.
func (h *handler) deleteWebhook(r *http.Request) (any, error) {
	if err := h.writable(); err != nil {
		return nil, err
	}
	id := chi.URLParam(r, "webhook")
	return map[string]string{"deleted": id}, h.deps.Catalog.DeleteEndpoint(r.Context(), chi.URLParam(r, "tenant"), id, origin(r))
}

// postTest is POST …/webhooks/{webhook}/test.
func (h *handler) postTest(r *http.Request) (any, error) {
	if err := h.writable(); err != nil {
		return nil, err
	}
	delivery, err := h.deps.Catalog.TestEndpoint(r.Context(), chi.URLParam(r, "tenant"), chi.URLParam(r, "webhook"), origin(r))
	return map[string]string{"delivery": delivery}, err
}

type deliveryJSON struct {
	ID        string  `json:"id"`
	Event     string  `json:"event"`
	Webhook   string  `json:"webhook"`
	Type      string  `json:"type"`
	Day       *string `json:"day"`
	State     string  `json:"state"`
	Attempts  int     `json:"attempts"`
	Status    *int    `json:"lastStatus"`
	Error     *string `json:"lastError"`
	Millis    int64   `json:"lastDurationMs"`
	Last      *string `json:"lastAt"`
	Next      *string `json:"nextAt"`
	Delivered *string `json:"deliveredAt"`
	Created   string  `json:"createdAt"`
}

func deliveryAnswer(d outbox.Delivery) deliveryJSON {
	out := deliveryJSON{d.ID, d.Event, d.Endpoint, d.Type, web.TextOrNull(string(d.Day)), d.State, d.Attempts, nil, web.TextOrNull(d.Error),
		d.Took.Milliseconds(), web.TimeOrNull(d.Last), web.TimeOrNull(d.Next), web.TimeOrNull(d.Delivered), web.Time(d.Created)}
	if d.Status != 0 {
		out.Status = &d.Status
	}
	return out
}

func deliveryStates() []string {
	return []string{outbox.DeliveryPending, outbox.DeliveryDelivered, outbox.DeliveryFailed}
}

// deliveryQuery reads which deliveries a request is about. Error: KindInvalid.
func deliveryQuery(r *http.Request) (outbox.DeliveryQuery, error) {
	out := outbox.DeliveryQuery{Tenant: chi.URLParam(r, "tenant")}
	q, err := web.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return out, err
	}
	var day, before string
	for _, p := range []struct {
		name string
		into *string
	}{{"webhook", &out.Endpoint}, {"type", &out.Type}, {"state", &out.State}, {"day", &day}, {"before", &before}} {
		if *p.into, _, err = q.Text(p.name, 100); err != nil {
			return out, err
		}
	}
	if out.State != "" && !slices.Contains(deliveryStates(), out.State) {
		return out, domain.Errorf(domain.KindInvalid, "no delivery is %q; state is one of %s", out.State, strings.Join(deliveryStates(), ", "))
	}
	if types := append(domain.EventTypes(), domain.EventTest); out.Type != "" && !slices.Contains(types, out.Type) {
		return out, domain.Errorf(domain.KindInvalid, "there is no event %q; type is one of %s", out.Type, strings.Join(types, ", "))
	}
	if day != "" {
		if out.Day, err = domain.ParseDay(day); err != nil {
			return out, err
		}
	}
	if before != "" {
		if out.Before, err = parseDeliveryPosition(before); err != nil {
			return out, err
		}
	}
	out.Limit, err = intOr(q, "limit", deliveryPage, maxDeliveries)
	return out, err
}

// formatDeliveryPosition writes a delivery's position, for the next page.
func formatDeliveryPosition(p outbox.Position) string {
	return strconv.FormatInt(p.At, 10) + "_" + p.ID
}

func parseDeliveryPosition(text string) (p outbox.Position, err error) {
	at, id, ok := strings.Cut(text, "_")
	if p.At, err = strconv.ParseInt(at, 10, 64); err != nil || !ok || id == "" {
		return p, domain.Errorf(domain.KindInvalid, "before is not the next of a page")
	}
	p.ID = id
	return p, nil
}

// getDeliveries is GET …/deliveries.
func (h *handler) getDeliveries(r *http.Request) (any, error) {
	q, err := deliveryQuery(r)
	if err != nil {
		return nil, err
	}
	if _, err := h.deps.Catalog.Tenant(r.Context(), q.Tenant); err != nil {
		return nil, err
	}
	limit := q.Limit
	q.Limit++
	list, err := h.deps.Catalog.Deliveries(r.Context(), q)
	if err != nil {
		return nil, err
	}
	out := struct {
		Deliveries []deliveryJSON `json:"deliveries"`
		Next       *string        `json:"next"`
	}{Deliveries: []deliveryJSON{}}
	if len(list) > limit {
		list = list[:limit]
		out.Next = web.TextOrNull(formatDeliveryPosition(list[limit-1].Position()))
	}
	for _, d := range list {
		out.Deliveries = append(out.Deliveries, deliveryAnswer(d))
	}
	return out, nil
}

// postReplay is POST …/deliveries/replay.
func (h *handler) postReplay(r *http.Request) (any, error) {
	var body struct {
		Delivery string `json:"delivery"`
		Webhook  string `json:"webhook"`
		Day      string `json:"day"`
		Failed   bool   `json:"failed"`
	}
	err := readJSON(r, &body)
	if err != nil {
		return nil, err
	}
	q := outbox.DeliveryQuery{Tenant: chi.URLParam(r, "tenant"), ID: body.Delivery, Endpoint: body.Webhook}
	if body.Day != "" {
		if q.Day, err = domain.ParseDay(body.Day); err != nil {
			return nil, err
		}
	}
	if body.Failed {
		q.State = outbox.DeliveryFailed
	}
	n, err := h.replay(r, q)
	return map[string]int{"replayed": n}, err
}

// replay delivers again. Errors as of Webhooks, KindForbidden, KindInvalid.
func (h *handler) replay(r *http.Request, q outbox.DeliveryQuery) (int, error) {
	if err := h.writable(); err != nil {
		return 0, err
	}
	return h.deps.Catalog.ReplayDeliveries(r.Context(), q, origin(r))
}

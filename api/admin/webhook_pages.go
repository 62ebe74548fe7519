package admin

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/domain"
)

// tenantDeliveries is how many deliveries a tenant's page shows.
const tenantDeliveries = 20

// deliveryRow is a delivery on a tenant's page.
type deliveryRow struct {
	At                 time.Time
	ID, Type, Endpoint string
	Day                domain.Day
	Label, Class, Sign string
	Tries              int
	Answer             string
	Next               string // when it is tried again
	Replay             string // address of the page that asks before it replays
}

// webhooks reads what a tenant's page shows of its webhooks.
func (h *handler) webhooks(ctx context.Context, tenant string) (endpoints []outbox.Endpoint, deliveries []deliveryRow, err error) {
	endpoints, err = h.deps.Catalog.Endpoints(ctx, tenant)
	if err != nil || len(endpoints) == 0 {
		return nil, nil, err
	}
	disabled := map[string]bool{}
	for _, e := range endpoints {
		disabled[e.ID] = !e.Disabled.IsZero()
	}
	list, err := h.deps.Catalog.Deliveries(ctx, outbox.DeliveryQuery{Tenant: tenant, Limit: tenantDeliveries})
	for _, d := range list {
		deliveries = append(deliveries, rowOf(d, disabled[d.Endpoint]))
	}
	return endpoints, deliveries, err
}

func rowOf(d outbox.Delivery, disabled bool) deliveryRow {
	s := deliveryRow{At: d.Created, ID: d.ID, Type: d.Type, Endpoint: d.Endpoint, Day: d.Day, Tries: d.Attempts, Answer: d.Error,
		Replay: tenantPath(d.Tenant) + "/deliveries/" + d.ID + "/replay"}
	switch d.State {
	case outbox.DeliveryDelivered:
		s.Label, s.Class, s.Sign = "delivered", "complete", "✓"
	case outbox.DeliveryFailed:
		s.Label, s.Class, s.Sign = "failed", "failed", "✕"
	default:
		s.Label, s.Class, s.Sign, s.Next = "waits", "partial", "…", when(d.Next)
		if disabled {
			s.Next = "when the webhook is enabled"
		}
	}
	if s.Answer == "" && d.Status != 0 {
		s.Answer = "answered " + strconv.Itoa(d.Status)
	}
	return s
}

// askReplay is GET …/deliveries/{delivery}/replay.
func (h *handler) askReplay(r *http.Request) (answer, error) {
	tenant, id := chi.URLParam(r, "tenant"), chi.URLParam(r, "delivery")
	list, err := h.deps.Catalog.Deliveries(r.Context(), outbox.DeliveryQuery{Tenant: tenant, ID: id, Limit: 1})
	if err == nil && len(list) == 0 {
		err = domain.Errorf(domain.KindNotFound, "there is no such delivery")
	}
	if err != nil {
		return answer{}, err
	}
	what := list[0].Type
	if list[0].Day != "" {
		what += " of " + string(list[0].Day)
	}
	return h.ask(question{Heading: "Deliver " + what + " to " + tenant + " again?", Button: "Deliver again", Back: tenantPath(tenant),
		Text: "The receiver sees the same id and body once more, also where it took them before. All tries begin afresh."})
}

// doReplay is POST …/deliveries/{delivery}/replay.
func (h *handler) doReplay(r *http.Request) (answer, error) {
	tenant := chi.URLParam(r, "tenant")
	n, err := h.replay(r, outbox.DeliveryQuery{Tenant: tenant, ID: chi.URLParam(r, "delivery")})
	return done(tenantPath(tenant), "replay", n), err
}

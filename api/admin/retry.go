package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// maxRetries bounds how many failed hours one request makes due.
const maxRetries = 200

// retryDay makes a day's failed hours due. Errors as of Actions, KindForbidden.
func (h *handler) retryDay(ctx context.Context, req catalog.RebuildRequest) (int, error) {
	if err := h.writable(); err != nil {
		return 0, err
	}
	v, err := h.deps.Catalog.Day(ctx, req.Tenant, req.Day)
	if err != nil {
		return 0, err
	}
	var keys []domain.HourKey
	for i, hour := range v.Hours {
		if hour.State == catalog.StateFailed {
			keys = append(keys, domain.HourKey{Tenant: req.Tenant, Day: req.Day, Hour: i})
		}
	}
	return h.retry(ctx, keys, req.Origin)
}

// retryAll makes failed hours of all tenants due, the oldest first. more says that some are left.
func (h *handler) retryAll(ctx context.Context, o audit.Origin) (n int, more bool, err error) {
	if err := h.writable(); err != nil {
		return 0, false, err
	}
	list, err := h.deps.Catalog.FailedHours(ctx, domain.HourKey{}, maxRetries+1)
	if err != nil {
		return 0, false, err
	}
	if more = len(list) > maxRetries; more {
		list = list[:maxRetries]
	}
	keys := make([]domain.HourKey, 0, len(list))
	for _, f := range list {
		keys = append(keys, f.HourKey)
	}
	n, err = h.retry(ctx, keys, o)
	return n, more, err
}

// retry makes failed hours due one by one. It skips hours whose day has ended meanwhile.
func (h *handler) retry(ctx context.Context, keys []domain.HourKey, o audit.Origin) (n int, err error) {
	for _, key := range keys {
		ok, err := h.deps.Catalog.RetryHour(ctx, key, o)
		switch {
		case errors.Is(err, domain.ErrExpired):
		case err != nil:
			return n, err
		case ok:
			n++
		}
	}
	if n > 0 {
		h.dispatch(ctx)
	}
	return n, nil
}

// askRetry is GET …/retry of a day.
func (h *handler) askRetry(r *http.Request) (answer, error) {
	req, err := rebuildRequest(r)
	if err != nil {
		return answer{}, err
	}
	back, words := pageOf(req)
	return h.ask(question{Heading: "Retry what failed on " + words + "?", Button: "Retry", Back: back,
		Text: "Failed hours start afresh, with all their attempts. Other hours are left alone."})
}

// doRetry is POST …/retry.
func (h *handler) doRetry(r *http.Request) (answer, error) {
	req, err := rebuildRequest(r)
	if err != nil {
		return answer{}, err
	}
	n, err := h.retryDay(r.Context(), req)
	back, _ := pageOf(req)
	return done(back, "retry", n), err
}

// askRetryAll is GET /admin/failed/retry.
func (h *handler) askRetryAll(*http.Request) (answer, error) {
	return h.ask(question{Heading: "Retry every failed hour?", Button: "Retry", Back: "/admin/failed",
		Text: "Failed hours of all tenants start afresh, with all their attempts: the oldest first, 200 at a time."})
}

// doRetryAll is POST /admin/failed/retry.
func (h *handler) doRetryAll(r *http.Request) (answer, error) {
	n, more, err := h.retryAll(r.Context(), origin(r))
	if more {
		return done("/admin/failed", "retry-some", n), err
	}
	return done("/admin/failed", "retry", n), err
}

type retriedJSON struct {
	Retried int  `json:"retried"`
	More    bool `json:"more"`
}

// postRetry is POST …/retry of the API.
func (h *handler) postRetry(r *http.Request) (any, error) {
	req, err := rebuildRequest(r)
	if err != nil {
		return nil, err
	}
	n, err := h.retryDay(r.Context(), req)
	return retriedJSON{n, false}, err
}

// postRetryAll is POST /api/admin/v1/failed/retry.
func (h *handler) postRetryAll(r *http.Request) (any, error) {
	n, more, err := h.retryAll(r.Context(), origin(r))
	return retriedJSON{n, more}, err
}

package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/go-chi/chi/v5"
	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

// maxRetries bounds how many failed hours one request makes due.
const maxRetries = 200

// rebuildRequest reads from the path which hours a request is about: one, or all of a day. Error:
// KindInvalid.
func rebuildRequest(r *http.Request) (catalog.RebuildRequest, error) {
	b := catalog.RebuildRequest{Tenant: chi.URLParam(r, "tenant"), Hour: -1, Origin: origin(r)}
	var err error
	if b.Day, err = domain.ParseDay(chi.URLParam(r, "day")); err != nil {
		return b, err
	}
	if chi.URLParam(r, "hour") != "" {
		b.Hour, err = hourParam(r)
	}
	return b, err
}

// writable gives KindForbidden when the console is read-only.
func (h *handler) writable() error {
	if h.cfg.ReadOnly {
		return domain.Errorf(domain.KindForbidden, "nothing can be changed here: CALLVAULT_ADMIN_READONLY is on")
	}
	return nil
}

// rebuild makes hours due. Errors as of Actions, KindForbidden.
func (h *handler) rebuild(ctx context.Context, b catalog.RebuildRequest) (int, error) {
	if err := h.writable(); err != nil {
		return 0, err
	}
	due, err := h.deps.Catalog.RebuildAudited(ctx, b)
	if err == nil && due > 0 {
		h.feed(ctx)
	}
	return due, err
}

// retryDay makes a day's failed hours due. Errors as of Actions, KindForbidden.
func (h *handler) retryDay(ctx context.Context, b catalog.RebuildRequest) (int, error) {
	if err := h.writable(); err != nil {
		return 0, err
	}
	v, err := h.deps.Catalog.Day(ctx, b.Tenant, b.Day)
	if err != nil {
		return 0, err
	}
	var keys []domain.HourKey
	for i, hour := range v.Hours {
		if hour.State == catalog.StateFailed {
			keys = append(keys, domain.HourKey{Tenant: b.Tenant, Day: b.Day, Hour: i})
		}
	}
	return h.retry(ctx, keys, b.Origin)
}

// retryAll makes failed hours of all tenants due, the oldest first. more says that some are left.
func (h *handler) retryAll(ctx context.Context, o catalog.Origin) (done int, more bool, err error) {
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
	done, err = h.retry(ctx, keys, o)
	return done, more, err
}

// retry makes failed hours due one by one. It skips hours whose day has ended meanwhile.
func (h *handler) retry(ctx context.Context, keys []domain.HourKey, o catalog.Origin) (done int, err error) {
	for _, key := range keys {
		ok, err := h.deps.Catalog.RetryHour(ctx, key, o)
		switch {
		case errors.Is(err, domain.ErrExpired):
		case err != nil:
			return done, err
		case ok:
			done++
		}
	}
	if done > 0 {
		h.feed(ctx)
	}
	return done, nil
}

// feed dispatches due hours at once. If it fails, the scheduler dispatches them a little later.
func (h *handler) feed(ctx context.Context) {
	if _, err := h.deps.Planner.DispatchPass(ctx); err != nil {
		h.deps.Log.Warn("hours are due but could not be dispatched yet", telemetry.In(ctx), zap.Error(err))
	}
}

package admin

import (
	"context"
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

// runningBuilds is how many builds are listed at most.
const runningBuilds = 200

// activity is the running builds and the slots of all workers.
type activity struct {
	catalog.Running
	Slots int // -1 when the queue does not answer
}

func (h *handler) activity(ctx context.Context) (a activity, err error) {
	if a.Running, err = h.deps.Catalog.Running(ctx, runningBuilds); err != nil {
		return a, err
	}
	a.Slots, err = h.deps.Queue.Slots(ctx)
	if errors.Is(err, context.Canceled) {
		return a, err
	}
	if err != nil {
		h.deps.Log.Warn("the queue does not answer", telemetry.In(ctx), zap.Error(err))
		a.Slots = -1
	}
	return a, nil
}

// showRunning is GET /admin/running.
func (h *handler) showRunning(r *http.Request) (answer, error) {
	a, err := h.activity(r.Context())
	return answer{page: "running", view: view{Title: "Running now", Nav: "running", Live: true, Data: a}}, err
}

// showRunningPart is GET /admin/running/part, by which the page's script updates the page.
func (h *handler) showRunningPart(r *http.Request) (answer, error) {
	a, err := h.showRunning(r)
	a.part = "now"
	return a, err
}

type runningJSON struct {
	Now     string      `json:"now"`
	Slots   *int        `json:"slots"`
	Due     int         `json:"due"`
	NextDue *string     `json:"nextDueAt"`
	Builds  []buildJSON `json:"builds"`
	More    bool        `json:"more"`
}

type buildJSON struct {
	Tenant    string     `json:"tenant"`
	Day       domain.Day `json:"day"`
	Hour      string     `json:"hour"`
	Revision  int64      `json:"revision"`
	Worker    string     `json:"worker"`
	ClaimedAt *string    `json:"claimedAt"`
	LeaseEnds *string    `json:"leaseEndsAt"`
	Failures  int        `json:"failures"`
	Lapses    int        `json:"lapses"`
}

// getRunning is GET /api/admin/v1/running.
func (h *handler) getRunning(r *http.Request) (any, error) {
	a, err := h.activity(r.Context())
	if err != nil {
		return nil, err
	}
	out := runningJSON{Now: web.Time(a.Now), Due: a.Due, NextDue: web.TimeOrNull(a.NextDue), Builds: []buildJSON{}, More: a.More}
	if a.Slots >= 0 {
		out.Slots = &a.Slots
	}
	for _, b := range a.Builds {
		out.Builds = append(out.Builds, buildJSON{b.Tenant, b.Day, b.HH(), b.Revision, b.Worker, web.TimeOrNull(b.Claimed), web.TimeOrNull(b.Lease),
			b.Failures, b.Lapses})
	}
	return out, nil
}

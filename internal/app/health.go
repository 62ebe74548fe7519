package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/domain"
)

// How long the checks may take, and how long their results are used again, so that frequent
// requests by strangers cost the parts nothing.
const (
	checkTimeout = 3 * time.Second
	checkLife    = time.Second
)

const readyPath = "/readyz"

// Check asks one part whether it can be used. Ready shows its error's safe message; the log has the
// cause.
type Check struct {
	Name  string
	Probe func(ctx context.Context) error
}

// Health answers whether the process lives and whether it is ready for callers.
type Health struct {
	log    *zap.Logger
	now    func() time.Time
	checks []Check

	mu       sync.Mutex // held while checks run, so that callers share one round
	stopping bool
	report   healthReport
	asked    time.Time
}

type healthReport struct {
	Status string                 `json:"status"` // ok, unavailable or stopping
	Checks map[string]checkResult `json:"checks,omitempty"`
}

type checkResult struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

// NewHealth makes a Health of the given checks.
func NewHealth(log *zap.Logger, now func() time.Time, checks ...Check) *Health {
	return &Health{log: log, now: now, checks: checks}
}

// Add adds a check. It must come before the first request.
func (h *Health) Add(c Check) { h.checks = append(h.checks, c) }

// Component ends readiness as the first step of stopping.
func (h *Health) Component() Component {
	return Component{Name: "readiness", Stage: StageReadiness, Run: func(ctx context.Context) error {
		<-ctx.Done()
		h.mu.Lock()
		defer h.mu.Unlock()
		h.stopping = true
		return nil
	}}
}

// Live answers /healthz: 200 as long as the process can answer at all.
func (h *Health) Live(w http.ResponseWriter, _ *http.Request) {
	h.write(w, healthReport{Status: "ok"})
}

// Ready answers /readyz: 200 when every check passes, else 503, with each check's result and its
// error.
func (h *Health) Ready(w http.ResponseWriter, r *http.Request) {
	h.write(w, h.current(r.Context()))
}

// Public is Ready where strangers can ask: it shows errors only to a caller with the admin token's
// ReadinessKey. Without an admin token it shows them to nobody.
func (h *Health) Public(adminToken string) http.HandlerFunc {
	want := "Bearer " + ReadinessKey(adminToken)
	return func(w http.ResponseWriter, r *http.Request) {
		report := h.current(r.Context())
		if adminToken == "" || !hmac.Equal([]byte(r.Header.Get("Authorization")), []byte(want)) {
			public := map[string]checkResult{}
			for name, result := range report.Checks {
				public[name] = checkResult{OK: result.OK}
			}
			report.Checks = public
		}
		h.write(w, report)
	}
}

// ReadinessKey opens the errors of /readyz, and nothing else. Health checks send it every few
// seconds, without TLS, so it is derived from the admin token instead of being the token.
func ReadinessKey(adminToken string) string {
	mac := hmac.New(sha256.New, []byte(adminToken))
	mac.Write([]byte("callvault readiness"))
	return hex.EncodeToString(mac.Sum(nil))
}

// Results says by name which checks pass. It is empty once the process stops.
func (h *Health) Results(ctx context.Context) map[string]bool {
	met := map[string]bool{}
	for name, result := range h.current(ctx).Checks {
		met[name] = result.OK
	}
	return met
}

func (h *Health) write(w http.ResponseWriter, report healthReport) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if report.Status != "ok" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	if err := json.NewEncoder(w).Encode(report); err != nil {
		h.log.Debug("health answer not sent", zap.Error(err))
	}
}

func (h *Health) current(ctx context.Context) healthReport {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopping {
		return healthReport{Status: "stopping"}
	}
	if now := h.now(); h.asked.IsZero() || now.Sub(h.asked) >= checkLife {
		// Callers share the answer: one that hangs up must not make it a failure.
		h.report = h.check(context.WithoutCancel(ctx))
		h.asked = now
	}
	return h.report
}

// check runs all checks side by side.
func (h *Health) check(ctx context.Context) healthReport {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	errs := make([]error, len(h.checks))
	var wg sync.WaitGroup
	for i, c := range h.checks {
		wg.Go(func() { errs[i] = c.Probe(ctx) })
	}
	wg.Wait()
	report := healthReport{Status: "ok", Checks: map[string]checkResult{}}
	for i, c := range h.checks {
		if errs[i] == nil {
			report.Checks[c.Name] = checkResult{OK: true}
			continue
		}
		report.Status = "unavailable"
		text := domain.SafeMessage(errs[i])
		if domain.KindOf(errs[i]) == domain.KindInternal && errors.Is(errs[i], context.DeadlineExceeded) {
			text = "no answer in time"
		}
		report.Checks[c.Name] = checkResult{Error: text}
		h.log.Warn("not ready", zap.String("check", c.Name), zap.Error(errs[i]))
	}
	return report
}

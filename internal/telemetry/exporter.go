package telemetry

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/zap"
)

// repeatAfter is the time between two log lines about one outage.
const repeatAfter = 10 * time.Minute

// exporter logs an outage of the receiver with few lines: one when sending begins to fail, one each
// repeatAfter, and one when sending works again.
type exporter struct {
	to     sdk.SpanExporter
	log    *zap.Logger
	now    func() time.Time
	ended  context.Context // ends the running export and all later ones
	giveUp context.CancelFunc

	mu      sync.Mutex
	lost    int // spans since the last log line
	failing bool
	logged  time.Time // the last log line
}

func newExporter(to sdk.SpanExporter, log *zap.Logger) *exporter {
	ended, giveUp := context.WithCancel(context.Background()) //nolint:gosec // the provider's end calls it
	return &exporter{to: to, log: log, now: time.Now, ended: ended, giveUp: giveUp}
}

// ExportSpans implements sdk.SpanExporter. It reports no error, since the library would print each.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.ended, cancel)()
	e.record(len(spans), e.to.ExportSpans(ctx, spans))
	return nil
}

func (e *exporter) Shutdown(ctx context.Context) error { return e.to.Shutdown(ctx) }

func (e *exporter) isFailing() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failing
}

func (e *exporter) record(spans int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := e.now()
	switch {
	case err == nil && e.failing:
		e.log.Info("traces are sent again", zap.Int("lost_spans", e.lost))
		e.failing, e.lost = false, 0
	case err != nil:
		e.lost += spans
		if !e.failing || at.Sub(e.logged) >= repeatAfter {
			e.log.Warn("traces cannot be sent and are dropped; nothing else is affected", zap.Int("lost_spans", e.lost), zap.Error(err))
			e.logged, e.lost = at, 0
		}
		e.failing = true
	}
}

// logLost logs at the end how many spans were lost since the last line.
func (e *exporter) logLost() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lost > 0 {
		e.log.Info("spans were dropped because their receiver did not answer", zap.Int("lost_spans", e.lost))
		e.lost = 0
	}
}

// librarySink is a logr.LogSink for the tracing library. It leaves out the values, which can be
// secrets.
type librarySink struct{ log *zap.Logger }

func (librarySink) Init(logr.RuntimeInfo) {}

// Enabled leaves out levels above 1, which are not for operators.
func (librarySink) Enabled(level int) bool { return level <= 1 }

// Info logs the library's warnings.
func (s librarySink) Info(_ int, text string, _ ...any) {
	s.log.Warn("the tracing library warns", zap.String("says", text))
}

func (s librarySink) Error(_ error, text string, _ ...any) {
	s.log.Warn("a setting of tracing cannot be used; see the OTEL_ variables", zap.String("says", text))
}

func (s librarySink) WithValues(...any) logr.LogSink { return s }

func (s librarySink) WithName(string) logr.LogSink { return s }

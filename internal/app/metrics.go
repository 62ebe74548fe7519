package app

import (
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/metrics"
	"github.com/callvault/callvault/worker"
)

// metricsPath is where a process tells its numbers.
const metricsPath = "/metrics"

// openMetrics makes the process's numbers, before the parts that they are about.
func (p *Parts) openMetrics(log *zap.Logger) { p.metrics = metrics.New(Version(), time.Now, log) }

// version is the program's as it was built.
// measure begins to tell what the roles do, and gives the page. What stands is read by the process
// of the scheduler alone: every other one would say the same.
func (p *Parts) measure(roles []config.Role, met func(ctx context.Context) map[string]bool) http.HandlerFunc {
	m := p.metrics
	m.Checks(met)
	m.Connections(p.Catalog.Stats)
	for _, role := range roles {
		switch role {
		case config.API:
			m.Downloads()
		case config.Worker:
			m.Builds()
		case config.Scheduler:
			m.Passes()
			m.Standing(p.Catalog, p.Queue)
		}
	}
	return m.Handler()
}

// observe is nil for parts that nobody measures.
func (p *Parts) observe() func(api.Answer) {
	if p.metrics == nil {
		return nil
	}
	return func(a api.Answer) { p.metrics.Request(metrics.Request(a)) }
}

// built counts a build.
func (p *Parts) built(e worker.Ended) {
	p.metrics.Built(metrics.Build{Kind: e.Kind, Took: e.Took, Size: e.Size, Files: e.Files, Missing: e.Missing})
}

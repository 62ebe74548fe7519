package app

import (
	"context"
	"net/http"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/metrics"
	"github.com/callvault/callvault/worker"
)

const metricsPath = "/metrics"

// measure registers the metrics of the roles and returns their page. The scheduler's process alone
// reports the backlog: it is the same for every process.
func (p *Parts) measure(roles []config.Role, health func(ctx context.Context) map[string]bool) http.HandlerFunc {
	m := p.metrics
	m.Checks(health)
	m.Connections(p.Catalog.DB().Stats)
	for _, role := range roles {
		switch role {
		case config.API:
			m.Downloads()
		case config.Worker:
			m.Builds()
		case config.Scheduler:
			m.Passes()
			m.Backlog(p.Catalog, p.Queue)
		}
	}
	return m.Handler()
}

// observe returns nil where there are no metrics, as in tests.
func (p *Parts) observe() func(api.Answer) {
	if p.metrics == nil {
		return nil
	}
	return func(a api.Answer) { p.metrics.Request(metrics.Request(a)) }
}

func (p *Parts) countBuild(e worker.Outcome) {
	p.metrics.Built(metrics.Build{Kind: e.Kind, Took: e.Took, Size: e.Size, Files: e.Files, Missing: e.Missing})
}

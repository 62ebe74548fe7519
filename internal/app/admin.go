package app

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/api/admin"
)

// operators makes the families of the console and the admin API. With CALLVAULT_ADMIN_LISTEN it
// serves them on that address, moves the metrics out of pages too, and returns no families. On the
// public address the metrics need the admin token.
func (p *Parts) operators(ctx context.Context, g *Group, pages map[string]http.HandlerFunc, log *zap.Logger) ([]api.Family, error) {
	c := p.Config
	cfg := admin.Config{Token: c.AdminToken.Reveal(), ReadOnly: c.AdminReadOnly}
	if c.AdminListen == "" {
		if u, err := url.Parse(c.PublicURL); err == nil && u.Host != "" {
			cfg.Origin, cfg.Secure = u.Scheme+"://"+u.Host, u.Scheme == "https"
			cfg.BasePath = c.BasePath()
		}
	}
	endpoints, err := p.Webhooks()
	if err != nil {
		return nil, err
	}
	deps := admin.Deps{Catalog: p.Catalog, Planner: p.Planner(log), Queue: p.Queue, Endpoints: endpoints, Eraser: p.Eraser(log), Redis: p.Queue.Redis(), Archives: p.Archives, Downloads: api.NewDownloadLimiter(),
		Log: log.Named("admin"), Now: time.Now}
	if c.AdminListen == "" {
		deps.Metrics = pages[metricsPath]
		delete(pages, metricsPath)
	}
	families, err := admin.New(cfg, deps)
	if err != nil || c.AdminListen == "" {
		return families, err
	}
	handler := api.New(api.Config{TrustedProxies: c.TrustedProxies}, api.Deps{Families: families, Pages: maps.Clone(pages), Log: log, Now: time.Now,
		Tracer: p.tracer(), Observe: p.observe()})
	delete(pages, metricsPath)
	server, err := Listen(ctx, adminServer, c.AdminListen, handler, StopTimes{Drain: c.DrainTimeout}, log)
	if err != nil {
		return nil, err
	}
	g.Add(server.Component(StageAPI))
	log.Info("the console has an address of its own", zap.String("address", server.Addr()))
	return nil, nil
}

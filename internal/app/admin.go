package app

import (
	"context"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/api/admin"
)

// operators makes what operators ask, or, when it has an address of its own, listens there and
// leaves nothing for the public one.
func (p *Parts) operators(ctx context.Context, g *Group, log *zap.Logger) ([]api.Family, error) {
	c := p.Config
	cfg := admin.Config{Token: c.AdminToken.Reveal(), ReadOnly: c.AdminReadOnly}
	if c.AdminListen == "" {
		if u, err := url.Parse(c.PublicURL); err == nil && u.Host != "" {
			cfg.Origin, cfg.Secure = u.Scheme+"://"+u.Host, u.Scheme == "https"
		}
	}
	families, err := admin.New(cfg, admin.Deps{Catalog: p.Catalog, Planner: p.Planner(log), Queue: p.Queue, Redis: p.Queue.Redis(),
		Log: log.Named("admin"), Now: time.Now})
	if err != nil || c.AdminListen == "" {
		return families, err
	}
	server, err := Listen(ctx, "admin", c.AdminListen, api.New(api.Config{}, api.Deps{Families: families, Log: log, Now: time.Now}), c.DrainTimeout, log)
	if err != nil {
		return nil, err
	}
	g.Add(server.Component(StageAPI))
	log.Info("the console has an address of its own", zap.String("address", server.Addr()))
	return nil, nil
}

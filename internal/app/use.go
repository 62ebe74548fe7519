package app

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/config"
)

// Use opens the parts for one piece of work and closes them after it: what commands do. Embedded
// parts run in this process for as long, unless a standalone process runs them already.
// Their data directory must be there.
func Use(ctx context.Context, cfg config.Config, log *zap.Logger, work func(ctx context.Context, p *Parts) error) error {
	return use(ctx, cfg, false, log, work)
}

// Make is Use, and makes the data directory where it is missing.
func Make(ctx context.Context, cfg config.Config, log *zap.Logger, work func(ctx context.Context, p *Parts) error) error {
	return use(ctx, cfg, true, log, work)
}

func use(ctx context.Context, cfg config.Config, create bool, log *zap.Logger, work func(ctx context.Context, p *Parts) error) error {
	g := NewGroup(log, cfg.DrainTimeout)
	p, err := Open(ctx, cfg, nil, create, g, log)
	if err != nil {
		return g.Abandon(err)
	}
	return alongside(ctx, g, func(ctx context.Context) error { return work(ctx, p) })
}

// alongside runs a group for as long as work takes. When the group fails, work is cancelled.
func alongside(ctx context.Context, g *Group, work func(ctx context.Context) error) error {
	working, done := context.WithCancel(ctx)
	defer done()
	groupCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- g.Run(groupCtx)
		done()
	}()
	err := work(working)
	stop()
	return errors.Join(err, <-ended)
}

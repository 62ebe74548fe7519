package app

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/config"
)

// WithParts opens the parts for one piece of work of a command, and closes them after it. Embedded
// parts run in this process meanwhile, unless a standalone process runs them already. With create
// it makes the data directory if there is none.
func WithParts(ctx context.Context, cfg config.Config, create bool, log *zap.Logger, work func(ctx context.Context, p *Parts) error) error {
	g := NewGroup(log, cfg.DrainTimeout)
	p, err := Open(ctx, cfg, nil, create, g, log)
	if err != nil {
		return g.Abandon(err)
	}
	return runWhile(ctx, g, func(ctx context.Context) error { return work(ctx, p) })
}

// runWhile runs a group for as long as work takes. It cancels work when the group fails.
func runWhile(ctx context.Context, g *Group, work func(ctx context.Context) error) error {
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

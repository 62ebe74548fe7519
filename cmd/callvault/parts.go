package main

import (
	"context"
	"errors"
	"strings"

	"go.uber.org/zap"

	"github.com/callvault/callvault/cmd/callvault/internal/console"
	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/telemetry"
)

// tenantFlags are the flags of commands about what one tenant has.
type tenantFlags struct {
	config.Parts `embed:"" group:"Storage:"`
	Tenant       string `required:"" help:"The tenant's id."`
	JSON         bool   `help:"Print JSON."`
}

// reason is that of a change, which must not be empty.
type reason string

// Validate is called by kong for a flag that was given.
func (r reason) Validate() error {
	if strings.TrimSpace(string(r)) == "" {
		return errors.New("the reason is missing; give one")
	}
	return nil
}

// actor is who the audit log names for what is done on the command line.
const actor = "command"

func commandOrigin() audit.Origin { return audit.Origin{Actor: actor} }

// withParts opens the parts for a command. It logs errors only, to stderr.
func (d *deps) withParts(ctx context.Context, parts config.Parts, work func(ctx context.Context, p *app.Parts) error) error {
	cfg, log, err := d.commandConfig(parts)
	if err != nil {
		return err
	}
	return app.WithParts(ctx, cfg, false, log, work)
}

func (d *deps) commandConfig(parts config.Parts) (config.Config, *zap.Logger, error) {
	cfg, err := d.settings.Complete(parts)
	if err != nil {
		return cfg, nil, err
	}
	if err := d.settings.Finish(&cfg, config.Command()); err != nil {
		return cfg, nil, err
	}
	log, err := telemetry.NewLogger("error", d.stderr, console.IsTerminal(d.stderr))
	return cfg, log, err
}

// withCatalog is withParts for commands that need the current schema.
func (d *deps) withCatalog(ctx context.Context, parts config.Parts, work func(ctx context.Context, p *app.Parts) error) error {
	return d.withParts(ctx, parts, func(ctx context.Context, p *app.Parts) error {
		if err := p.Catalog.DB().CheckSchema(ctx); err != nil {
			return err
		}
		return work(ctx, p)
	})
}

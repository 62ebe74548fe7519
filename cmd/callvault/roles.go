package main

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/callvault/callvault/cmd/callvault/internal/console"
	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

// standaloneCmd runs everything in one process.
type standaloneCmd struct {
	config.Config `embed:""`
}

func (*standaloneCmd) Help() string {
	return "Parts without an address (catalog, queue, object store) run inside, with their data under --data.\n\n" +
		"Examples:\n\n    callvault standalone\n    callvault standalone --data /var/lib/callvault --listen 127.0.0.1:8080"
}

func (c *standaloneCmd) Run(ctx context.Context, d *deps) error {
	return d.serve(ctx, &c.Config, config.Standalone(), config.Roles())
}

// apiCmd, workerCmd and schedulerCmd run one role on parts that are named.
type (
	apiCmd struct {
		config.Config `embed:""`
	}
	workerCmd struct {
		config.Config `embed:""`
	}
	schedulerCmd struct {
		config.Config `embed:""`
	}
)

func (*apiCmd) Help() string {
	return "Needs the addresses of all parts and CALLVAULT_PUBLIC_URL.\n\nExamples:\n\n    callvault api\n    callvault api --listen 0.0.0.0:8080"
}

func (*workerCmd) Help() string {
	return "Builds archives and deletes what is past its time. SIGTERM gives running builds back.\n\nExamples:\n\n    callvault worker --concurrency 8 --memory 256MiB"
}

func (*schedulerCmd) Help() string {
	return "Plans nights and hands hours to workers. Several may run.\n\nExamples:\n\n    callvault scheduler --schedule '30 1 * * *'"
}

func (c *apiCmd) Run(ctx context.Context, d *deps) error {
	return d.serveRoles(ctx, &c.Config, config.API)
}

func (c *workerCmd) Run(ctx context.Context, d *deps) error {
	return d.serveRoles(ctx, &c.Config, config.Worker)
}

func (c *schedulerCmd) Run(ctx context.Context, d *deps) error {
	return d.serveRoles(ctx, &c.Config, config.Scheduler)
}

// runCmd runs several roles in one process.
type runCmd struct {
	config.Config `embed:""`
	Roles         string `arg:"" optional:"" help:"Roles with commas between them: api, worker, scheduler." placeholder:"ROLES"`
}

func (*runCmd) Help() string {
	return "Examples:\n\n    callvault run api,worker\n    callvault run scheduler,worker"
}

func (c *runCmd) Run(ctx context.Context, d *deps) error {
	if c.Roles == "" {
		return &usageError{"name the roles: api, worker, scheduler, or several with commas between\nSee callvault run --help"}
	}
	roles, err := config.ParseRoles(c.Roles)
	if err != nil {
		return &usageError{err.Error()}
	}
	return d.serveRoles(ctx, &c.Config, roles...)
}

func (d *deps) serveRoles(ctx context.Context, cfg *config.Config, roles ...config.Role) error {
	return d.serve(ctx, cfg, config.Production(roles...), roles)
}

func (d *deps) serve(ctx context.Context, cfg *config.Config, use config.Use, roles []config.Role) error {
	if err := d.settings.Finish(cfg, use); err != nil {
		return err
	}
	log, err := telemetry.NewLogger(cfg.LogLevel, d.stderr, console.IsTerminal(d.stderr))
	if err != nil {
		return err
	}
	defer telemetry.TakeStandardLog(log)()
	for _, name := range config.Unknown(d.env) {
		log.Warn("an unknown variable is set; is it misspelt?", zap.String("variable", name))
	}
	serving := false
	err = app.Serve(ctx, *cfg, roles, log, func(s app.Serving) {
		serving = true
		log.Info("callvault serves", zap.String("url", s.URL), zap.String("public_url", s.Parts.Config.PublicURL), zap.Any("roles", roles))
		if s.Parts.Embedded() {
			// The operator needs the address.
			_, _ = fmt.Fprintf(d.stdout, "callvault serves %s, data in %s; stop it with Ctrl-C\n", s.Parts.Config.PublicURL, s.Parts.Dir.Path())
		}
	})
	if !serving && ctx.Err() != nil && (errors.Is(err, context.Canceled) || domain.KindOf(err) == domain.KindUnavailable) {
		log.Info("told to stop before it served", zap.Error(err))
		return nil
	}
	return err
}

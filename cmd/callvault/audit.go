package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/callvault/callvault/cmd/callvault/internal/console"
	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/config"
)

// auditCmd prints a tenant's audit log.
type auditCmd struct {
	config.Parts `embed:"" group:"Storage:"`
	Tenant       string `help:"The tenant's id; without it, what was done to the installation itself."`
	From         string `required:"" help:"First UTC day: YYYY-MM-DD, yesterday or today." placeholder:"DAY"`
	To           string `required:"" help:"Last UTC day, included." placeholder:"DAY"`
}

func (*auditCmd) Help() string {
	return "Prints NDJSON, oldest first: who was issued which links, who downloaded what from where, and every change by an operator.\n\n" +
		"Examples:\n\n    callvault audit --tenant acme --from 2025-12-01 --to 2025-12-31 > december.ndjson"
}

func (c *auditCmd) Run(ctx context.Context, d *deps) error {
	now := time.Now()
	from, errFrom := parseDay(c.From, now)
	to, errTo := parseDay(c.To, now)
	if err := errors.Join(errFrom, errTo); err != nil { // report prints equal lines once
		return &usageError{err.Error()}
	}
	if to < from {
		return &usageError{fmt.Sprintf("--to %s lies before --from %s", to, from)}
	}
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		if c.Tenant != "" {
			if err := p.Catalog.TenantOrRetired(ctx, c.Tenant); err != nil {
				return err
			}
		}
		out := bufio.NewWriter(d.stdout)
		err := p.Catalog.Audit(ctx, c.Tenant, from.Start(), to.End(), func(e audit.Entry) error {
			return console.JSONLine(out, e)
		})
		return errors.Join(err, out.Flush())
	})
}

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/domain"
)

type tenantCloseCmd struct {
	config.Parts `embed:"" group:"Storage:"`
	ID           string `arg:"" help:"The tenant's id."`
	Reason       reason `required:"" placeholder:"TEXT" help:"Why; the audit log keeps it."`
	Yes          bool   `help:"Do not ask."`
	JSON         bool   `help:"Print JSON."`
}

func (*tenantCloseCmd) Help() string {
	return "Disables the tenant's applications, API keys and webhooks at once, with the tokens and links that they got, and takes nothing in for it any more. " +
		"What it has is archived as before, and ends by its source retention.\n\n" +
		"Examples:\n\n    callvault tenant close acme --reason 'contract ended on 31 March' --yes\n    callvault tenant close acme --reason 'contract ended on 31 March' --yes --json"
}

// tenantClosedJSON is what --json prints.
type tenantClosedJSON struct {
	domain.TenantJSON
	Ended catalog.Closed `json:"ended"`
}

func (c *tenantCloseCmd) Run(ctx context.Context, d *deps) error {
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		if _, err := p.Catalog.Tenant(ctx, c.ID); err != nil {
			return err
		}
		if err := d.confirm(ctx, c.Yes, c.JSON, "closing "+c.ID+" ends its credentials, tokens and links at once"); err != nil {
			return err
		}
		ended, err := p.Catalog.CloseTenant(ctx, c.ID, string(c.Reason), commandOrigin())
		if err != nil {
			return err
		}
		t, err := p.Catalog.Tenant(ctx, c.ID)
		if err != nil {
			return err
		}
		return d.show(c.JSON, tenantClosedJSON{t.JSON(), ended}, func() string {
			text := fmt.Sprintf("tenant %s is closed; disabled: %s, %s, %s. ", c.ID, count(ended.Applications, "application"), count(ended.APIKeys, "API key"), count(ended.Webhooks, "webhook"))
			if t.SourceRetentionDays == 0 {
				return text + "Its conversations are kept for ever; to end them: callvault tenant set " + c.ID + " --source-retention-days N"
			}
			return text + fmt.Sprintf("Its conversations end when they are %s old", count(t.SourceRetentionDays, "day"))
		})
	})
}

type tenantOpenCmd struct {
	config.Parts `embed:"" group:"Storage:"`
	ID           string `arg:"" help:"The tenant's id."`
	Reason       reason `required:"" placeholder:"TEXT" help:"Why; the audit log keeps it."`
	JSON         bool   `help:"Print JSON."`
}

func (*tenantOpenCmd) Help() string {
	return "Its credentials and webhooks stay disabled until you enable them. Former tokens and links stay void.\n\n" +
		"Examples:\n\n    callvault tenant open acme --reason 'closed by mistake'"
}

func (c *tenantOpenCmd) Run(ctx context.Context, d *deps) error {
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		if err := p.Catalog.OpenTenant(ctx, c.ID, string(c.Reason), commandOrigin()); err != nil {
			return err
		}
		t, err := p.Catalog.Tenant(ctx, c.ID)
		if err != nil {
			return err
		}
		return d.show(c.JSON, t.JSON(), func() string {
			return "tenant " + c.ID + " is open; its credentials and webhooks stay disabled until you enable them"
		})
	})
}

type tenantDeleteCmd struct {
	config.Parts `embed:"" group:"Storage:"`
	ID           string `arg:"" help:"The tenant's id."`
	Yes          bool   `help:"Do not ask."`
	JSON         bool   `help:"Print JSON."`
}

func (*tenantDeleteCmd) Help() string {
	return "Deletes a closed tenant, when no conversation, audio, archive or hold of it is left. Its id is never used again. Its audit log stays.\n\n" +
		"Examples:\n\n    callvault tenant delete acme --yes"
}

func (c *tenantDeleteCmd) Run(ctx context.Context, d *deps) error {
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		if _, err := p.Catalog.Tenant(ctx, c.ID); err != nil {
			return err
		}
		if err := d.confirm(ctx, c.Yes, c.JSON, "the id "+c.ID+" can never be used again"); err != nil {
			return err
		}
		if err := p.Catalog.DeleteTenant(ctx, c.ID, commandOrigin()); err != nil {
			return err
		}
		return d.show(c.JSON, map[string]string{"deleted": c.ID}, func() string { return "tenant " + c.ID + " is deleted; its audit log stays" })
	})
}

// confirm asks whether to go on. Where nobody can be asked, it refuses without yes.
func (d *deps) confirm(ctx context.Context, yes, json bool, what string) error {
	if yes {
		return nil
	}
	if json || !d.canAsk() {
		return &usageError{what + "; nothing is changed. If that is meant, add --yes"}
	}
	answer, err := d.ask(ctx, what+". Go on?")
	if err == nil && !answer {
		err = errors.New("nothing is changed")
	}
	return err
}

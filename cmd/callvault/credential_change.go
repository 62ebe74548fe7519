package main

import (
	"context"

	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/domain"
)

// credentialFlags are the flags of the commands that change one application or key.
type credentialFlags struct {
	config.Parts `embed:"" group:"Storage:"`
	Tenant       string `required:"" help:"The tenant's id."`
	ID           string `arg:"" help:"Id of the application or key, as list shows it."`
	JSON         bool   `help:"Print JSON."`
}

// owner returns the tenant of an application or an API key.
type owner func(ctx context.Context, c *catalog.Catalog, id string) (tenant string, err error)

func ownerOfApp(ctx context.Context, c *catalog.Catalog, id string) (string, error) {
	a, err := c.Application(ctx, id)
	return a.Tenant, err
}

func ownerOfKey(ctx context.Context, c *catalog.Catalog, id string) (string, error) {
	k, err := c.APIKey(ctx, id)
	return k.Tenant, err
}

// change changes one credential of the tenant and writes that into the audit log.
func (o *credentialFlags) change(ctx context.Context, d *deps, of owner, action string, do func(ctx context.Context, c *catalog.Catalog) error) error {
	return d.withCatalog(ctx, o.Parts, func(ctx context.Context, p *app.Parts) error {
		tenant, err := of(ctx, p.Catalog, o.ID)
		if err == nil && tenant != o.Tenant {
			err = domain.ErrNotFound
		}
		if domain.KindOf(err) == domain.KindNotFound {
			return domain.Errorf(domain.KindNotFound, "tenant %s has no %q; the list command shows what it has", o.Tenant, o.ID)
		}
		if err != nil {
			return err
		}
		return withAudit(ctx, p, o.Tenant, action, func(ctx context.Context) (any, error) {
			return map[string]any{"id": o.ID}, do(ctx, p.Catalog)
		})
	})
}

// changeAndShow is change, and prints that it is done.
func (o *credentialFlags) changeAndShow(ctx context.Context, d *deps, of owner, action, done string, do func(ctx context.Context, c *catalog.Catalog) error) error {
	if err := o.change(ctx, d, of, action, do); err != nil {
		return err
	}
	return d.show(o.JSON, map[string]string{"id": o.ID, "done": done}, func() string { return o.ID + " " + done })
}

// rotateAndShow gives one credential a new secret and prints it after name.
func (o *credentialFlags) rotateAndShow(ctx context.Context, d *deps, of owner, action, name string,
	rotate func(c *catalog.Catalog, ctx context.Context, id string) (string, error),
) error {
	var secret string
	err := o.change(ctx, d, of, action, func(ctx context.Context, c *catalog.Catalog) (err error) {
		secret, err = rotate(c, ctx, o.ID)
		return err
	})
	if err != nil {
		return err
	}
	return d.show(o.JSON, map[string]string{"id": o.ID, name: secret}, func() string {
		return name + " " + secret + "\nKeep it now: it is not shown again."
	})
}

type (
	appDisableCmd struct{ credentialFlags }
	appEnableCmd  struct{ credentialFlags }
	appRotateCmd  struct{ credentialFlags }
	appDeleteCmd  struct{ credentialFlags }
	keyDisableCmd struct{ credentialFlags }
	keyEnableCmd  struct{ credentialFlags }
	keyRotateCmd  struct{ credentialFlags }
	keyDeleteCmd  struct{ credentialFlags }
)

func credentialExample(command, id string) string {
	return "Examples:\n\n    callvault " + command + " --tenant acme " + id + "\n    callvault " + command + " --tenant acme " + id + " --json"
}

// Help shows an example below the flags.
func (*appDisableCmd) Help() string {
	return credentialExample("app disable", "app_832f6b71c269d1438c72dc35")
}

// Run disables the application.
func (c *appDisableCmd) Run(ctx context.Context, d *deps) error {
	return c.changeAndShow(ctx, d, ownerOfApp, "app.disable", "disabled", func(ctx context.Context, cat *catalog.Catalog) error {
		return cat.DisableApplication(ctx, c.ID, true)
	})
}

// Help shows an example below the flags.
func (*appEnableCmd) Help() string {
	return credentialExample("app enable", "app_832f6b71c269d1438c72dc35")
}

// Run enables the application.
func (c *appEnableCmd) Run(ctx context.Context, d *deps) error {
	return c.changeAndShow(ctx, d, ownerOfApp, "app.enable", "enabled", func(ctx context.Context, cat *catalog.Catalog) error {
		return cat.DisableApplication(ctx, c.ID, false)
	})
}

// Help shows an example below the flags.
func (*appRotateCmd) Help() string {
	return credentialExample("app rotate", "app_832f6b71c269d1438c72dc35")
}

// Run rotates the application's secret.
func (c *appRotateCmd) Run(ctx context.Context, d *deps) error {
	return c.rotateAndShow(ctx, d, ownerOfApp, "app.rotate", "client_secret", (*catalog.Catalog).RotateApplication)
}

// Help shows an example below the flags.
func (*appDeleteCmd) Help() string {
	return credentialExample("app delete", "app_832f6b71c269d1438c72dc35")
}

// Run deletes the application.
func (c *appDeleteCmd) Run(ctx context.Context, d *deps) error {
	return c.changeAndShow(ctx, d, ownerOfApp, "app.delete", "deleted", func(ctx context.Context, cat *catalog.Catalog) error {
		return cat.DeleteApplication(ctx, c.ID)
	})
}

// Help shows an example below the flags.
func (*keyDisableCmd) Help() string {
	return credentialExample("key disable", "key_832f6b71c269d1438c72dc35")
}

// Run disables the key.
func (c *keyDisableCmd) Run(ctx context.Context, d *deps) error {
	return c.changeAndShow(ctx, d, ownerOfKey, "key.disable", "disabled", func(ctx context.Context, cat *catalog.Catalog) error {
		return cat.DisableAPIKey(ctx, c.ID, true)
	})
}

// Help shows an example below the flags.
func (*keyEnableCmd) Help() string {
	return credentialExample("key enable", "key_832f6b71c269d1438c72dc35")
}

// Run enables the key.
func (c *keyEnableCmd) Run(ctx context.Context, d *deps) error {
	return c.changeAndShow(ctx, d, ownerOfKey, "key.enable", "enabled", func(ctx context.Context, cat *catalog.Catalog) error {
		return cat.DisableAPIKey(ctx, c.ID, false)
	})
}

// Help shows an example below the flags.
func (*keyRotateCmd) Help() string {
	return credentialExample("key rotate", "key_832f6b71c269d1438c72dc35")
}

// Run rotates the key's secret.
func (c *keyRotateCmd) Run(ctx context.Context, d *deps) error {
	return c.rotateAndShow(ctx, d, ownerOfKey, "key.rotate", "api_key", (*catalog.Catalog).RotateAPIKey)
}

// Help shows an example below the flags.
func (*keyDeleteCmd) Help() string {
	return credentialExample("key delete", "key_832f6b71c269d1438c72dc35")
}

// Run deletes the key.
func (c *keyDeleteCmd) Run(ctx context.Context, d *deps) error {
	return c.changeAndShow(ctx, d, ownerOfKey, "key.delete", "deleted", func(ctx context.Context, cat *catalog.Catalog) error {
		return cat.DeleteAPIKey(ctx, c.ID)
	})
}

package main

import (
	"context"
	"time"

	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// credentialKind is what differs between the commands for applications and for API keys.
type credentialKind interface {
	kind() catalog.CredentialKind // as commands name it
	secret() string               // name of the secret in what is printed
}

// credential is an application or an API key as lists show it.
type credential struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Disabled *time.Time `json:"disabledAt"`
	Created  time.Time  `json:"createdAt"`
	LastUsed *time.Time `json:"lastUsedAt"`
}

// createFlags are the flags of both create commands.
type createFlags struct {
	tenantFlags `embed:""`
	Name        string `help:"What it is for."`
}

type credentialListCmd[K credentialKind] struct {
	tenantFlags `embed:""`
}

func (*credentialListCmd[K]) Help() string {
	var k K
	return "Prints one JSON object a line with --json.\n\nExamples:\n\n    callvault " + string(k.kind()) + " list --tenant acme"
}

func (l *credentialListCmd[K]) Run(ctx context.Context, d *deps) error {
	return d.withCatalog(ctx, l.Parts, func(ctx context.Context, p *app.Parts) error {
		if _, err := p.Catalog.Tenant(ctx, l.Tenant); err != nil {
			return err
		}
		var k K
		list := d.newList(l.JSON, "ID", "NAME", "CREATED", "LAST USED", "DISABLED")
		page := func(after string) ([]catalog.Credential, error) {
			return p.Catalog.Credentials(ctx, k.kind(), l.Tenant, after, pageSize)
		}
		err := eachOf(page, func(found catalog.Credential) (string, error) {
			c := credential{found.ID, found.Name, optionalTime(found.Disabled), found.Created.Truncate(time.Second), optionalTime(found.LastUsed)}
			return c.ID, list.add(c, c.ID, c.Name, timeText(c.Created), timeTextOr(c.LastUsed, "never"), timeTextOr(c.Disabled, ""))
		})
		if err != nil {
			return err
		}
		return list.end()
	})
}

// credentialFlags are the flags of the commands that change one application or API key.
type credentialFlags[K credentialKind] struct {
	tenantFlags `embed:""`
	ID          string `arg:"" help:"Id of the application or key, as list shows it."`
}

func (o *credentialFlags[K]) examples(action string) string {
	var k K
	noun := string(k.kind())
	command := "    callvault " + noun + " " + action + " --tenant acme " + noun + "_832f6b71c269d1438c72dc35"
	return "Examples:\n\n" + command + "\n" + command + " --json"
}

// change changes one credential of the tenant.
func (o *credentialFlags[K]) change(ctx context.Context, d *deps, do func(ctx context.Context, c *catalog.Catalog, kind catalog.CredentialKind) error) error {
	return d.withCatalog(ctx, o.Parts, func(ctx context.Context, p *app.Parts) error {
		var k K
		found, err := p.Catalog.Credential(ctx, k.kind(), o.ID)
		if err == nil && found.Tenant != o.Tenant {
			err = domain.ErrNotFound
		}
		if domain.KindOf(err) == domain.KindNotFound {
			return domain.Errorf(domain.KindNotFound, "tenant %s has no %q; see: callvault %s list --tenant %s", o.Tenant, o.ID, k.kind(), o.Tenant)
		}
		if err != nil {
			return err
		}
		return do(ctx, p.Catalog, k.kind())
	})
}

// changeAndShow is change, and prints that it is done.
func (o *credentialFlags[K]) changeAndShow(ctx context.Context, d *deps, done string, do func(ctx context.Context, c *catalog.Catalog, kind catalog.CredentialKind) error) error {
	if err := o.change(ctx, d, do); err != nil {
		return err
	}
	return d.show(o.JSON, map[string]string{"id": o.ID, "done": done}, func() string { return o.ID + " " + done })
}

type credentialDisableCmd[K credentialKind] struct{ credentialFlags[K] }

func (c *credentialDisableCmd[K]) Help() string { return c.examples("disable") }

func (c *credentialDisableCmd[K]) Run(ctx context.Context, d *deps) error {
	return c.changeAndShow(ctx, d, "disabled", func(ctx context.Context, cat *catalog.Catalog, kind catalog.CredentialKind) error {
		return cat.DisableCredential(ctx, kind, c.ID, true, commandOrigin())
	})
}

type credentialEnableCmd[K credentialKind] struct{ credentialFlags[K] }

func (c *credentialEnableCmd[K]) Help() string { return c.examples("enable") }

func (c *credentialEnableCmd[K]) Run(ctx context.Context, d *deps) error {
	return c.changeAndShow(ctx, d, "enabled", func(ctx context.Context, cat *catalog.Catalog, kind catalog.CredentialKind) error {
		return cat.DisableCredential(ctx, kind, c.ID, false, commandOrigin())
	})
}

type credentialRotateCmd[K credentialKind] struct{ credentialFlags[K] }

func (c *credentialRotateCmd[K]) Help() string { return c.examples("rotate") }

func (c *credentialRotateCmd[K]) Run(ctx context.Context, d *deps) error {
	var k K
	var secret string
	err := c.change(ctx, d, func(ctx context.Context, cat *catalog.Catalog, kind catalog.CredentialKind) (err error) {
		secret, err = cat.RotateCredential(ctx, kind, c.ID, commandOrigin())
		return err
	})
	if err != nil {
		return err
	}
	return d.show(c.JSON, map[string]string{"id": c.ID, k.secret(): secret}, func() string {
		return k.secret() + " " + secret + "\nKeep it now: it is not shown again."
	})
}

type credentialDeleteCmd[K credentialKind] struct{ credentialFlags[K] }

func (c *credentialDeleteCmd[K]) Help() string { return c.examples("delete") }

func (c *credentialDeleteCmd[K]) Run(ctx context.Context, d *deps) error {
	return c.changeAndShow(ctx, d, "deleted", func(ctx context.Context, cat *catalog.Catalog, kind catalog.CredentialKind) error {
		return cat.DeleteCredential(ctx, kind, c.ID, commandOrigin())
	})
}

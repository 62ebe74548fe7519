package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/callvault/callvault/cmd/callvault/internal/console"
	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/config"
)

// appCmd is the commands about OAuth applications.
type appCmd struct {
	Create  appCreateCmd  `cmd:"" help:"Add an application; prints its client_id and client_secret once."`
	List    appListCmd    `cmd:"" help:"List a tenant's applications."`
	Disable appDisableCmd `cmd:"" help:"End an application's tokens with the next request."`
	Enable  appEnableCmd  `cmd:"" help:"Let a disabled application in again."`
	Rotate  appRotateCmd  `cmd:"" help:"Give an application a new secret; the old one ends at once."`
	Delete  appDeleteCmd  `cmd:"" help:"Remove an application and end its tokens."`
}

// keyCmd is the commands about API keys.
type keyCmd struct {
	Create  keyCreateCmd  `cmd:"" help:"Add an API key; prints it once."`
	List    keyListCmd    `cmd:"" help:"List a tenant's API keys."`
	Disable keyDisableCmd `cmd:"" help:"End an API key with the next request."`
	Enable  keyEnableCmd  `cmd:"" help:"Let a disabled API key in again."`
	Rotate  keyRotateCmd  `cmd:"" help:"Give an API key a new secret; the old one ends at once."`
	Delete  keyDeleteCmd  `cmd:"" help:"Remove an API key."`
}

// createFlags are the flags of both create commands.
type createFlags struct {
	config.Parts `embed:"" group:"Storage:"`
	Tenant       string `required:"" help:"The tenant's id."`
	Name         string `help:"What it is for."`
	JSON         bool   `help:"Print JSON."`
}

type appCreateCmd struct {
	createFlags `embed:""`
}

// Help shows examples below the flags.
func (*appCreateCmd) Help() string {
	return "The secret can't be shown again.\n\nExamples:\n\n    callvault app create --tenant acme --name nightly-pull\n    callvault app create --tenant acme --json"
}

// Run creates the application.
func (c *appCreateCmd) Run(ctx context.Context, d *deps) error {
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		var a catalog.Application
		var secret string
		err := withAudit(ctx, p, c.Tenant, "app.create", func(ctx context.Context) (detail any, err error) {
			a, secret, err = p.Catalog.CreateApplication(ctx, c.Tenant, c.Name, auth.Scopes())
			return map[string]any{"id": a.ID, "name": a.Name}, err
		})
		if err != nil {
			return err
		}
		out := map[string]string{"client_id": a.ID, "client_secret": secret, "tenant": a.Tenant, "name": a.Name, "scope": strings.Join(a.Scopes, " ")}
		return d.show(c.JSON, out, func() string {
			return "client_id     " + a.ID + "\nclient_secret " + secret + "\nKeep the secret now: it is not shown again."
		})
	})
}

type keyCreateCmd struct {
	createFlags `embed:""`
}

// Help shows examples below the flags.
func (*keyCreateCmd) Help() string {
	return "The key can't be shown again.\n\nExamples:\n\n    callvault key create --tenant acme --name analytics\n    callvault key create --tenant acme --json"
}

// Run creates the key.
func (c *keyCreateCmd) Run(ctx context.Context, d *deps) error {
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		var k catalog.APIKey
		var secret string
		err := withAudit(ctx, p, c.Tenant, "key.create", func(ctx context.Context) (detail any, err error) {
			k, secret, err = p.Catalog.CreateAPIKey(ctx, c.Tenant, c.Name)
			return map[string]any{"id": k.ID, "name": k.Name}, err
		})
		if err != nil {
			return err
		}
		out := map[string]string{"id": k.ID, "api_key": secret, "tenant": k.Tenant, "name": k.Name}
		return d.show(c.JSON, out, func() string {
			return "id      " + k.ID + "\napi_key " + secret + "\nKeep the key now: it is not shown again."
		})
	})
}

// credential is an application or an API key as lists show it.
type credential struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Disabled *time.Time `json:"disabledAt"`
	Created  time.Time  `json:"createdAt"`
	LastUsed *time.Time `json:"lastUsedAt"`
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.Truncate(time.Second)
	return &t
}

// listFlags are the flags of both list commands.
type listFlags struct {
	config.Parts `embed:"" group:"Storage:"`
	Tenant       string `required:"" help:"The tenant's id."`
	JSON         bool   `help:"Print JSON, one a line."`
}

// list prints all pages of credentials.
func (l *listFlags) list(ctx context.Context, d *deps, page func(ctx context.Context, c *catalog.Catalog, after string) ([]credential, error)) error {
	return d.withCatalog(ctx, l.Parts, func(ctx context.Context, p *app.Parts) error {
		if _, err := p.Catalog.Tenant(ctx, l.Tenant); err != nil {
			return err
		}
		var rows [][]string
		for after := ""; ; {
			some, err := page(ctx, p.Catalog, after)
			if err != nil {
				return err
			}
			if len(some) == 0 {
				break
			}
			after = some[len(some)-1].ID
			for _, c := range some {
				if l.JSON {
					if err := jsonLine(d.stdout, c); err != nil {
						return err
					}
					continue
				}
				rows = append(rows, []string{c.ID, c.Name, timeText(c.Created), timeTextOr(c.LastUsed, "never"), timeTextOr(c.Disabled, "")})
			}
		}
		if l.JSON {
			return nil
		}
		return console.Table(d.stdout, []string{"ID", "NAME", "CREATED", "LAST USED", "DISABLED"}, rows)
	})
}

func timeText(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func timeTextOr(t *time.Time, none string) string {
	if t == nil {
		return none
	}
	return timeText(*t)
}

func jsonLine(w io.Writer, v any) error {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

type appListCmd struct {
	listFlags `embed:""`
}

// Help shows examples below the flags.
func (*appListCmd) Help() string { return "Examples:\n\n    callvault app list --tenant acme" }

// Run lists the applications.
func (c *appListCmd) Run(ctx context.Context, d *deps) error {
	return c.list(ctx, d, func(ctx context.Context, cat *catalog.Catalog, after string) ([]credential, error) {
		apps, err := cat.Applications(ctx, c.Tenant, after, 500)
		out := make([]credential, 0, len(apps))
		for _, a := range apps {
			out = append(out, credential{a.ID, a.Name, optionalTime(a.Disabled), a.Created.Truncate(time.Second), optionalTime(a.LastUsed)})
		}
		return out, err
	})
}

type keyListCmd struct {
	listFlags `embed:""`
}

// Help shows examples below the flags.
func (*keyListCmd) Help() string { return "Examples:\n\n    callvault key list --tenant acme" }

// Run lists the keys.
func (c *keyListCmd) Run(ctx context.Context, d *deps) error {
	return c.list(ctx, d, func(ctx context.Context, cat *catalog.Catalog, after string) ([]credential, error) {
		keys, err := cat.APIKeys(ctx, c.Tenant, after, 500)
		out := make([]credential, 0, len(keys))
		for _, k := range keys {
			out = append(out, credential{k.ID, k.Name, optionalTime(k.Disabled), k.Created.Truncate(time.Second), optionalTime(k.LastUsed)})
		}
		return out, err
	})
}

package main

import (
	"context"
	"time"

	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/catalog"
)

// keyCmd holds the commands about API keys.
type keyCmd struct {
	Create  keyCreateCmd                  `cmd:"" help:"Add an API key; prints it once."`
	List    credentialListCmd[keyKind]    `cmd:"" help:"List a tenant's API keys."`
	Disable credentialDisableCmd[keyKind] `cmd:"" help:"End an API key with the next request."`
	Enable  credentialEnableCmd[keyKind]  `cmd:"" help:"Let a disabled API key in again."`
	Rotate  credentialRotateCmd[keyKind]  `cmd:"" help:"Give an API key a new secret; the old one ends at once."`
	Delete  credentialDeleteCmd[keyKind]  `cmd:"" help:"Remove an API key."`
}

type keyCreateCmd struct {
	createFlags `embed:""`
}

func (*keyCreateCmd) Help() string {
	return "The key can't be shown again.\n\nExamples:\n\n    callvault key create --tenant acme --name analytics\n    callvault key create --tenant acme --json"
}

func (c *keyCreateCmd) Run(ctx context.Context, d *deps) error {
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		k, secret, err := p.Catalog.CreateAPIKey(ctx, c.Tenant, c.Name, commandOrigin())
		if err != nil {
			return err
		}
		out := map[string]string{"id": k.ID, "api_key": secret, "tenant": k.Tenant, "name": k.Name}
		return d.show(c.JSON, out, func() string {
			return "id      " + k.ID + "\napi_key " + secret + "\nKeep the key now: it is not shown again."
		})
	})
}

// keyKind is the kind of API keys.
type keyKind struct{}

func (keyKind) noun() string   { return "key" }
func (keyKind) secret() string { return "api_key" }

func (keyKind) tenant(ctx context.Context, c *catalog.Catalog, id string) (string, error) {
	k, err := c.APIKey(ctx, id)
	return k.Tenant, err
}

func (keyKind) page(ctx context.Context, c *catalog.Catalog, tenant, after string) ([]credential, error) {
	keys, err := c.APIKeys(ctx, tenant, after, pageSize)
	out := make([]credential, 0, len(keys))
	for _, k := range keys {
		out = append(out, credential{k.ID, k.Name, optionalTime(k.Disabled), k.Created.Truncate(time.Second), optionalTime(k.LastUsed)})
	}
	return out, err
}

func (keyKind) disable(ctx context.Context, c *catalog.Catalog, id string, disabled bool) error {
	return c.DisableAPIKey(ctx, id, disabled, commandOrigin())
}

func (keyKind) rotate(ctx context.Context, c *catalog.Catalog, id string) (string, error) {
	return c.RotateAPIKey(ctx, id, commandOrigin())
}

func (keyKind) remove(ctx context.Context, c *catalog.Catalog, id string) error {
	return c.DeleteAPIKey(ctx, id, commandOrigin())
}

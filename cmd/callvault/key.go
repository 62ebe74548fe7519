package main

import (
	"context"

	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/catalog"
)

// keyCmd holds the commands about API keys.
type keyCmd struct {
	Create  keyCreateCmd                  `cmd:"" help:"Add an API key; prints it once."`
	List    credentialListCmd[keyKind]    `cmd:"" help:"List a tenant's API keys."`
	Disable credentialDisableCmd[keyKind] `cmd:"" help:"End an API key and its links with the next request."`
	Enable  credentialEnableCmd[keyKind]  `cmd:"" help:"Let a disabled API key in again."`
	Rotate  credentialRotateCmd[keyKind]  `cmd:"" help:"Give an API key a new secret; the old one ends at once."`
	Delete  credentialDeleteCmd[keyKind]  `cmd:"" help:"Remove an API key, and end its links."`
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

func (keyKind) kind() catalog.CredentialKind { return catalog.CredentialKey }
func (keyKind) secret() string               { return "api_key" }

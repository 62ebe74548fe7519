package main

import (
	"context"
	"strings"

	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
)

// appCmd holds the commands about OAuth applications.
type appCmd struct {
	Create  appCreateCmd                  `cmd:"" help:"Add an application; prints its client_id and client_secret once."`
	List    credentialListCmd[appKind]    `cmd:"" help:"List a tenant's applications."`
	Disable credentialDisableCmd[appKind] `cmd:"" help:"End an application, its tokens and links with the next request."`
	Enable  credentialEnableCmd[appKind]  `cmd:"" help:"Let a disabled application in again."`
	Rotate  credentialRotateCmd[appKind]  `cmd:"" help:"Give an application a new secret; the old one ends at once."`
	Delete  credentialDeleteCmd[appKind]  `cmd:"" help:"Remove an application, and end its tokens and links."`
}

type appCreateCmd struct {
	createFlags `embed:""`
}

func (*appCreateCmd) Help() string {
	return "The secret can't be shown again.\n\nExamples:\n\n    callvault app create --tenant acme --name nightly-pull\n    callvault app create --tenant acme --json"
}

func (c *appCreateCmd) Run(ctx context.Context, d *deps) error {
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		a, secret, err := p.Catalog.CreateApplication(ctx, c.Tenant, c.Name, auth.Scopes(), commandOrigin())
		if err != nil {
			return err
		}
		out := map[string]string{"client_id": a.ID, "client_secret": secret, "tenant": a.Tenant, "name": a.Name, "scope": strings.Join(a.Scopes, " ")}
		return d.show(c.JSON, out, func() string {
			return "client_id     " + a.ID + "\nclient_secret " + secret + "\nKeep the secret now: it is not shown again."
		})
	})
}

// appKind is the kind of applications.
type appKind struct{}

func (appKind) kind() catalog.CredentialKind { return catalog.CredentialApp }
func (appKind) secret() string               { return "client_secret" }

package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/webhooks"
)

// keysCmd holds the commands about signing keys and the master key.
type keysCmd struct {
	Reseal keysResealCmd `cmd:"" help:"Change the master key."`
	Rotate keysRotateCmd `cmd:"" help:"Make new signing keys; what the old ones signed stays valid until it ends."`
}

type keysRotateCmd struct {
	config.Parts `embed:"" group:"Storage:"`
	JSON         bool `help:"Print JSON."`
}

func (*keysRotateCmd) Help() string { return "Examples:\n\n    callvault keys rotate" }

func (c *keysRotateCmd) Run(ctx context.Context, d *deps) error {
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		n, err := auth.RotateKeys(ctx, p.Catalog, p.Config.MasterKey.Reveal(), commandOrigin())
		if err != nil {
			return err
		}
		return d.show(c.JSON, map[string]int{"keys": n}, func() string {
			return fmt.Sprintf("%d signing keys made; all replicas use them within half a minute", n)
		})
	})
}

// keysResealCmd changes the master key.
type keysResealCmd struct {
	config.Parts `embed:"" group:"Storage:"`
	Former       string `required:"" placeholder:"FILE" help:"File that holds the former master key."`
	JSON         bool   `help:"Print JSON."`
}

func (*keysResealCmd) Help() string {
	return "Set CALLVAULT_MASTER_KEY to the new master key for this command, then restart the roles with it. Running it again does no harm.\n\n" +
		"Examples:\n\n    CALLVAULT_MASTER_KEY_FILE=new.key callvault keys reseal --former old.key"
}

// Run encrypts everything under the new master key.
func (c *keysResealCmd) Run(ctx context.Context, d *deps) error {
	text, err := os.ReadFile(c.Former)
	if err != nil {
		return domain.Wrap(domain.KindInvalid, err, "cannot read the former master key")
	}
	former := config.Secret(strings.TrimRight(string(text), "\r\n"))
	// Embedded parts open only with the current master key. After an earlier run that is the new
	// one.
	before := c.Parts
	before.MasterKey = former
	err = c.reseal(ctx, d, before, former)
	if domain.KindOf(err) == domain.KindInvalid && c.reseal(ctx, d, c.Parts, former) == nil {
		return nil
	}
	return err
}

func (c *keysResealCmd) reseal(ctx context.Context, d *deps, opens config.Parts, former config.Secret) error {
	return d.withCatalog(ctx, opens, func(ctx context.Context, p *app.Parts) error {
		n, err := auth.Reseal(ctx, p.Catalog, former.Reveal(), c.MasterKey.Reveal(), webhooks.AssociatedData, commandOrigin())
		if err != nil {
			return err
		}
		return d.show(c.JSON, map[string]int{"secrets": n}, func() string {
			return fmt.Sprintf("%d secrets stand under the new master key; now restart the roles with it", n)
		})
	})
}

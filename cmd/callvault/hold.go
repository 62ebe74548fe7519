package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/holds"
)

// holdCmd holds the commands about legal holds.
type holdCmd struct {
	Create  holdCreateCmd  `cmd:"" help:"Keep what days or conversations have, whatever retention says, until the hold is released."`
	List    holdListCmd    `cmd:"" help:"List a tenant's holds, released ones too."`
	Release holdReleaseCmd `cmd:"" help:"End a hold; what it alone kept can be deleted a day later."`
}

type holdCreateCmd struct {
	tenantFlags  `embed:""`
	Name         string   `required:"" help:"Name of the hold, such as the matter's number; unique among the tenant's active holds."`
	Reason       reason   `required:"" help:"Why; the hold and the audit log keep it."`
	From         string   `and:"days" xor:"scope" placeholder:"DAY" help:"First UTC day that is held: YYYY-MM-DD, yesterday or today."`
	To           string   `and:"days" placeholder:"DAY" help:"Last day that is held."`
	Conversation []string `sep:"none" xor:"scope" placeholder:"ID" help:"Conversation that is held. Repeatable."`
	All          bool     `xor:"scope" help:"Hold all that the tenant has, and what comes."`
}

func (*holdCreateCmd) Help() string {
	return "No retention, erasure, closing of a tenant or correction ends what a hold covers. Holds stack.\n" +
		"A hold over days covers their archives, and conversations that were going on, recorded or written to in them.\n" +
		"A conversation need not be known yet: what comes of it is held.\n" +
		"The answer names what is not held, because it is being deleted already.\n\nExamples:\n\n" +
		"    callvault hold create --tenant acme --name matter-7 --reason 'letter of 3 May' --from 2025-12-01 --to 2025-12-12\n" +
		"    callvault hold create --tenant acme --name matter-8 --reason 'court order' --conversation c-17 --conversation c-18\n" +
		"    callvault hold create --tenant acme --name audit-25 --reason 'inquiry' --all --json"
}

func (c *holdCreateCmd) Run(ctx context.Context, d *deps) error {
	o := holds.Order{Tenant: c.Tenant, Name: c.Name, Reason: string(c.Reason), All: c.All, Conversations: c.Conversation}
	if c.From != "" {
		var errFrom, errTo error
		now := time.Now()
		o.From, errFrom = parseDay(c.From, now)
		o.To, errTo = parseDay(c.To, now)
		if err := cmp.Or(errFrom, errTo); err != nil {
			return err
		}
	} else if !c.All && len(c.Conversation) == 0 {
		return &usageError{"nothing to hold; add --from and --to, at least one --conversation, or --all"}
	}
	if err := o.Check(); err != nil {
		return err
	}
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		made, err := p.Catalog.CreateHold(ctx, o, commandOrigin())
		if err != nil {
			return err
		}
		return d.show(c.JSON, made, func() string { return heldText(made) })
	})
}

func heldText(made catalog.HoldResult) string {
	lines := []string{fmt.Sprintf("hold %s covers %s of tenant %s", made.Name, scopeText(made.Hold), made.Tenant)}
	if made.Spared > 0 {
		lines = append(lines, "not deleted any more: "+count(int(made.Spared), "archive"))
	}
	if len(made.Unknown) > 0 {
		lines = append(lines, "nothing is known yet of "+strings.Join(made.Unknown, ", ")+"; held as soon as something is")
	}
	if made.Audio > 0 {
		lines = append(lines, "NOT held: the audio of "+count(made.Audio, "recording")+" of the tenant whose conversations have ended or were erased")
	}
	if len(made.Ending) > 0 {
		lines = append(lines, "held, but a part was removed already: "+strings.Join(made.Ending, ", "))
	}
	for _, a := range made.Deleting {
		lines = append(lines, fmt.Sprintf("NOT held, its bytes go or are gone: %s %s:00 revision %d, %s", a.Day, a.Hour, a.Revision, a.ObjectKey))
	}
	if more := made.Going - len(made.Deleting); more > 0 {
		lines = append(lines, "NOT held either: "+count(more, "archive")+" more")
	}
	return strings.Join(lines, "\n")
}

func scopeText(h holds.Hold) string {
	switch h.Scope {
	case holds.ScopeDays:
		return string(*h.From) + " to " + string(*h.To)
	case holds.ScopeConversations:
		return count(h.Conversations, "conversation")
	}
	return "all"
}

type holdListCmd struct {
	tenantFlags `embed:""`
}

func (*holdListCmd) Help() string {
	return "Prints one JSON object a line with --json.\n\nExamples:\n\n    callvault hold list --tenant acme"
}

func (c *holdListCmd) Run(ctx context.Context, d *deps) error {
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		if _, err := p.Catalog.Tenant(ctx, c.Tenant); err != nil {
			return err
		}
		all, err := p.Catalog.HoldsOf(ctx, c.Tenant)
		if err != nil {
			return err
		}
		list := d.newList(c.JSON, "NAME", "COVERS", "REASON", "CREATED", "RELEASED", "COVERS UNTIL")
		for _, h := range all {
			if err := list.add(h, h.Name, scopeText(h), h.Reason, timeText(h.Created), timeTextOr(h.Released, "–"), timeTextOr(h.CoversUntil, "–")); err != nil {
				return err
			}
		}
		return list.end()
	})
}

type holdReleaseCmd struct {
	tenantFlags `embed:""`
	Name        string `arg:"" help:"Name of the hold, as list shows it."`
	Reason      reason `required:"" help:"Why; the hold and the audit log keep it."`
}

func (*holdReleaseCmd) Help() string {
	return "The hold covers for one more day, so that a release by mistake can be mended: create another hold.\n\nExamples:\n\n" +
		"    callvault hold release --tenant acme matter-7 --reason 'settled on 9 June'"
}

func (c *holdReleaseCmd) Run(ctx context.Context, d *deps) error {
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		h, err := p.Catalog.ReleaseHold(ctx, c.Tenant, c.Name, string(c.Reason), commandOrigin())
		if err != nil {
			return err
		}
		return d.show(c.JSON, h, func() string {
			return fmt.Sprintf("hold %s is released; what it alone kept can be deleted from %s on", h.Name, timeText(*h.CoversUntil))
		})
	})
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/lifecycle"
)

// eraseCmd holds the commands about erasures.
type eraseCmd struct {
	Order  eraseOrderCmd  `cmd:"" default:"withargs" help:"Erase conversations: all that is kept of them, in every copy."`
	Status eraseStatusCmd `cmd:"" help:"Show how far erasures are, and their proofs."`
}

func (*eraseCmd) Help() string {
	return "Without a command it orders an erasure; its flags: callvault erase order --help.\n\nExamples:\n\n" +
		"    callvault erase --tenant acme --conversation c-17 --reason 'request 2025-31'\n" +
		"    callvault erase status --tenant acme"
}

type eraseOrderCmd struct {
	config.Parts `embed:"" group:"Storage:"`
	Tenant       string   `required:"" help:"The tenant's id."`
	Reason       reason   `required:"" help:"Why; the order and the audit log keep it. Name no person."`
	Conversation []string `sep:"none" xor:"who" placeholder:"ID" help:"Conversation to erase. Repeatable."`
	User         string   `xor:"who" placeholder:"ID" help:"Erase the conversations whose user has this id."`
	Phone        string   `xor:"who" placeholder:"NUMBER" help:"Erase the conversations with this caller or callee, however the number is written."`
	Yes          bool     `help:"Erase without asking; without it a terminal is asked."`
	Wait         bool     `help:"Wait until the erasure is proven."`
	JSON         bool     `help:"Print JSON."`
}

func (*eraseOrderCmd) Help() string {
	return "Rows, former values, messages, transcript and audio go, archives are built again without them, and links to those end.\n" +
		"A user or a number is looked up once; conversations that come later are not erased. +49 30 123 and 030 123 are two numbers.\n" +
		"It is refused whole where a hold covers a part. Lines that come again are not stored.\n" +
		"More than 1,000 conversations become several orders, each printed when all are asked.\n\nExamples:\n\n" +
		"    callvault erase --tenant acme --conversation c-17 --conversation c-18 --reason 'request 2025-31'\n" +
		"    callvault erase --tenant acme --phone '+49 (30) 123-456' --reason 'request 2025-32' --yes --wait\n" +
		"    callvault erase status --tenant acme"
}

func (c *eraseOrderCmd) Run(ctx context.Context, d *deps) error {
	if len(c.Conversation) == 0 && c.User == "" && c.Phone == "" {
		return &usageError{"nothing to erase; name at least one --conversation, or a --user, or a --phone"}
	}
	cfg, log, err := d.commandConfig(c.Parts)
	if err != nil {
		return err
	}
	return app.WithWorker(ctx, cfg, log, func(ctx context.Context, p *app.Parts, _ bool) error {
		if err := p.Catalog.DB().CheckSchema(ctx); err != nil {
			return err
		}
		eraser := p.Eraser(log)
		r := lifecycle.ErasureRequest{Tenant: c.Tenant, Conversations: c.Conversation, Reason: string(c.Reason), Origin: commandOrigin()}
		if err := c.resolve(ctx, eraser, &r); err != nil {
			return err
		}
		n, err := eraser.Preview(ctx, r)
		if err != nil {
			return err
		}
		if err := d.confirm(ctx, c.Yes, c.JSON, "this erases for good: "+erasureText(n)); err != nil {
			return err
		}
		orders, err := eraser.AskAll(ctx, r)
		_, _ = p.Planner(zap.NewNop()).DispatchPass(ctx) // the scheduler repeats it and logs errors
		for _, x := range orders {
			if c.Wait && err == nil {
				x, err = waitForErasure(ctx, p, eraser, x)
			}
			err = errors.Join(err, d.show(c.JSON, x, func() string { return statusText(x) }))
		}
		return err
	})
}

// resolve finds the conversations of a user or of a phone number.
func (c *eraseOrderCmd) resolve(ctx context.Context, eraser *lifecycle.Eraser, r *lifecycle.ErasureRequest) (err error) {
	switch {
	case c.User != "":
		r.Conversations, err = eraser.OfUser(ctx, c.Tenant, c.User)
	case c.Phone != "":
		r.Conversations, err = eraser.OfPhone(ctx, c.Tenant, c.Phone)
	}
	return err
}

func erasureText(n lifecycle.ErasureCounts) string {
	return fmt.Sprintf("%s with %s, %s of audio and %s, on %s; %s to be built again without them", count(n.Conversations, "conversation"), count(n.Recordings, "recording"),
		bytesOf(n.Bytes), count(n.Messages, "message"), count(n.Days, "day"), count(n.Archives, "archive"))
}

// erasurePoll is the time between two looks at an erasure.
const erasurePoll = 500 * time.Millisecond

// waitForErasure waits until an erasure is proven. It dispatches the hours that are built again,
// since the next pass of the scheduler may be a minute later.
func waitForErasure(ctx context.Context, p *app.Parts, eraser *lifecycle.Eraser, x lifecycle.Erasure) (lifecycle.Erasure, error) {
	tick := time.NewTicker(erasurePoll)
	defer tick.Stop()
	for x.Proven == nil {
		select {
		case <-ctx.Done():
			return x, ctx.Err()
		case <-tick.C:
		}
		if x.WaitsForHold != "" {
			return x, errors.New("it waits for the hold " + x.WaitsForHold + "; see: callvault erase status")
		}
		_, _ = p.Planner(zap.NewNop()).DispatchPass(ctx)
		next, err := eraser.Status(ctx, x.Tenant, x.ID)
		if err != nil {
			return x, err
		}
		x = next
	}
	return x, nil
}

func statusText(x lifecycle.Erasure) string {
	n := x.Removed
	lines := []string{fmt.Sprintf("erasure %s of tenant %s is %s", x.ID, x.Tenant, x.State),
		fmt.Sprintf("asked %s by %s: %s", timeText(x.Asked), x.AskedBy, x.Reason),
		fmt.Sprintf("removed: %s, %s of %s, %s, %s", count(n.Conversations, "conversation"), count(n.Recordings, "recording"), bytesOf(n.Bytes),
			count(n.Messages, "message"), count(int(n.FormerValues), "former value"))}
	if x.WaitsForHold != "" {
		lines = append(lines, "it waits for the hold "+x.WaitsForHold)
	}
	if p := x.Proof; p != nil {
		lines = append(lines, fmt.Sprintf("proven %s: %s and %s were deleted", timeText(*x.Proven), count(p.Recordings.Deleted, "audio object"), count(p.Archives.Deleted, "archive")))
		if x.Gone != nil {
			lines = append(lines, "the last copy went "+timeText(*x.Gone))
		}
		for _, l := range p.Locked {
			lines = append(lines, fmt.Sprintf("hidden, and locked by the store until %s: %s", timeText(l.Until), l.ObjectKey))
		}
		for _, key := range p.Left {
			lines = append(lines, "left to the platform, which wrote it: "+key)
		}
	}
	return strings.Join(lines, "\n")
}

type eraseStatusCmd struct {
	tenantFlags `embed:""`
	Order       string `arg:"" optional:"" help:"Id of the erasure; without it all are listed."`
}

func (*eraseStatusCmd) Help() string {
	return "With --json, one erasure is printed with its conversations and proof, and of all one JSON object a line, without these.\n\nExamples:\n\n" +
		"    callvault erase status --tenant acme\n    callvault erase status --tenant acme er_000640f8a1b2c3d4_5e6f7a8b --json"
}

func (c *eraseStatusCmd) Run(ctx context.Context, d *deps) error {
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		eraser := p.Eraser(zap.NewNop())
		if c.Order != "" {
			x, err := eraser.Status(ctx, c.Tenant, c.Order)
			if err != nil {
				return err
			}
			return d.show(c.JSON, x, func() string { return statusText(x) })
		}
		list := d.newList(c.JSON, "ERASURE", "STATE", "ASKED", "REASON", "CONVERSATIONS", "PROVEN", "LOCKED UNTIL", "WAITS FOR")
		page := func(before string) ([]lifecycle.Erasure, error) { return eraser.List(ctx, c.Tenant, before, pageSize) }
		err := eachOf(page, func(x lifecycle.Erasure) (string, error) {
			return x.ID, list.add(x, x.ID, x.State, timeText(x.Asked), x.Reason, fmt.Sprint(x.Removed.Conversations), timeTextOr(x.Proven, "–"), timeTextOr(x.LockedUntil, "–"), cmp.Or(x.WaitsForHold, "–"))
		})
		if err != nil {
			return err
		}
		return list.end()
	})
}

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/webhooks"
)

// webhookCmd holds the commands about webhooks.
type webhookCmd struct {
	Create     webhookCreateCmd     `cmd:"" help:"Add an endpoint that is told of events; prints its secret once."`
	List       webhookListCmd       `cmd:"" help:"List a tenant's endpoints."`
	Set        webhookSetCmd        `cmd:"" help:"Change an endpoint's address or events, disable or enable it."`
	Rotate     webhookRotateCmd     `cmd:"" help:"Give an endpoint a new secret; the old one signs too for a while."`
	Delete     webhookDeleteCmd     `cmd:"" help:"Remove an endpoint and its delivery log."`
	Test       webhookTestCmd       `cmd:"" help:"Send an event that only says hello."`
	Deliveries webhookDeliveriesCmd `cmd:"" help:"List what was delivered, waits or failed."`
	Replay     webhookReplayCmd     `cmd:"" help:"Deliver again, with the same ids."`
}

// endpointJSON is an endpoint as --json shows it.
type endpointJSON struct {
	ID       string     `json:"id"`
	Tenant   string     `json:"tenant"`
	URL      string     `json:"url"`
	Events   []string   `json:"events"`
	Enabled  bool       `json:"enabled"`
	Disabled *time.Time `json:"disabledAt"`
	Reason   string     `json:"disabledReason,omitempty"`
	Created  time.Time  `json:"createdAt"`
	Secret   string     `json:"secret,omitempty"` // once
}

func endpointView(e outbox.Endpoint, secret string) endpointJSON {
	return endpointJSON{e.ID, e.Tenant, e.URL, e.Events, e.Disabled.IsZero(), optionalTime(e.Disabled), e.Reason, e.Created.Truncate(time.Second), secret}
}

// withEndpoints opens the parts and runs work with the endpoints.
func (o *tenantFlags) withEndpoints(ctx context.Context, d *deps, work func(ctx context.Context, e *webhooks.Endpoints) error) error {
	return d.withCatalog(ctx, o.Parts, func(ctx context.Context, p *app.Parts) error {
		e, err := p.Webhooks()
		if err != nil {
			return err
		}
		return work(ctx, e)
	})
}

type webhookCreateCmd struct {
	tenantFlags `embed:""`
	URL         string   `name:"url" required:"" help:"Where events are posted to; https, unless CALLVAULT_WEBHOOK_PRIVATE allows private hosts."`
	Event       []string `help:"Event to be told of: ${events} (default all). Repeatable." enum:"${events}"`
}

func (*webhookCreateCmd) Help() string {
	return "The secret can't be shown again; the receiver verifies signatures with it.\n\nExamples:\n\n" +
		"    callvault webhook create --tenant acme --url https://hooks.acme.example/callvault\n" +
		"    callvault webhook create --tenant acme --url https://hooks.acme.example/failed --event day.failed --json"
}

func (c *webhookCreateCmd) Run(ctx context.Context, d *deps) error {
	return c.withEndpoints(ctx, d, func(ctx context.Context, endpoints *webhooks.Endpoints) error {
		if len(c.Event) == 0 {
			c.Event = domain.EventTypes()
		}
		e, secret, err := endpoints.Create(ctx, c.Tenant, c.URL, c.Event, commandOrigin())
		if err != nil {
			return err
		}
		return d.show(c.JSON, endpointView(e, secret), func() string { return secretText(e.ID, secret) })
	})
}

func secretText(id, secret string) string {
	return "id     " + id + "\nsecret " + secret + "\nKeep the secret now: it is not shown again."
}

type webhookListCmd struct {
	tenantFlags `embed:""`
}

func (*webhookListCmd) Help() string {
	return "Prints one JSON object a line with --json.\n\nExamples:\n\n    callvault webhook list --tenant acme"
}

func (c *webhookListCmd) Run(ctx context.Context, d *deps) error {
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		if _, err := p.Catalog.Tenant(ctx, c.Tenant); err != nil {
			return err
		}
		endpoints, err := p.Catalog.Endpoints(ctx, c.Tenant)
		if err != nil {
			return err
		}
		list := d.newList(c.JSON, "ID", "URL", "EVENTS", "STATE", "CREATED")
		for _, e := range endpoints {
			state := "enabled"
			if !e.Disabled.IsZero() {
				state = "disabled: " + e.Reason
			}
			if err := list.add(endpointView(e, ""), e.ID, e.URL, strings.Join(e.Events, " "), state, timeText(e.Created)); err != nil {
				return err
			}
		}
		return list.end()
	})
}

// endpointFlags are the flags of the commands about one endpoint.
type endpointFlags struct {
	tenantFlags `embed:""`
	ID          string `arg:"" help:"Id of the endpoint, as list shows it."`
}

type webhookSetCmd struct {
	endpointFlags `embed:""`
	URL           *string  `name:"url" help:"New address."`
	Event         []string `help:"Events to be told of from now on, instead of those before. Repeatable." enum:"${events}"`
	Enable        bool     `xor:"state" help:"Deliver again; what waits goes out now."`
	Disable       bool     `xor:"state" help:"Deliver nothing. What happens meanwhile is not delivered later."`
}

func (*webhookSetCmd) Help() string {
	return "Examples:\n\n    callvault webhook set --tenant acme whe_… --disable\n    callvault webhook set --tenant acme whe_… --event day.completed --event hour.rebuilt"
}

func (c *webhookSetCmd) Run(ctx context.Context, d *deps) error {
	change := outbox.EndpointChange{URL: c.URL, Events: c.Event}
	if c.Enable || c.Disable {
		change.Enabled = &c.Enable
	}
	if change.URL == nil && len(change.Events) == 0 && change.Enabled == nil {
		return &usageError{"nothing to change; name at least one of --url, --event, --enable, --disable"}
	}
	return c.withEndpoints(ctx, d, func(ctx context.Context, endpoints *webhooks.Endpoints) error {
		e, err := endpoints.Set(ctx, c.Tenant, c.ID, change, commandOrigin())
		if err != nil {
			return err
		}
		return d.show(c.JSON, endpointView(e, ""), func() string { return e.ID + " changed" })
	})
}

type webhookRotateCmd struct {
	endpointFlags `embed:""`
	Grace         time.Duration `default:"24h" help:"How long the old secret signs too; 0 ends it at once."`
}

func (*webhookRotateCmd) Help() string {
	return "For the grace time the former secret signs each delivery too, so that the receiver can change over in peace.\n\nExamples:\n\n" +
		"    callvault webhook rotate --tenant acme whe_…\n    callvault webhook rotate --tenant acme whe_… --grace 0"
}

func (c *webhookRotateCmd) Run(ctx context.Context, d *deps) error {
	if c.Grace < 0 || c.Grace > webhooks.MaxGrace {
		return &usageError{"--grace must be 0 to 720h"}
	}
	return c.withEndpoints(ctx, d, func(ctx context.Context, endpoints *webhooks.Endpoints) error {
		e, secret, err := endpoints.Rotate(ctx, c.Tenant, c.ID, c.Grace, commandOrigin())
		if err != nil {
			return err
		}
		return d.show(c.JSON, endpointView(e, secret), func() string { return secretText(e.ID, secret) + "\n" + formerText(e) })
	})
}

func formerText(e outbox.Endpoint) string {
	if e.Former.Data == nil {
		return "The former secret signs no more."
	}
	return "The former secret signs too until " + timeText(e.Until) + "."
}

type webhookDeleteCmd struct {
	endpointFlags `embed:""`
}

func (*webhookDeleteCmd) Help() string {
	return "What waits for it is dropped.\n\nExamples:\n\n    callvault webhook delete --tenant acme whe_…"
}

func (c *webhookDeleteCmd) Run(ctx context.Context, d *deps) error {
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		if err := p.Catalog.DeleteEndpoint(ctx, c.Tenant, c.ID, commandOrigin()); err != nil {
			return err
		}
		return d.show(c.JSON, map[string]string{"id": c.ID, "done": "deleted"}, func() string { return c.ID + " deleted" })
	})
}

type webhookTestCmd struct {
	endpointFlags `embed:""`
}

func (*webhookTestCmd) Help() string {
	return "A worker sends it within a second or so; the log says what became of it.\n\nExamples:\n\n" +
		"    callvault webhook test --tenant acme whe_… && sleep 2 && callvault webhook deliveries --tenant acme --event webhook.test"
}

// Run queues a test event.
func (c *webhookTestCmd) Run(ctx context.Context, d *deps) error {
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		id, err := p.Catalog.TestEndpoint(ctx, c.Tenant, c.ID, commandOrigin())
		if err != nil {
			return err
		}
		return d.show(c.JSON, map[string]string{"delivery": id}, func() string {
			return fmt.Sprintf("delivery %s waits for a worker; what became of it: callvault webhook deliveries --tenant %s --event webhook.test", id, c.Tenant)
		})
	})
}

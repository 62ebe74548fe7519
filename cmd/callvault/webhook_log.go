package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/catalog/outbox"
)

// deliveryJSON is a delivery as --json shows it.
type deliveryJSON struct {
	ID        string     `json:"id"`
	Event     string     `json:"event"`
	Endpoint  string     `json:"endpoint"`
	Type      string     `json:"type"`
	Day       string     `json:"day,omitempty"`
	State     string     `json:"state"`
	Attempts  int        `json:"attempts"`
	Status    int        `json:"lastStatus,omitempty"`
	Error     string     `json:"lastError,omitempty"`
	Millis    int64      `json:"lastDurationMs"`
	Last      *time.Time `json:"lastAt"`
	Next      *time.Time `json:"nextAt"`
	Delivered *time.Time `json:"deliveredAt"`
	Created   time.Time  `json:"createdAt"`
}

func deliveryView(d outbox.Delivery) deliveryJSON {
	return deliveryJSON{d.ID, d.Event, d.Endpoint, d.Type, string(d.Day), d.State, d.Attempts, d.Status, d.Error, d.Took.Milliseconds(),
		optionalTime(d.Last), optionalTime(d.Next), optionalTime(d.Delivered), d.Created.Truncate(time.Second)}
}

type webhookDeliveriesCmd struct {
	tenantFlags `embed:""`
	Event       string `help:"Only this type: ${events}, webhook.test." enum:",${events},webhook.test" default:""`
	State       string `help:"Only this state: pending, delivered, failed." enum:",pending,delivered,failed" default:""`
	Day         string `help:"Only of this UTC day: YYYY-MM-DD, yesterday or today."`
	Endpoint    string `help:"Only to this endpoint."`
	Limit       int    `default:"100" help:"At most so many, latest first."`
}

func (*webhookDeliveriesCmd) Help() string {
	return "The log goes back 30 days. Prints one JSON object a line with --json.\n\nExamples:\n\n" +
		"    callvault webhook deliveries --tenant acme --state failed\n    callvault webhook deliveries --tenant acme --day 2025-12-12 --json"
}

// query reads the flags.
func (c *webhookDeliveriesCmd) query() (q outbox.DeliveryQuery, err error) {
	q = outbox.DeliveryQuery{Tenant: c.Tenant, Type: c.Event, State: c.State, Endpoint: c.Endpoint, Limit: c.Limit}
	if c.Limit < 1 || c.Limit > 10_000 {
		return q, &usageError{"--limit must be 1 to 10000"}
	}
	if c.Day != "" {
		if q.Day, err = parseDay(c.Day, time.Now()); err != nil {
			return q, err
		}
	}
	return q, nil
}

func (c *webhookDeliveriesCmd) Run(ctx context.Context, d *deps) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		if _, err := p.Catalog.Tenant(ctx, c.Tenant); err != nil {
			return err
		}
		deliveries, err := p.Catalog.Deliveries(ctx, q)
		if err != nil {
			return err
		}
		list := d.newList(c.JSON, "ID", "CREATED", "EVENT", "DAY", "ENDPOINT", "STATE", "TRIES", "NEXT", "LAST ANSWER")
		for _, e := range deliveries {
			answer := e.Error
			if e.Status != 0 && e.Error == "" {
				answer = "answered " + strconv.Itoa(e.Status)
			}
			if err := list.add(deliveryView(e), e.ID, timeText(e.Created), e.Type, string(e.Day), e.Endpoint, e.State, strconv.Itoa(e.Attempts),
				timeTextOr(optionalTime(e.Next), ""), answer); err != nil {
				return err
			}
		}
		return list.end()
	})
}

type webhookReplayCmd struct {
	tenantFlags `embed:""`
	ID          string `arg:"" optional:"" help:"Id of one delivery, as deliveries shows it."`
	Day         string `help:"All of this UTC day: YYYY-MM-DD, yesterday or today."`
	Failed      bool   `help:"All that failed."`
	Endpoint    string `help:"Only to this endpoint."`
}

func (*webhookReplayCmd) Help() string {
	return "Receivers see the ids and bodies that they saw before, freshly signed. --failed with --day takes what failed of that day.\n\nExamples:\n\n" +
		"    callvault webhook replay --tenant acme whd_…\n    callvault webhook replay --tenant acme --failed\n    callvault webhook replay --tenant acme --day 2025-12-12 --json"
}

// Run makes deliveries due again.
func (c *webhookReplayCmd) Run(ctx context.Context, d *deps) error {
	q := outbox.DeliveryQuery{Tenant: c.Tenant, ID: c.ID, Endpoint: c.Endpoint}
	if c.Failed {
		q.State = outbox.DeliveryFailed
	}
	if c.Day != "" {
		var err error
		if q.Day, err = parseDay(c.Day, time.Now()); err != nil {
			return err
		}
	}
	if q.ID == "" && q.Day == "" && q.State == "" {
		return &usageError{"say what to replay: the id of a delivery, --day or --failed"}
	}
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		n, err := p.Catalog.ReplayDeliveries(ctx, q, commandOrigin())
		if err != nil {
			return err
		}
		return d.show(c.JSON, map[string]int{"replayed": n}, func() string { return replayText(n) })
	})
}

func replayText(n int) string {
	switch n {
	case 0:
		return "there is nothing to replay"
	case 1:
		return "1 delivery waits, for a worker or until its webhook is enabled"
	}
	return fmt.Sprintf("%d deliveries wait, for a worker or until their webhooks are enabled", n)
}

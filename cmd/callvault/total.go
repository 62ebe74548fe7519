package main

import (
	"context"
	"fmt"
	"time"

	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/domain"
)

// totalCmd holds the commands about control totals.
type totalCmd struct {
	Correct totalCorrectCmd `cmd:"" help:"Correct how many recordings a day or an hour should have."`
	Remove  totalRemoveCmd  `cmd:"" help:"Remove the total of a day or an hour: nothing is compared with it any more."`
}

// totalScope names a total.
type totalScope struct {
	config.Parts `embed:"" group:"Storage:"`
	Tenant       string `required:"" help:"The tenant's id."`
	Day          string `required:"" help:"The UTC day: YYYY-MM-DD, yesterday or today." placeholder:"DAY"`
	Hour         *int   `help:"The total of this hour, 0 to 23; without it, that of the whole day." placeholder:"H"`
	Reason       reason `required:"" help:"Why; the audit log keeps it."`
	JSON         bool   `help:"Print JSON."`
}

type totalCorrectCmd struct {
	totalScope `embed:""`
	Recordings int64 `required:"" help:"How many recordings there should be." placeholder:"N"`
}

type totalRemoveCmd struct {
	totalScope `embed:""`
}

func (*totalCorrectCmd) Help() string {
	return "A total comes by a line of the kind total. A line that contradicts it is refused; this command corrects the total.\n" +
		"The line that first gave the total may come again and changes nothing.\n\nExamples:\n\n" +
		"    callvault total correct --tenant acme --day 2025-12-12 --hour 14 --recordings 1543 --reason 'test calls were counted'\n" +
		"    callvault total correct --tenant acme --day 2025-12-12 --recordings 31200 --reason 'ticket 4711' --json"
}

func (*totalRemoveCmd) Help() string {
	return "Examples:\n\n    callvault total remove --tenant acme --day 2025-12-12 --hour 14 --reason 'the platform counts wrongly'\n" +
		"    callvault total remove --tenant acme --day yesterday --reason 'ticket 4711'"
}

func (c *totalCorrectCmd) Run(ctx context.Context, d *deps) error {
	return c.change(ctx, d, &c.Recordings)
}
func (c *totalRemoveCmd) Run(ctx context.Context, d *deps) error { return c.change(ctx, d, nil) }

// change sets the total; nil removes it.
func (c *totalScope) change(ctx context.Context, d *deps, recordings *int64) error {
	day, err := parseDay(c.Day, time.Now())
	if err != nil {
		return err
	}
	k := catalog.TotalCorrection{Tenant: c.Tenant, Day: day, Hour: domain.WholeDay, Recordings: recordings, Reason: string(c.Reason), Origin: commandOrigin()}
	if c.Hour != nil {
		if k.Hour = *c.Hour; k.Hour < 0 || k.Hour > 23 {
			return &usageError{fmt.Sprintf("--hour %d is no hour of the day; use 0 to 23", k.Hour)}
		}
	}
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		done, err := p.Catalog.CorrectTotal(ctx, k)
		if err != nil {
			return err
		}
		return d.show(c.JSON, done, func() string { return totalText(done) })
	})
}

func totalText(done catalog.CorrectedTotal) string {
	scope := string(done.Day)
	if done.Hour != "" {
		scope += " " + done.Hour + ":00"
	}
	of := func(n *int64) string {
		if n == nil {
			return "removed"
		}
		return fmt.Sprint(*n)
	}
	if of(done.From) == of(done.To) {
		return fmt.Sprintf("the total of %s was so before; nothing was changed", scope)
	}
	return fmt.Sprintf("the total of %s was %s and is now %s; %s registered", scope, of(done.From), of(done.To), count(int(done.Registered), "recording"))
}

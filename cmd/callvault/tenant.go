package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/domain"
)

// tenantCmd holds the commands about tenants.
type tenantCmd struct {
	Create tenantCreateCmd `cmd:"" help:"Add a tenant."`
	List   tenantListCmd   `cmd:"" help:"List the tenants."`
	Set    tenantSetCmd    `cmd:"" help:"Change a tenant."`
	Close  tenantCloseCmd  `cmd:"" help:"End a tenant's credentials."`
	Open   tenantOpenCmd   `cmd:"" help:"Open a closed tenant again."`
	Delete tenantDeleteCmd `cmd:"" help:"Delete a closed tenant of which nothing is left."`
}

type tenantCreateCmd struct {
	config.Parts  `embed:"" group:"Storage:"`
	ID            string   `arg:"" help:"Id: 1 to 64 of A-Z, a-z, 0-9, _ and -."`
	Name          string   `help:"Name for people."`
	RetentionDays *int     `placeholder:"N" help:"Days that archives are kept for (default $CALLVAULT_RETENTION_DAYS, else 3)."`
	SourceDays    int      `name:"source-retention-days" placeholder:"N" help:"Days after which conversations end with their audio; 0 keeps them for ever."`
	Feature       []string `help:"Feature to switch on: ${features}. Repeatable." enum:"${features}"`
	KeyPrefix     string   `placeholder:"P/" help:"What object keys of this tenant begin with, and no other tenant's; ends in a slash."`
	JSON          bool     `help:"Print JSON."`
}

func (*tenantCreateCmd) Help() string {
	return "A new tenant has no feature; without daily_audio_recordings nothing is archived for it.\n\nExamples:\n\n" +
		"    callvault tenant create acme --name 'Acme Ltd' --feature daily_audio_recordings\n" +
		"    callvault tenant create acme --retention-days 7 --feature daily_audio_recordings --feature export_api --json\n" +
		"    callvault tenant create acme --key-prefix acme/ --feature daily_audio_recordings"
}

func (c *tenantCreateCmd) Run(ctx context.Context, d *deps) error {
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		days := p.Config.RetentionDays
		if c.RetentionDays != nil {
			days = *c.RetentionDays
		}
		t := domain.NewTenant(c.ID, days)
		t.Name, t.KeyPrefix, t.SourceRetentionDays = c.Name, c.KeyPrefix, c.SourceDays
		switchFeatures(&t, c.Feature, true)
		t, err := p.Catalog.CreateTenant(ctx, t, commandOrigin())
		if err != nil {
			return err
		}
		return d.show(c.JSON, t.JSON(), func() string {
			return fmt.Sprintf("tenant %s created; next: callvault app create --tenant %s", t.ID, t.ID)
		})
	})
}

type tenantListCmd struct {
	config.Parts `embed:"" group:"Storage:"`
	JSON         bool `help:"Print JSON, one tenant a line."`
}

func (*tenantListCmd) Help() string {
	return "Examples:\n\n    callvault tenant list\n    callvault tenant list --json"
}

func (c *tenantListCmd) Run(ctx context.Context, d *deps) error {
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		titles := []string{"ID"}
		for _, s := range domain.Settings() {
			titles = append(titles, s.Title)
		}
		list := d.newList(c.JSON, append(titles, "CLOSED")...)
		page := func(after string) ([]domain.Tenant, error) { return p.Catalog.Tenants(ctx, after, pageSize) }
		err := eachOf(page, func(t domain.Tenant) (string, error) {
			row := []string{t.ID}
			for _, s := range domain.Settings() {
				row = append(row, s.Text(t))
			}
			closed := ""
			if !t.Closed.IsZero() {
				closed = string(domain.DayOf(t.Closed))
			}
			return t.ID, list.add(t.JSON(), append(row, closed)...)
		})
		if err != nil {
			return err
		}
		return list.end()
	})
}

type tenantSetCmd struct {
	config.Parts  `embed:"" group:"Storage:"`
	ID            string   `arg:"" help:"The tenant's id."`
	Name          *string  `help:"New name."`
	RetentionDays *int     `help:"Days that archives are kept for; a shorter time ends days at once, a longer one brings none back."`
	SourceDays    *int     `name:"source-retention-days" placeholder:"N" help:"Days after which conversations end with their audio; 0 keeps them for ever. A shorter time begins a day later, a longer one at once."`
	Feature       []string `help:"Feature to switch on. Repeatable." enum:"${features}"`
	NoFeature     []string `help:"Feature to switch off. Repeatable." enum:"${features}"`
	DayLimit      *int     `help:"Day requests per hour."`
	DownloadLimit *int     `help:"Downloads per link and hour."`
	KeyPrefix     *string  `placeholder:"P/" help:"What object keys of this tenant begin with, and no other tenant's; ends in a slash, empty for none. Keys outside that it holds stay."`
	Yes           bool     `help:"Change it also if a shorter retention ends something; without it a terminal is asked."`
	JSON          bool     `help:"Print JSON."`
}

func (*tenantSetCmd) Help() string {
	return "Examples:\n\n    callvault tenant set acme --retention-days 7\n    callvault tenant set acme --retention-days 2 --yes\n    callvault tenant set acme --source-retention-days 365 --yes\n    callvault tenant set acme --no-feature export_api --day-limit 20\n" +
		"    callvault tenant set acme --key-prefix acme/"
}

func (c *tenantSetCmd) Run(ctx context.Context, d *deps) error {
	if c.Name == nil && c.RetentionDays == nil && c.SourceDays == nil && c.DayLimit == nil && c.DownloadLimit == nil && c.KeyPrefix == nil && len(c.Feature)+len(c.NoFeature) == 0 {
		return &usageError{"nothing to change; name at least one of --name, --retention-days, --source-retention-days, --feature, --no-feature, --day-limit, --download-limit, --key-prefix"}
	}
	for _, feature := range c.Feature {
		if slices.Contains(c.NoFeature, feature) {
			return &usageError{"--feature and --no-feature both name " + feature + "; name it in one of them"}
		}
	}
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		ends, err := c.endedDays(ctx, p)
		if err != nil {
			return err
		}
		sources, err := c.endedSources(ctx, p)
		if err != nil {
			return err
		}
		if err := c.confirm(ctx, d, ends, sources); err != nil {
			return err
		}
		changed := false
		apply := func(t *domain.Tenant) {
			before := *t
			c.apply(t)
			changed = *t != before
		}
		set := p.Catalog.SetTenant
		if sources != nil {
			set = func(ctx context.Context, id string, change func(*domain.Tenant), o audit.Origin) (domain.Tenant, error) {
				return p.Catalog.SetTenantConfirmed(ctx, id, change, *sources, o)
			}
		}
		t, err := set(ctx, c.ID, apply, commandOrigin())
		if err != nil {
			return err
		}
		return d.show(c.JSON, tenantSetJSON{t.JSON(), len(ends), sources}, func() string {
			text := "tenant " + t.ID + " changed"
			if !changed {
				text = "tenant " + t.ID + " has these settings already"
			}
			if len(ends) > 0 {
				text += "; ended: " + daysText(ends)
			}
			if sources != nil {
				text += "; conversations end from " + t.EndsFrom.Format(time.RFC3339) + " on; until then this can be undone"
			}
			return text
		})
	})
}

// tenantSetJSON is what --json prints.
type tenantSetJSON struct {
	domain.TenantJSON
	EndedDays int                `json:"endedDays,omitempty"` // days that a shorter retention has ended
	Ends      *catalog.EndCounts `json:"ends,omitempty"`      // what a shorter source retention ends
}

// endedDays lists the days that the change ends at once. The error is that of a change which cannot
// be.
func (c *tenantSetCmd) endedDays(ctx context.Context, p *app.Parts) ([]domain.Day, error) {
	if c.RetentionDays == nil {
		return nil, nil
	}
	t, err := p.Catalog.Tenant(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	c.apply(&t)
	if err := t.Check(); err != nil {
		return nil, err
	}
	return p.Catalog.DaysEndedBy(ctx, c.ID, *c.RetentionDays)
}

// confirm asks whether days may end. Where nobody can be asked, it refuses without --yes.
func (c *tenantSetCmd) confirm(ctx context.Context, d *deps, ends []domain.Day, sources *catalog.EndCounts) error {
	var list []string
	if len(ends) > 0 {
		list = append(list, fmt.Sprintf("a retention of %s ends at once: %s of %s. Their links end and their archives are deleted", count(*c.RetentionDays, "day"), daysText(ends), c.ID))
	}
	if sources != nil {
		list = append(list, sources.Text(*c.SourceDays))
	}
	if len(list) == 0 {
		return nil
	}
	return d.confirm(ctx, c.Yes, c.JSON, strings.Join(list, ". "))
}

// endedSources counts what a shorter source retention ends; nil for a change that ends nothing.
func (c *tenantSetCmd) endedSources(ctx context.Context, p *app.Parts) (*catalog.EndCounts, error) {
	if c.SourceDays == nil {
		return nil, nil
	}
	t, err := p.Catalog.Tenant(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	before := t.SourceRetentionDays
	c.apply(&t)
	if err := t.Check(); err != nil || !domain.Shortens(before, t.SourceRetentionDays) {
		return nil, err
	}
	n, err := p.Catalog.CountEnds(ctx, c.ID, t.SourceRetentionDays)
	return &n, err
}

// daysText counts days and names the first and the last.
func daysText(days []domain.Day) string {
	if len(days) == 1 {
		return "the day " + string(days[0])
	}
	return fmt.Sprintf("%s, %s to %s", count(len(days), "day"), days[0], days[len(days)-1])
}

func (c *tenantSetCmd) apply(t *domain.Tenant) {
	set(&t.Name, c.Name)
	set(&t.RetentionDays, c.RetentionDays)
	set(&t.SourceRetentionDays, c.SourceDays)
	set(&t.DayLimit, c.DayLimit)
	set(&t.DownloadLimit, c.DownloadLimit)
	set(&t.KeyPrefix, c.KeyPrefix)
	switchFeatures(t, c.Feature, true)
	switchFeatures(t, c.NoFeature, false)
}

func switchFeatures(t *domain.Tenant, names []string, on bool) {
	for _, name := range names {
		_ = t.SetFeature(name, on) // the flag accepts existing features only
	}
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

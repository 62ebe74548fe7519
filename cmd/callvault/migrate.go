package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/callvault/callvault/cmd/callvault/internal/console"
	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/config"
)

// migrateCmd holds the commands about the catalog's schema.
type migrateCmd struct {
	Up     migrateUpCmd     `cmd:"" help:"Bring the schema up; make missing buckets and signing keys."`
	Status migrateStatusCmd `cmd:"" help:"List the schema's steps."`
}

type migrateUpCmd struct {
	config.Parts `embed:"" group:"Storage:"`
	AdoptBucket  bool `help:"Take the archives bucket over from an installation whose catalog is lost for good."`
	JSON         bool `help:"Print JSON."`
}

func (*migrateUpCmd) Help() string {
	return "Run it once before the roles start, and at every upgrade. Several at once do no harm. It tries with small objects below PREFIX/probes/ " +
		"whether the object store can do what callvault relies on, remembers that for the roles, and fails where something is missing.\n\n" +
		"The object PREFIX/installation of the archives bucket names the installation that its keys belong to. Another one is refused; with " +
		"--adopt-bucket it takes their place. The archives that lie there stay, and nothing serves or deletes them.\n\n" +
		"Examples:\n\n    callvault migrate up\n    callvault migrate up --adopt-bucket"
}

func (c *migrateUpCmd) Run(ctx context.Context, d *deps) error {
	cfg, log, err := d.commandConfig(c.Parts)
	if err != nil {
		return err
	}
	return app.WithParts(ctx, cfg, true, log, func(ctx context.Context, p *app.Parts) error {
		if holder, err := p.Catalog.DB().MigrationLock(ctx); err == nil && holder != nil && p.Catalog.DB().CheckSchema(ctx) != nil {
			_, _ = fmt.Fprintf(d.stderr, "waiting for up to five minutes: %s holds the lock of migrations; %s\n", holder, holder.Advice())
		}
		done, err := p.Prepare(ctx, c.AdoptBucket, true)
		if err != nil {
			return err
		}
		return d.show(c.JSON, done, func() string {
			text := fmt.Sprintf("schema steps taken: %d, signing keys made: %d, buckets %s and %s are there and can do what callvault relies on",
				done.Migrations, done.Keys, p.Config.Recordings, p.Config.Archives)
			if done.AdoptedFrom != "" {
				text += "\ntaken over from installation " + done.AdoptedFrom + ": its archives stay, and nothing serves or deletes them"
			}
			if len(done.Without) > 0 {
				text += "\nleft out, since the object store does not know it: " + strings.Join(done.Without, ", ")
			}
			if done.NoAudio != "" {
				text += "\naudio is not taken in: " + done.NoAudio
			}
			return text
		})
	})
}

type migrateStatusCmd struct {
	config.Parts `embed:"" group:"Storage:"`
	JSON         bool `help:"Print JSON."`
}

func (*migrateStatusCmd) Help() string {
	return "Exits with 1 when a step is missing.\n\nExamples:\n\n    callvault migrate status --json"
}

func (c *migrateStatusCmd) Run(ctx context.Context, d *deps) error {
	return d.withParts(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		steps, err := p.Catalog.DB().Migrations(ctx)
		if err != nil {
			return err
		}
		missing := 0
		rows := make([][]string, 0, len(steps))
		for _, s := range steps {
			at := "missing"
			if s.Applied {
				at = timeText(s.At)
			} else {
				missing++
			}
			rows = append(rows, []string{strconv.FormatInt(s.Version, 10), s.Name, at})
		}
		if c.JSON {
			err = console.JSON(d.stdout, steps)
		} else {
			err = console.Table(d.stdout, []string{"VERSION", "NAME", "APPLIED"}, rows)
		}
		if err == nil && missing > 0 {
			return errReported
		}
		return err
	})
}

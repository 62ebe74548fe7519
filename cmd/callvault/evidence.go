package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/callvault/callvault/client/evidence"
	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/pack"
)

// evidenceCmd makes an evidence pack.
type evidenceCmd struct {
	config.Parts `embed:"" group:"Storage:"`
	Tenant       string `help:"The tenant's id. Without it the pack is of the installation: keys of the log, adopted buckets."`
	From         string `required:"" help:"First UTC day: YYYY-MM-DD, yesterday or today." placeholder:"DAY"`
	To           string `required:"" help:"Last UTC day, included." placeholder:"DAY"`
	Out          string `required:"" help:"Directory for the pack, which must not exist." placeholder:"DIR"`
	Archives     bool   `help:"Copy the archives of the days too, as far as they are served or held."`
	JSON         bool   `help:"Print the pack's manifest."`
}

func (*evidenceCmd) Help() string {
	return "Writes what the audit log says of a tenant in these days, the seals of the days, and what proves by the log that\n" +
		"both stand there: checkpoint, hashes, public keys. Holds, erasures, pending deletions, control totals and archives\n" +
		"are as the catalog has them now. callvault verify DIR --log-key FILE checks the pack without a server. The audit log\n" +
		"gets a line with the sum of the pack's manifest, so that nobody can leave out a line of the pack later.\n\n" +
		"Examples:\n\n    callvault evidence --tenant acme --from 2025-12-01 --to 2025-12-12 --out ./acme-december\n" +
		"    callvault evidence --tenant acme --from 2025-12-01 --to 2025-12-12 --out ./acme-december --archives\n" +
		"    callvault evidence --from 2025-12-01 --to 2025-12-12 --out ./installation-december"
}

func (c *evidenceCmd) Run(ctx context.Context, d *deps) error {
	now := time.Now()
	from, errFrom := parseDay(c.From, now)
	to, errTo := parseDay(c.To, now)
	if err := errors.Join(errFrom, errTo); err != nil {
		return &usageError{err.Error()}
	}
	if to < from {
		return &usageError{fmt.Sprintf("--to %s lies before --from %s", to, from)}
	}
	if c.Tenant == "" && c.Archives {
		return &usageError{"--archives needs --tenant: the installation itself has no archives"}
	}
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		if c.Tenant != "" {
			if err := p.Catalog.TenantOrRetired(ctx, c.Tenant); err != nil {
				return err
			}
		}
		keys, err := p.LogKeys(ctx)
		if err != nil {
			return err
		}
		m, err := pack.Write(ctx, pack.Config{
			Tenant: c.Tenant, From: from, To: to, Out: filepath.Clean(c.Out), Archives: c.Archives, Origin: commandOrigin(),
			Seal: p.SealLog, Keys: keys, Progress: func(file string) { _, _ = fmt.Fprintln(d.stderr, "writing "+file) },
		}, p.Catalog, p.Archives)
		if err != nil {
			return err
		}
		return d.show(c.JSON, m, func() string { return evidenceText(&m, c.Out) })
	})
}

func evidenceText(m *evidence.Manifest, out string) string {
	var lines, seals, archives int64
	for _, f := range m.Files {
		switch {
		case f.Name == "lines.ndjson":
			lines = f.Lines
		case f.Name == "seals.ndjson":
			seals = f.Lines
		case strings.HasPrefix(f.Name, "archives/"):
			archives++
		}
	}
	text := fmt.Sprintf("%s has %s and %s of %s", out, count(int(lines), "line"), count(int(seals), "seal"), tenantOrInstallation(m.Tenant))
	if archives > 0 {
		text += ", and " + count(int(archives), "archive")
	}
	if m.Unplaced > 0 {
		text += fmt.Sprintf("\n%d more had no number in the log yet; make the pack again in a minute. Those that still have none then are named by: callvault log verify", m.Unplaced)
	}
	return text + "\nto check it: callvault verify " + shellQuote(out) + " --log-key FILE"
}

// tenantOrInstallation names what a pack is of.
func tenantOrInstallation(tenant string) string {
	if tenant == "" {
		return "the installation"
	}
	return tenant
}

package catalog

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/callvault/callvault/internal/domain"
)

//go:embed migrations
var migrations embed.FS

func (c *Catalog) provider() (*goose.Provider, error) {
	dialect, dir := goose.DialectSQLite3, "migrations/sqlite"
	opts := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if c.postgres {
		dialect, dir = goose.DialectPostgres, "migrations/postgres"
		// The lock polls: a second apart it would make every later starter wait for long.
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
		if err != nil {
			return nil, err
		}
		opts = append(opts, goose.WithSessionLocker(locker))
	}
	sub, err := fs.Sub(migrations, dir)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(dialect, c.write, sub, opts...)
}

// Migrate brings the schema to this program's version and says how many steps it took.
// Several processes may call it at once.
func (c *Catalog) Migrate(ctx context.Context) (int, error) {
	// SQLite has no lock for migrations. Each step is a transaction, so that of two who run the
	// same step one fails whole; it looks again and goes on from where the other is.
	const attempts = 5
	for attempt := 1; ; attempt++ {
		p, err := c.provider()
		if err != nil {
			return 0, fmt.Errorf("prepare migrations: %w", err)
		}
		done, err := p.Up(ctx)
		if err == nil {
			return len(done), nil
		}
		if c.postgres || attempt == attempts || ctx.Err() != nil {
			return 0, domain.Wrap(domain.KindUnavailable, err, "the catalog could not be migrated")
		}
	}
}

// Migration is one schema step and whether it was applied.
type Migration struct {
	Version int64     `json:"version"`
	Name    string    `json:"name"`
	Applied bool      `json:"applied"`
	At      time.Time `json:"at,omitzero"`
}

// Migrations lists every schema step this program knows, oldest first.
func (c *Catalog) Migrations(ctx context.Context) ([]Migration, error) {
	p, err := c.provider()
	if err != nil {
		return nil, fmt.Errorf("prepare migrations: %w", err)
	}
	all, err := p.Status(ctx)
	if err != nil {
		return nil, domain.Wrap(domain.KindUnavailable, err, "the catalog's migrations cannot be read")
	}
	out := make([]Migration, 0, len(all))
	for _, s := range all {
		out = append(out, Migration{Version: s.Source.Version, Name: strings.TrimSuffix(s.Source.Path, ".sql"),
			Applied: s.State == goose.StateApplied, At: s.AppliedAt})
	}
	return out, nil
}

// CheckSchema fails with KindUnavailable when a migration is missing, or when the schema is of a
// newer program.
func (c *Catalog) CheckSchema(ctx context.Context) error {
	p, err := c.provider()
	if err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	pending, err := p.HasPending(ctx)
	if err != nil {
		return domain.Wrap(domain.KindUnavailable, err, "the catalog's migrations cannot be read")
	}
	if pending {
		return domain.Errorf(domain.KindUnavailable, "the catalog's schema is older than this program; run: callvault migrate up")
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return domain.Wrap(domain.KindUnavailable, err, "the catalog's migrations cannot be read")
	}
	if current > target {
		return domain.Errorf(domain.KindUnavailable, "the catalog's schema is of a newer program; run that one")
	}
	return nil
}

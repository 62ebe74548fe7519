package catalog

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/callvault/callvault/internal/domain"
)

//go:embed migrations
var migrations embed.FS

// provider knows the steps of this program, to be taken on db.
func (c *Catalog) provider(db *sql.DB) (*goose.Provider, error) {
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
	sub, err := fs.Sub(c.steps, dir)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(dialect, db, sub, opts...)
}

// How a step waits for a table that replicas use. While it waits for its lock, everybody who comes
// later waits behind it: so it gives up soon, lets them pass, and tries again.
const (
	lockWait   = "1s"
	lockPause  = time.Second
	lockTrials = 300
)

// Migrate brings the schema to this program's version and says how many steps it took.
// Several processes may call it at once, and replicas may serve meanwhile.
func (c *Catalog) Migrate(ctx context.Context) (int, error) {
	db := c.migrator()
	done, err := c.migrate(ctx, db)
	if c.postgres {
		err = errors.Join(err, db.Close())
	}
	return done, err
}

// migrator gives the connections that steps are taken on. On PostgreSQL every step gets a fresh one,
// so that what a step sets for its session ends with it.
func (c *Catalog) migrator() *sql.DB {
	if !c.postgres {
		return c.write.DB
	}
	db := sql.OpenDB(sessions{dsn: c.source, settings: noJIT + "; SET lock_timeout = '" + lockWait + "'"})
	db.SetMaxIdleConns(-1)
	return db
}

func (c *Catalog) migrate(ctx context.Context, db *sql.DB) (done int, err error) {
	p, err := c.provider(db)
	if err != nil {
		return 0, fmt.Errorf("prepare migrations: %w", err)
	}
	if err := refuseTooOld(ctx, p); err != nil {
		return 0, err
	}
	if !c.postgres {
		return migrateFile(ctx, p)
	}
	for trial := 1; ; trial++ {
		_, err := p.UpByOne(ctx)
		switch {
		case errors.Is(err, goose.ErrNoNextVersion):
			return done, nil
		case err == nil:
			done, trial = done+1, 0
			continue
		case ctx.Err() != nil || trial == lockTrials || !lockMissed(err):
			return done, domain.Wrap(domain.KindUnavailable, err, "the catalog could not be migrated")
		}
		select {
		case <-ctx.Done():
		case <-time.After(lockPause):
		}
	}
}

// refuseTooOld refuses a catalog that lacks steps which are folded into the first one of this
// program. A new catalog is at step 0.
func refuseTooOld(ctx context.Context, p *goose.Provider) error {
	has, err := p.GetDBVersion(ctx)
	if err != nil {
		return domain.Wrap(domain.KindUnavailable, err, "the catalog's migrations cannot be read")
	}
	if first := p.ListSources()[0].Version; 0 < has && has < first {
		return domain.Errorf(domain.KindUnavailable, "the catalog's schema is at step %d, and this program can go on from step %d only", has, first)
	}
	return nil
}

// lockMissed says that a step failed for those who use its tables.
func lockMissed(err error) bool {
	var pg *pgconn.PgError
	const lockNotAvailable = "55P03"
	return raced(err) || errors.As(err, &pg) && pg.Code == lockNotAvailable
}

// migrateFile takes the steps on SQLite, which has no lock for migrations. Each step is a
// transaction, so that of two who run the same step one fails whole; it looks again and goes on from
// where the other is.
func migrateFile(ctx context.Context, p *goose.Provider) (int, error) {
	const few = 5
	for trial := 1; ; trial++ {
		done, err := p.Up(ctx)
		if err == nil {
			return len(done), nil
		}
		if trial >= few && !halfMade(err) || trial == openTrials || ctx.Err() != nil {
			return 0, domain.Wrap(domain.KindUnavailable, err, "the catalog could not be migrated")
		}
		time.Sleep(openPause)
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
	p, err := c.provider(c.write.DB)
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

// CheckSchema fails with KindUnavailable when a step is missing, or when a newer program has made
// the schema one that this program cannot work with. Steps that this program does not know are no
// reason by themselves: they only add, until one says in schema_support which programs it ends.
func (c *Catalog) CheckSchema(ctx context.Context) error {
	p, err := c.provider(c.write.DB)
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
	sources := p.ListSources()
	known := sources[len(sources)-1].Version
	var oldest int64
	if err := c.read.QueryRowContext(ctx, `SELECT oldest FROM schema_support`).Scan(&oldest); err != nil {
		return domain.Wrap(domain.KindUnavailable, err, "the catalog's migrations cannot be read")
	}
	if oldest > known {
		return domain.Errorf(domain.KindUnavailable, "the catalog's schema is of a newer program, and this one is too old for it; run that one")
	}
	return nil
}

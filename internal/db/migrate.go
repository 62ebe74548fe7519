package db

import (
	"context"
	"database/sql"
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

// provider gives the steps of this program, which run on the pool.
func (d *DB) provider(pool *sql.DB) (*goose.Provider, error) {
	dialect, dir := goose.DialectSQLite3, "sqlite"
	opts := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if d.postgres {
		dialect, dir = goose.DialectPostgres, "postgres"
		// The lock polls. With a second between two polls, processes that start later would wait
		// for long.
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
		if err != nil {
			return nil, err
		}
		opts = append(opts, goose.WithSessionLocker(locker))
	}
	sub, err := fs.Sub(d.steps, dir)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(dialect, pool, sub, opts...)
}

// How a step waits for the lock of a table that replicas use. While the step waits, every later
// statement on the table waits behind it. So the step gives up soon, lets these statements run, and
// tries again.
const (
	lockWait   = "1s"
	lockPause  = time.Second
	lockTrials = 300
)

// Migrate brings the schema to this program's version and says how many steps it took.
// Several processes may call it at once, and replicas may serve meanwhile.
func (d *DB) Migrate(ctx context.Context) (int, error) {
	pool := d.migrator()
	done, err := d.migrate(ctx, pool)
	if d.postgres {
		err = errors.Join(err, pool.Close())
	}
	return done, err
}

// migrator gives the pool on which steps run. On PostgreSQL every step has a new connection, so
// that the settings of a step's session end with it.
func (d *DB) migrator() *sql.DB {
	if !d.postgres {
		return d.write
	}
	pool := sql.OpenDB(connector{dsn: d.url, settings: noJIT + "; SET lock_timeout = '" + lockWait + "'"})
	pool.SetMaxIdleConns(-1)
	return pool
}

func (d *DB) migrate(ctx context.Context, pool *sql.DB) (done int, err error) {
	p, err := d.provider(pool)
	if err != nil {
		return 0, fmt.Errorf("prepare migrations: %w", err)
	}
	if !d.postgres {
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
			return done, notMigrated(ctx, p, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(lockPause):
		}
	}
}

// lockMissed says that a step gave up waiting for a lock.
func lockMissed(err error) bool {
	const lockNotAvailable = "55P03"
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return raced(err) || ok && pg.Code == lockNotAvailable
}

// migrateFile runs the steps on SQLite, which has no lock for migrations. Each step is a
// transaction. When two processes run the same step, one of them fails and undoes it. That process
// looks again which steps are missing, and continues there.
func migrateFile(ctx context.Context, p *goose.Provider) (int, error) {
	const few = 5
	for trial := 1; ; trial++ {
		done, err := p.Up(ctx)
		if err == nil {
			return len(done), nil
		}
		if trial >= few && !halfMade(err) || trial == openTrials || ctx.Err() != nil {
			return 0, notMigrated(ctx, p, err)
		}
		time.Sleep(openPause)
	}
}

// notMigrated says why a step failed. The first step of this program makes the whole schema, so it
// fails on a schema that has only older steps.
func notMigrated(ctx context.Context, p *goose.Provider, err error) error {
	first := p.ListSources()[0].Version
	if has, unread := p.GetDBVersion(ctx); unread == nil && 0 < has && has < first {
		return domain.Errorf(domain.KindUnavailable, "the catalog's schema is at step %d, and this program can go on from step %d only", has, first)
	}
	return domain.Wrap(domain.KindUnavailable, err, "the catalog could not be migrated")
}

// Migration is one schema step and whether it was applied.
type Migration struct {
	Version int64     `json:"version"`
	Name    string    `json:"name"`
	Applied bool      `json:"applied"`
	At      time.Time `json:"at,omitzero"`
}

// Migrations lists every schema step that this program knows, oldest first.
func (d *DB) Migrations(ctx context.Context) ([]Migration, error) {
	p, err := d.provider(d.write)
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
// the schema unusable for this one. A step that this program does not know is no error by itself,
// since steps only add. A step that takes something away writes to the table schema_support, which
// one of the steps has to make: oldest is the newest step that a program must know.
func (d *DB) CheckSchema(ctx context.Context) error {
	p, err := d.provider(d.write)
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
	if err := d.QueryRowContext(ctx, `SELECT oldest FROM schema_support`).Scan(&oldest); err != nil {
		return domain.Wrap(domain.KindUnavailable, err, "the catalog's migrations cannot be read")
	}
	if oldest > known {
		return domain.Errorf(domain.KindUnavailable, "the catalog's schema is of a newer program, and this one is too old for it; run that one")
	}
	return nil
}

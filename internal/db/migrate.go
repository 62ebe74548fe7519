package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
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
	pool := sql.OpenDB(connector{dsn: d.url, settings: settings + "; SET lock_timeout = '" + lockWait + "'"})
	pool.SetMaxIdleConns(-1)
	return pool
}

func (d *DB) migrate(ctx context.Context, pool *sql.DB) (done int, err error) {
	p, err := d.provider(pool)
	if err != nil {
		return 0, fmt.Errorf("prepare migrations: %w", err)
	}
	if !d.postgres {
		return d.migrateFile(ctx, p)
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
			return done, d.notMigrated(ctx, p, err)
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
func (d *DB) migrateFile(ctx context.Context, p *goose.Provider) (int, error) {
	const few = 5
	for trial := 1; ; trial++ {
		done, err := p.Up(ctx)
		if err == nil {
			return len(done), nil
		}
		if trial >= few && !halfMade(err) || trial == openTrials || ctx.Err() != nil {
			return 0, d.notMigrated(ctx, p, err)
		}
		time.Sleep(openPause)
	}
}

// notMigrated says why a step failed. The first step of this program makes the whole schema, so it
// fails on a schema that has only older steps.
func (d *DB) notMigrated(ctx context.Context, p *goose.Provider, err error) error {
	first := p.ListSources()[0].Version
	if has, unread := d.newest(ctx); unread == nil && 0 < has && has < first {
		return domain.Errorf(domain.KindUnavailable, "the catalog's schema is at step %d, and this program can go on from step %d only", has, first)
	}
	if pooled(err) {
		return translate(err)
	}
	if holder, unread := d.MigrationLock(ctx); unread == nil && holder != nil {
		return domain.Wrap(domain.KindUnavailable, err, "the catalog could not be migrated: %s holds the lock of migrations; %s", holder, holder.Advice())
	}
	return domain.Wrap(domain.KindUnavailable, err, "the catalog could not be migrated")
}

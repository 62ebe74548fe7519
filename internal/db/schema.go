package db

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/callvault/callvault/internal/domain"
)

// Migration is one schema step and whether it was applied.
type Migration struct {
	Version int64     `json:"version"`
	Name    string    `json:"name"`
	Applied bool      `json:"applied"`
	At      time.Time `json:"at,omitzero"`
}

// Migrations lists every schema step that this program knows, oldest first. It takes no lock and
// changes nothing.
func (d *DB) Migrations(ctx context.Context) ([]Migration, error) {
	p, err := d.provider(d.write)
	if err != nil {
		return nil, fmt.Errorf("prepare migrations: %w", err)
	}
	applied, err := d.applied(ctx)
	if err != nil {
		return nil, err
	}
	sources := p.ListSources()
	out := make([]Migration, 0, len(sources))
	for _, s := range sources {
		at, done := applied[s.Version]
		out = append(out, Migration{Version: s.Version, Name: strings.TrimSuffix(s.Path, ".sql"), Applied: done, At: at})
	}
	return out, nil
}

// applied gives the steps that were applied, with their times. It reads goose's table itself,
// because goose makes that table where there is none, and takes the lock of migrations to read it.
func (d *DB) applied(ctx context.Context) (map[int64]time.Time, error) {
	applied := map[int64]time.Time{}
	exists := `SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = '` + goose.DefaultTablename + `')`
	if d.postgres {
		exists = `SELECT to_regclass('` + goose.DefaultTablename + `') IS NOT NULL`
	}
	var there bool
	err := d.QueryRowContext(ctx, exists).Scan(&there)
	if err == nil && there {
		err = Each(ctx, d, func(rows *sql.Rows) error {
			var version int64
			var done bool
			var at time.Time
			err := rows.Scan(&version, &done, &at)
			if delete(applied, version); done { // the last row of a step counts
				applied[version] = at
			}
			return err
		}, `SELECT version_id, is_applied, tstamp FROM `+goose.DefaultTablename+` ORDER BY id`)
	}
	switch {
	case pooled(err):
		return nil, err
	case err != nil:
		return nil, domain.Wrap(domain.KindUnavailable, err, "the catalog's migrations cannot be read")
	}
	return applied, nil
}

// newest is the newest step that was applied; 0 for none.
func (d *DB) newest(ctx context.Context) (newest int64, err error) {
	applied, err := d.applied(ctx)
	for version := range applied {
		newest = max(newest, version)
	}
	return newest, err
}

// CheckSchema fails with KindUnavailable when a step is missing, or when a newer program has made
// the schema unusable for this one. A step that this program does not know is no error by itself,
// since steps only add. A step that takes something away writes to the table schema_support, which
// one of the steps has to make: oldest is the newest step that a program must know. CheckSchema
// takes no lock and changes nothing.
func (d *DB) CheckSchema(ctx context.Context) error {
	steps, err := d.Migrations(ctx)
	if err != nil {
		return err
	}
	for _, s := range steps {
		if !s.Applied {
			return domain.Errorf(domain.KindUnavailable, "the catalog's schema is older than this program; run: callvault migrate up")
		}
	}
	var oldest int64
	if err := d.QueryRowContext(ctx, `SELECT oldest FROM schema_support`).Scan(&oldest); err != nil {
		return domain.Wrap(domain.KindUnavailable, err, "the catalog's migrations cannot be read")
	}
	if oldest > steps[len(steps)-1].Version {
		return domain.Errorf(domain.KindUnavailable, "the catalog's schema is of a newer program, and this one is too old for it; run that one")
	}
	return nil
}

// Session is a session of PostgreSQL.
type Session struct {
	PID         int
	Application string    // "" when it has no name, or when the role may not know
	Client      string    // address; "" for a local one, or when the role may not know
	State       string    // "" when the role may not know
	Since       time.Time // begin of the state; zero when the role may not know
}

// String names the session for operators.
func (s Session) String() string {
	text := fmt.Sprintf("the PostgreSQL session with pid %d", s.PID)
	var known []string
	if s.Application != "" {
		known = append(known, s.Application)
	}
	if s.Client != "" {
		known = append(known, "from "+s.Client)
	}
	if s.State != "" {
		known = append(known, s.State+" since "+s.Since.UTC().Format(time.RFC3339))
	}
	if len(known) > 0 {
		text += " (" + strings.Join(known, ", ") + ")"
	}
	return text
}

// Advice says what to do about a session that holds the lock of migrations.
func (s Session) Advice() string {
	return fmt.Sprintf("wait for the callvault migrate up that runs there; where none runs, end the session: SELECT pg_terminate_backend(%d)", s.PID)
}

// MigrationLock gives the session that holds the lock of migrations; nil when none does. SQLite has
// no such lock.
func (d *DB) MigrationLock(ctx context.Context) (*Session, error) {
	if !d.postgres {
		return nil, nil
	}
	list, err := Collect(ctx, d, func(rows *sql.Rows) (s Session, err error) {
		var since sql.NullTime
		err = rows.Scan(&s.PID, &s.Application, &s.Client, &s.State, &since)
		s.Since = since.Time
		return s, err
	}, `SELECT l.pid, coalesce(a.application_name, ''), coalesce(host(a.client_addr), ''), coalesce(a.state, ''), a.state_change
		FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND (l.classid::bigint << 32) | l.objid::bigint = $1
			AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`, lock.DefaultLockID)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

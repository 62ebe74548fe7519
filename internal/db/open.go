package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"time"

	"modernc.org/sqlite" // the SQLite driver, too
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/callvault/callvault/internal/domain"
)

// Open connects to sqlite:///path or postgres://… without changing anything there. steps are the
// schema's: a directory "sqlite" and a directory "postgres". It does not migrate; see Migrate and
// CheckSchema. Errors: KindInvalid for a URL that cannot be read, KindUnavailable.
func Open(ctx context.Context, dsn string, steps fs.FS) (*DB, error) {
	return openURL(ctx, dsn, &DB{steps: steps})
}

// OpenReadOnly is Open for reading alone: of SQLite it makes, changes and removes no file, not even
// those of its log. It does not see what others write meanwhile if the file had no log at first.
func OpenReadOnly(ctx context.Context, dsn string, steps fs.FS) (*DB, error) {
	return openURL(ctx, dsn, &DB{steps: steps, readOnly: true})
}

func openURL(ctx context.Context, dsn string, d *DB) (*DB, error) {
	d.commits = groupCommit{size: batchSize, run: d.runBatch}
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, domain.Errorf(domain.KindInvalid, "the database URL cannot be read; use sqlite:///path or postgres://user@host/name")
	}
	switch u.Scheme {
	case "sqlite":
		err = d.openSQLite(u)
	case "postgres", "postgresql":
		d.openPostgres(dsn)
	default:
		return nil, domain.Errorf(domain.KindInvalid, "the database URL starts with %q; use sqlite:///path or postgres://user@host/name", u.Scheme)
	}
	if err != nil {
		return nil, err
	}
	d.writes.pool, d.reads.pool = d.write, d.read
	if err := d.connect(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// How often and how far apart a new SQLite file is tried while other processes open or close it.
const (
	openTrials = 20
	openPause  = 50 * time.Millisecond
)

// connect makes the first connection. A new SQLite file can be incomplete for a moment, when one
// process switches its log on or closes it while other processes open it.
func (d *DB) connect(ctx context.Context) error {
	for trial := 1; ; trial++ {
		err := d.Ping(ctx)
		if err == nil || trial == openTrials || !halfMade(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(openPause):
		}
	}
}

// halfMade says that SQLite found its files while another process made or removed them.
func halfMade(err error) bool {
	switch sqliteCode(err) {
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL:
		return true
	}
	return false
}

// sqliteCode gives the primary result code of an error of SQLite; 0 for other errors.
func sqliteCode(err error) int {
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return lite.Code() & 0xff
	}
	return 0
}

func (d *DB) openSQLite(u *url.URL) error {
	path := u.Path
	if path == "" {
		return domain.Errorf(domain.KindInvalid, "the database URL names no file; use sqlite:///path")
	}
	d.path = path
	if d.readOnly {
		return d.openSQLiteReadOnly()
	}
	if err := makePrivate(path); err != nil {
		return err
	}
	dsn := func(extra string) string {
		return "file:" + (&url.URL{Path: path}).EscapedPath() + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)" +
			"&_pragma=synchronous(FULL)&_pragma=wal_autocheckpoint(8000)&_pragma=foreign_keys(1)&_pragma=temp_store(2)" + extra
	}
	// After a commit SQLite may search the whole cache of its connection. So the writer's cache is
	// small. The writer overwrites what it deletes, because an erasure must leave no copy in unused
	// pages.
	write, err := sql.Open("sqlite", dsn("&_txlock=immediate&_pragma=cache_size(-4096)&_pragma=secure_delete(1)"))
	if err != nil {
		return fmt.Errorf("open sqlite: %w", err)
	}
	write.SetMaxOpenConns(1) // SQLite has one writer: waiting in Go is cheaper than in busy_timeout
	read, err := sql.Open("sqlite", dsn("&_pragma=query_only(1)&_pragma=cache_size(-65536)"))
	if err != nil {
		return errors.Join(fmt.Errorf("open sqlite: %w", err), write.Close())
	}
	read.SetMaxOpenConns(8)
	read.SetMaxIdleConns(8)
	d.write, d.read = write, read
	return nil
}

// openSQLiteReadOnly opens the file without making others beside it. A file with a log is in use,
// or its process was killed: it is read with the log. A file without a log is complete. It is read
// as one that nobody changes, since SQLite would otherwise make a log.
func (d *DB) openSQLiteReadOnly() error {
	how := "immutable=1"
	if _, err := os.Stat(d.path + "-wal"); err == nil {
		how = "readonly_shm=1"
		if _, err := os.Stat(d.path + "-shm"); errors.Is(err, fs.ErrNotExist) { // SQLite would have to make it
			return domain.Errorf(domain.KindUnavailable, "%s was copied with its log and without the log's index, and cannot be read before the next start of callvault makes that", d.path)
		}
	}
	pool, err := sql.Open("sqlite", "file:"+(&url.URL{Path: d.path}).EscapedPath()+"?mode=ro&"+how+"&_pragma=busy_timeout(10000)&_pragma=query_only(1)")
	if err != nil {
		return fmt.Errorf("open sqlite: %w", err)
	}
	d.write, d.read = pool, pool
	return nil
}

// makePrivate makes an empty file that only its owner can read, if there is none. SQLite would make
// one that everyone can read, and gives its WAL the same mode. An existing file is not opened:
// closing it would release the locks that this process has on it.
func makePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the operator names the file
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return domain.Wrap(domain.KindUnavailable, err, "cannot make the catalog %s", path)
	}
	return f.Close()
}

// Ping says whether the database answers. Errors: KindUnavailable, KindInvalid when the database
// URL can't be read.
func (d *DB) Ping(ctx context.Context) error {
	err := d.write.PingContext(ctx)
	if domain.KindOf(err) == domain.KindInvalid {
		return err
	}
	if err != nil {
		return domain.Wrap(domain.KindUnavailable, err, "the catalog database does not answer")
	}
	return nil
}

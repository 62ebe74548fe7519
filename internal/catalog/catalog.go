package catalog

import (
	"cmp"
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

// Catalog is a handle on one database; it is safe for concurrent use.
type Catalog struct {
	write    pool // SQLite: a single connection; PostgreSQL: all of them
	read     pool
	watch    *watcher
	postgres bool
	source   string // PostgreSQL: the URL, for connections of another kind
	steps    fs.FS  // the schema's steps, in one directory for each database
	rules    Rules
	group    group[smallPart] // merges small SQLite transactions
	issuing  group[*dayPart]  // requests for days that share a transaction
	days     dayLists
	served   dayCache // days as they were last handed out
	small    []string // texts that shared transactions run
	writes   kept     // statements of write
	reads    kept     // statements of read
}

// Rules are the catalog's timings, and where archives go. Zero fields take the defaults.
type Rules struct {
	ArchivesPrefix string // of the keys of archives that are built from now on (callvault)

	Lease      time.Duration // how long a claim stands without renewal (60 s)
	LateDelay  time.Duration // how long a late recording waits for company, at least (5 min)
	MaxFailure int           // reported failures until an hour is failed (8)
	MaxLapses  int           // lapsed leases until an hour is failed (20)
	RetryBase  time.Duration // first wait after a failure, doubled each time (15 s)
	FailedWait time.Duration // until a failed hour is tried once more (1 h)
	Grace      time.Duration // how long superseded bytes outlive their last link (1 h)
	SecondLook time.Duration // until the sweeper deletes a second time (24 h)
}

func (r Rules) withDefaults() Rules {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&r.Lease, time.Minute)
	set(&r.LateDelay, 5*time.Minute)
	set(&r.RetryBase, 15*time.Second)
	set(&r.FailedWait, time.Hour)
	set(&r.Grace, time.Hour)
	set(&r.SecondLook, 24*time.Hour)
	r.ArchivesPrefix = cmp.Or(r.ArchivesPrefix, domain.DefaultArchivesPrefix)
	if r.MaxFailure == 0 {
		r.MaxFailure = 8
	}
	if r.MaxLapses == 0 {
		r.MaxLapses = 20
	}
	return r
}

// Lease is how long a claim stands without renewal.
func (c *Catalog) Lease() time.Duration { return c.rules.Lease }

// Open connects to sqlite:///path or postgres://… without changing anything there.
// It does not migrate; see Migrate and CheckSchema.
func Open(ctx context.Context, dsn string, rules Rules) (*Catalog, error) {
	c := &Catalog{watch: &watcher{}, steps: migrations, rules: rules.withDefaults(),
		group: group[smallPart]{size: groupSize, lanes: 1}, issuing: group[*dayPart]{size: groupSize, lanes: 1}}
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, domain.Errorf(domain.KindInvalid, "the database URL cannot be read; use sqlite:///path or postgres://user@host/name")
	}
	switch u.Scheme {
	case "sqlite":
		err = c.openSQLite(u)
	case "postgres", "postgresql":
		c.postgres, c.issuing.size, c.issuing.lanes = true, 1, postgresLanes
		c.openPostgres(dsn)
	default:
		return nil, domain.Errorf(domain.KindInvalid, "the database URL starts with %q; use sqlite:///path or postgres://user@host/name", u.Scheme)
	}
	if err != nil {
		return nil, err
	}
	c.days = newDayLists(c.postgres)
	c.small = c.smallStatements()
	if err := c.first(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// How often and how far apart a new SQLite file is tried while others open, or just close, it.
const (
	openTrials = 20
	openPause  = 50 * time.Millisecond
)

// first makes the first connection. Processes that open a new SQLite file together, while one of
// them turns on its log or is the last to leave, can see each other's files half made.
func (c *Catalog) first(ctx context.Context) error {
	for trial := 1; ; trial++ {
		err := c.Ping(ctx)
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

// halfMade says that SQLite met its files while another process made or removed them.
func halfMade(err error) bool {
	var lite *sqlite.Error
	if !errors.As(err, &lite) {
		return false
	}
	switch lite.Code() & 0xff {
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL:
		return true
	}
	return false
}

func (c *Catalog) openSQLite(u *url.URL) error {
	path := u.Path
	if path == "" {
		return domain.Errorf(domain.KindInvalid, "the database URL names no file; use sqlite:///path")
	}
	if err := makePrivate(path); err != nil {
		return err
	}
	dsn := func(extra string) string {
		return "file:" + (&url.URL{Path: path}).EscapedPath() + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)" +
			"&_pragma=synchronous(FULL)&_pragma=wal_autocheckpoint(8000)&_pragma=foreign_keys(1)&_pragma=temp_store(2)" + extra
	}
	// After a commit SQLite may look through the whole cache of its connection: the writer's is small.
	write, err := sql.Open("sqlite", dsn("&_txlock=immediate&_pragma=cache_size(-4096)"))
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
	c.write, c.read = pool{write, c.watch}, pool{read, c.watch}
	return nil
}

// makePrivate makes an empty file that only its owner reads, where there is none: SQLite itself
// would let everyone read it, and its WAL takes over the mode. A file that stands is not even
// opened, since closing it would drop the locks that this process holds on it.
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

// Close ends the connections.
func (c *Catalog) Close() error {
	err := c.write.Close()
	if c.read != c.write {
		err = errors.Join(err, c.read.Close())
	}
	return err
}

// Ping says whether the database answers. Its error is KindUnavailable; KindInvalid when the
// database URL can't be read.
func (c *Catalog) Ping(ctx context.Context) error {
	err := c.write.PingContext(ctx)
	if domain.KindOf(err) == domain.KindInvalid {
		return err
	}
	if err != nil {
		return domain.Wrap(domain.KindUnavailable, err, "the catalog database does not answer")
	}
	return nil
}

// Postgres says whether the catalog is PostgreSQL.
func (c *Catalog) Postgres() bool { return c.postgres }

package catalog

import (
	"cmp"
	"context"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/catalog/erased"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/catalog/migrations"
	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Catalog reads and writes the tables of one database. It is safe for concurrent use.
type Catalog struct {
	*audit.Log
	*clock.Clock
	*outbox.Outbox
	*holds.Holds

	db     *db.DB
	rules  Rules
	erased *erased.Hasher
}

// Rules are the catalog's timings, and where archives go. Zero fields take the defaults.
type Rules struct {
	ArchivesPrefix string // of the keys of archives that are built from now on (callvault)
	LockArchives   bool   // the store locks archives

	// ErasureKey decrypts the key of the hashes of erased ids. Without it only a key that is stored
	// unencrypted can be used.
	ErasureKey func(erased.Key) ([]byte, error)

	Lease        time.Duration // how long a claim is valid without renewal (60 s)
	LateDelay    time.Duration // how long an hour waits for more late recordings, at least (5 min)
	MaxFailure   int           // reported failures until an hour is failed (8)
	MaxLapses    int           // lapsed leases until an hour is failed (20)
	RetryBase    time.Duration // first wait after a failure, doubled each time (15 s)
	FailedWait   time.Duration // until a failed hour is tried once more (1 h)
	Grace        time.Duration // how long superseded bytes outlive their last link (1 h)
	SecondDelete time.Duration // until the sweeper deletes a second time (24 h)
}

func (r Rules) withDefaults() Rules {
	r.Lease = cmp.Or(r.Lease, time.Minute)
	r.LateDelay = cmp.Or(r.LateDelay, 5*time.Minute)
	r.RetryBase = cmp.Or(r.RetryBase, 15*time.Second)
	r.FailedWait = cmp.Or(r.FailedWait, time.Hour)
	r.Grace = cmp.Or(r.Grace, time.Hour)
	r.SecondDelete = cmp.Or(r.SecondDelete, 24*time.Hour)
	r.ArchivesPrefix = cmp.Or(r.ArchivesPrefix, domain.DefaultArchivesPrefix)
	r.MaxFailure = cmp.Or(r.MaxFailure, 8)
	r.MaxLapses = cmp.Or(r.MaxLapses, 20)
	if r.ErasureKey == nil {
		r.ErasureKey = plainKey
	}
	return r
}

func plainKey(k erased.Key) ([]byte, error) {
	if k.Encrypted {
		return nil, domain.Errorf(domain.KindInvalid, "the key of the hashes of erased ids is encrypted; set CALLVAULT_MASTER_KEY to the key that it was made with")
	}
	return k.Material, nil
}

// Lease is how long a claim is valid without renewal.
func (c *Catalog) Lease() time.Duration { return c.rules.Lease }

// Open connects to sqlite:///path or postgres://… without changing anything there. It does not
// migrate; see db.DB. Errors: KindInvalid for a URL that cannot be read, KindUnavailable.
func Open(ctx context.Context, url string, rules Rules) (*Catalog, error) {
	d, err := db.Open(ctx, url, migrations.Files)
	if err != nil {
		return nil, err
	}
	return New(d, rules), nil
}

// OpenReadOnly is Open for reading alone; see db.OpenReadOnly.
func OpenReadOnly(ctx context.Context, url string) (*Catalog, error) {
	d, err := db.OpenReadOnly(ctx, url, migrations.Files)
	if err != nil {
		return nil, err
	}
	return New(d, Rules{}), nil
}

// New gives the catalog of a database.
func New(d *db.DB, rules Rules) *Catalog {
	d.Prepare(applicationSQL, apiKeySQL(), dayAccessSQL, keepArchivesSQL, issuedHoursSQL, saveLinksSQL, linkAccessSQL,
		insertUseSQL, lastUseSQL, spendSQL)
	rules = rules.withDefaults()
	return &Catalog{Log: audit.New(d), Clock: clock.New(d), Outbox: outbox.New(d), Holds: holds.New(d), db: d, rules: rules, erased: erased.New(rules.ErasureKey)}
}

// Erased are the hashes of what was erased.
func (c *Catalog) Erased() *erased.Hasher { return c.erased }

// DB is the database that has the catalog's tables.
func (c *Catalog) DB() *db.DB { return c.db }

// Close ends the connections.
func (c *Catalog) Close() error { return c.db.Close() }

// Merkle is the log over the audit lines.
func (c *Catalog) Merkle() *merkle.Log { return merkle.New(c.db) }

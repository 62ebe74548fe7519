package lifecycle

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// States of an erasure, in their order.
const (
	ErasureAsked      = "asked"      // its order is not in the archives bucket yet
	ErasureRepeating  = "repeating"  // a restored catalog lacked it: nothing is served before it is hidden
	ErasureHiding     = "hiding"     // rows are removed, and archives that have the conversations are taken away
	ErasureRebuilding = "rebuilding" // hours are built again without it
	ErasureDeleting   = "deleting"   // bytes go
	ErasureProven     = "proven"     // nothing is left but what the proof names
)

// Actions of the audit log about erasures. Their details have ids and numbers only.
const (
	ActionErasureAsk    = "erasure.ask"
	ActionErasureRepeat = "erasure.repeat" // a restored catalog lacked the order
	ActionErasureHide   = "erasure.hide"   // the rows of a conversation were removed
	ActionErasureProven = "erasure.proven"
	ActionErasureGone   = "erasure.gone" // the last locked copy went, after the proof
)

// MaxErased is how many conversations one order erases at most.
const MaxErased = 1000

// ErasureCounts says what conversations have, or had.
type ErasureCounts struct {
	Conversations int   `json:"conversations"`
	Recordings    int   `json:"recordings"`
	Messages      int   `json:"messages"`
	FormerValues  int64 `json:"formerValues"`
	Bytes         int64 `json:"bytes"`    // of the recordings whose sizes are known
	Archives      int   `json:"archives"` // that are built again, or deleted where their day is over
	Days          int   `json:"days"`
}

// Erasure is an order to erase conversations, and how far it is.
type Erasure struct {
	ID            string        `json:"id"`
	Tenant        string        `json:"tenant"`
	State         string        `json:"state"`
	Reason        string        `json:"reason"`
	AskedBy       string        `json:"askedBy"` // the actor, as in the audit log
	Asked         time.Time     `json:"askedAt"`
	Hidden        *time.Time    `json:"hiddenAt"`       // when nothing of it was given to tenants any more
	Gone          *time.Time    `json:"lastCopyGoneAt"` // null while a copy is left
	Proven        *time.Time    `json:"provenAt"`
	LockedUntil   *time.Time    `json:"lockedUntil"` // when the last lock of a copy ends, if one is locked
	WaitsForHold  string        `json:"waitsForHold,omitempty"`
	Conversations []string      `json:"conversations,omitempty"` // not in lists
	Removed       ErasureCounts `json:"removed"`                 // until now
	Proof         *ErasureProof `json:"proof,omitempty"`         // not in lists
}

// ErasureStore is the bucket of archives, which also holds the orders.
type ErasureStore interface {
	Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error)
	Put(ctx context.Context, key string, data []byte, opts objstore.PutOptions) (string, error)
	Lister
	Erase(ctx context.Context, key string) error
}

// Eraser carries erasures out. Each of its steps can be repeated, and several may run at once.
type Eraser struct {
	catalog  *catalog.Catalog
	db       *db.DB
	archives ErasureStore
	prefix   string // of keys in the archives bucket
	ends     *Ends  // which knows how a conversation's rows are removed
	log      *zap.Logger
}

// NewEraser makes an Eraser.
func NewEraser(c *catalog.Catalog, recordings Recordings, archives ErasureStore, prefix string, now func() time.Time, log *zap.Logger) *Eraser {
	return &Eraser{catalog: c, db: c.DB(), archives: archives, prefix: cmp.Or(prefix, domain.DefaultArchivesPrefix), log: log.Named("erasures"),
		ends: NewEnds(EndsConfig{Most: 1 << 30}, c.DB(), c, recordings, now, log)}
}

// Run carries erasures out until ctx is cancelled. Failures never stop it; they are logged when
// they begin and when they end.
func (e *Eraser) Run(ctx context.Context, interval time.Duration) error {
	Repeat(ctx, cmp.Or(interval, time.Minute), nil, e.log, "erasing", func(ctx context.Context) (more bool, err error) {
		return false, e.Step(ctx)
	})
	return nil
}

// Step carries all open erasures as far as they can go now, in the order in which they were asked.
// One that fails does not stop the others. One of a tenant that a restored catalog does not know
// waits for the tenant.
func (e *Eraser) Step(ctx context.Context) error {
	if _, err := e.catalog.DoomHidden(ctx, idChunk); err != nil {
		return err
	}
	open, err := db.Collect(ctx, e.db, db.Value[string], `SELECT e.id FROM erasures e JOIN tenants t ON t.id = e.tenant WHERE e.proven_us IS NULL ORDER BY e.id`)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range open {
		errs = append(errs, e.advance(ctx, id))
	}
	waiting, err := db.Collect(ctx, e.db, db.Value[string], `SELECT id FROM erasures WHERE waits_us <= (SELECT now_us FROM catalog_clock) ORDER BY id`)
	errs = append(errs, err)
	for _, id := range waiting {
		errs = append(errs, e.settle(ctx, id))
	}
	return errors.Join(errs...)
}

// advance carries one erasure as far as it can go now.
func (e *Eraser) advance(ctx context.Context, id string) error {
	for {
		x, err := e.read(ctx, id)
		if err != nil {
			return err
		}
		var next string
		switch x.State {
		case ErasureAsked:
			next, err = ErasureHiding, e.storeOrder(ctx, x)
		case ErasureRepeating, ErasureHiding:
			next, err = e.hide(ctx, x)
		case ErasureRebuilding:
			next, err = e.awaitRebuilt(ctx, x)
		case ErasureDeleting:
			return e.prove(ctx, x)
		}
		if err != nil || next == "" {
			return err
		}
		if _, err := e.db.ExecContext(ctx, `UPDATE erasures SET state = $3, blocked = NULL,
			hidden_us = CASE WHEN $3 = 'rebuilding' THEN (SELECT now_us FROM catalog_clock) ELSE hidden_us END
			WHERE id = $1 AND state = $2`, id, x.State, next); err != nil {
			return err
		}
	}
}

const erasureColumns = `id, tenant, state, reason, asked_by, asked_us, hidden_us, gone_us, proven_us, waits_us, blocked, counts, proof`

func scanErasure(rows *sql.Rows) (x Erasure, err error) {
	var hidden, gone, proven, waits time.Time
	var counts, proof string
	err = rows.Scan(&x.ID, &x.Tenant, &x.State, &x.Reason, &x.AskedBy, db.Time(&x.Asked), db.Time(&hidden), db.Time(&gone), db.Time(&proven), db.Time(&waits),
		db.OrZero(&x.WaitsForHold), &counts, db.OrZero(&proof))
	if err != nil {
		return x, err
	}
	for _, t := range []struct {
		to **time.Time
		at time.Time
	}{{&x.Hidden, hidden}, {&x.Gone, gone}, {&x.Proven, proven}, {&x.LockedUntil, waits}} {
		if !t.at.IsZero() {
			*t.to = &t.at
		}
	}
	if err := json.Unmarshal([]byte(counts), &x.Removed); err != nil || proof == "" {
		return x, err
	}
	return x, json.Unmarshal([]byte(proof), &x.Proof)
}

// read reads an erasure with its conversations.
func (e *Eraser) read(ctx context.Context, id string) (Erasure, error) {
	list, err := db.Collect(ctx, e.db, scanErasure, `SELECT `+erasureColumns+` FROM erasures WHERE id = $1`, id)
	if err != nil {
		return Erasure{}, err
	}
	if len(list) == 0 {
		return Erasure{}, domain.Errorf(domain.KindNotFound, "there is no erasure %.100q", id)
	}
	x := list[0]
	x.Conversations, err = db.Collect(ctx, e.db, db.Value[string], `SELECT conversation_id FROM erasure_targets WHERE erasure = $1 ORDER BY conversation_id`, id)
	return x, err
}

// Status reads one erasure of a tenant. Error: KindNotFound.
func (e *Eraser) Status(ctx context.Context, tenant, id string) (Erasure, error) {
	x, err := e.read(ctx, id)
	if err == nil && x.Tenant != tenant {
		return Erasure{}, domain.Errorf(domain.KindNotFound, "there is no erasure %.100q of tenant %.70s", id, tenant)
	}
	return x, err
}

// List lists a tenant's erasures, the newest first, without their conversations and proofs: at most
// limit, those before an id where it is given. Error: KindNotFound for an unknown tenant.
func (e *Eraser) List(ctx context.Context, tenant, before string, limit int) ([]Erasure, error) {
	if _, err := e.catalog.Tenant(ctx, tenant); err != nil {
		return nil, err
	}
	list, err := db.Collect(ctx, e.db, scanErasure, `SELECT `+erasureColumns+` FROM erasures WHERE tenant = $1 AND (id < $2 OR $2 = '') ORDER BY id DESC LIMIT $3`,
		tenant, before, limit)
	for i := range list {
		list[i].Proof = nil
	}
	return list, err
}

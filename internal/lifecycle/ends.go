package lifecycle

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/db"
)

// EndsConfig bounds Ends. Zero fields take the defaults.
type EndsConfig struct {
	Interval time.Duration // between two passes (1 min)
	Page     int           // conversations of a tenant that a pass looks at (200)
	Tenants  int           // tenants that a pass looks at (200)
	Together int           // conversations that one transaction ends (50)
	Most     int           // recordings, and messages, that one transaction removes (2,000)
	Parallel int           // requests to the store at once (8)
	// OnEnded, when set, is told how many conversations have ended, for metrics.
	OnEnded func(n int)
}

func (c EndsConfig) withDefaults() EndsConfig {
	c.Interval = cmp.Or(c.Interval, time.Minute)
	c.Page = cmp.Or(c.Page, 200)
	c.Tenants = cmp.Or(c.Tenants, 200)
	c.Together = cmp.Or(c.Together, 50)
	c.Most = cmp.Or(c.Most, 2000)
	c.Parallel = cmp.Or(c.Parallel, 8)
	if c.OnEnded == nil {
		c.OnEnded = func(int) {}
	}
	return c
}

// FormerKeys gives the object keys that conversations' own recordings had before, each with its
// conversation's id.
type FormerKeys interface {
	FormerKeys(ctx context.Context, tenant string, conversations []string) (map[string]string, error)
}

// Ends ends conversations that are as old as their tenant's source retention. Several may run at
// once.
type Ends struct {
	cfg        EndsConfig
	db         *db.DB
	former     FormerKeys
	recordings Recordings
	now        func() time.Time
	log        *zap.Logger

	tenant string          // the last one of the pass before
	laps   map[string]*lap // by tenant
	ending ending          // the last one of the pass before
}

// NewEnds makes an Ends. now is the process's clock, for durations only.
func NewEnds(cfg EndsConfig, d *db.DB, former FormerKeys, recordings Recordings, now func() time.Time, log *zap.Logger) *Ends {
	return &Ends{cfg: cfg.withDefaults(), db: d, former: former, recordings: recordings, now: now, log: log.Named("ends"), laps: map[string]*lap{}}
}

// Run ends conversations until ctx is cancelled. Failures never stop it; they are logged when they
// begin and when they end.
func (e *Ends) Run(ctx context.Context) error {
	Repeat(ctx, e.cfg.Interval, nil, e.log, "ending conversations", func(ctx context.Context) (more bool, err error) {
		r, err := e.Sweep(ctx)
		if r.Conversations > 0 || r.Blocked > 0 {
			e.log.Info("ended conversations", zap.Int("conversations", r.Conversations), zap.Int("recordings", r.Recordings),
				zap.Int("messages", r.Messages), zap.Int("blocked", r.Blocked))
		}
		return r.More, err
	})
	return nil
}

// EndsReport is what a pass has ended.
type EndsReport struct {
	Conversations int
	Recordings    int
	Messages      int
	Blocked       int // conversations and uploads that stay, because the store does not let an object be looked up
	More          bool
}

// Sweep runs one pass: it goes on with conversations that are not removed whole yet, and then ends
// others. What fails is left for a later pass. Only an outage ends the pass.
func (e *Ends) Sweep(ctx context.Context) (r EndsReport, err error) {
	failure := e.goOn(ctx, &r)
	if outage(failure) {
		return r, failure
	}
	tenants, err := db.Collect(ctx, e.db, db.Value[string], endingTenantsSQL, e.tenant, e.cfg.Tenants)
	if err != nil {
		return r, err
	}
	for _, tenant := range tenants {
		err := e.endPage(ctx, tenant, &r)
		if outage(err) {
			delete(e.laps, tenant) // it is looked at again
			return r, err
		}
		failure = cmp.Or(failure, err)
	}
	e.tenant = ""
	if len(tenants) == e.cfg.Tenants {
		e.tenant, r.More = tenants[len(tenants)-1], true
	}
	return r, failure
}

// endPage ends what the next pages of a tenant name. Its error is an outage, or else the first
// error.
func (e *Ends) endPage(ctx context.Context, tenant string, r *EndsReport) error {
	ids, full, err := e.page(ctx, tenant)
	if err != nil {
		return err
	}
	r.More = r.More || full
	failure := e.endUploads(ctx, tenant, e.laps[tenant], r)
	if outage(failure) {
		return failure
	}
	for some := range slices.Chunk(ids, e.cfg.Together) {
		err := e.end(ctx, tenant, some, r)
		if outage(err) {
			return err
		}
		failure = cmp.Or(failure, err)
	}
	return failure
}

// end ends conversations of a tenant that a page has named.
func (e *Ends) end(ctx context.Context, tenant string, ids []string, r *EndsReport) error {
	seen, ids, err := e.look(ctx, tenant, ids, r)
	if err != nil || len(ids) == 0 {
		return err
	}
	var done removed
	err = e.db.Update(ctx, func(tx *db.Tx) error {
		done = removed{}
		if err := holds.Share(ctx, tx, tenant); err != nil {
			return err
		}
		if tx.Postgres() {
			if _, err := tx.ExecContext(ctx, `SELECT 1 FROM conversations WHERE tenant = $1 AND id IN (`+db.Parameters(2, len(ids))+`) ORDER BY id FOR UPDATE`,
				append([]any{tenant}, db.Texts(ids)...)...); err != nil {
				return err
			}
		}
		still, err := db.Collect(ctx, tx, db.Value[string], `SELECT c.id FROM tenants t JOIN conversations c ON c.tenant = t.id
			WHERE t.id = $1 AND c.id IN (`+db.Parameters(2, len(ids))+`) AND `+catalog.EndsSQL()+` ORDER BY c.id`, append([]any{tenant}, db.Texts(ids)...)...)
		if err != nil || len(still) == 0 {
			return err
		}
		done, err = e.remove(ctx, tx, tenant, still, seen)
		return err
	})
	if err != nil {
		return err
	}
	r.add(done)
	e.cfg.OnEnded(done.conversations)
	return nil
}

// ending is a conversation that is not removed whole yet.
type ending struct{ tenant, id string }

// goOn removes more of conversations that have ended already. It begins after those of the pass
// before. Its error is an outage, or else the first error.
func (e *Ends) goOn(ctx context.Context, r *EndsReport) (failure error) {
	list, err := db.Collect(ctx, e.db, func(rows *sql.Rows) (n ending, err error) {
		err = rows.Scan(&n.tenant, &n.id)
		return n, err
	}, endingsSQL(), e.ending.tenant, e.ending.id, e.cfg.Together)
	if err != nil {
		return err
	}
	e.ending = ending{}
	if len(list) == e.cfg.Together {
		e.ending, r.More = list[len(list)-1], true
	}
	for _, n := range list {
		err := e.goOnWith(ctx, n, r)
		if outage(err) {
			e.ending = ending{}
			return err
		}
		failure = cmp.Or(failure, err)
	}
	return failure
}

// goOnWith removes more of one conversation. A hold that came since then keeps the rest.
func (e *Ends) goOnWith(ctx context.Context, n ending, r *EndsReport) error {
	seen, ids, err := e.look(ctx, n.tenant, []string{n.id}, r)
	if err != nil || len(ids) == 0 {
		return err
	}
	var done removed
	err = e.db.Update(ctx, func(tx *db.Tx) error {
		done = removed{}
		if err := holds.Share(ctx, tx, n.tenant); err != nil {
			return err
		}
		still, err := db.Affected(tx.ExecContext(ctx, `UPDATE endings SET ended_us = ended_us WHERE tenant = $1 AND conversation_id = $2 AND `+mayGoOnSQL(), n.tenant, n.id))
		if err != nil || !still {
			return err
		}
		done, err = e.remove(ctx, tx, n.tenant, ids, seen)
		return err
	})
	if err != nil {
		return err
	}
	r.add(done)
	r.More = r.More || done.recordings+done.messages > 0
	return nil
}

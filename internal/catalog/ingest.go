package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// farAhead is more than a sender's wrong clock or time zone explains.
const farAhead = 24 * time.Hour

// Register takes a batch in, in one transaction. Each line is a patch: its fields replace the
// existing ones, and absent fields stay as they are. A repeated line changes nothing. Replaced and
// cleared values are kept as former values, and the audit log has their number. The wanted counter
// of every hour with a new or changed recording is raised.
//
// Errors: KindNotFound for an unknown tenant, KindUnavailable, and for one bad line a *LineError:
// KindConflict for a recording that contradicts what is known of its object, KindInvalid for an
// object key that is not the tenant's, and for a new conversation without its agent or start.
func (c *Catalog) Register(ctx context.Context, tenant string, b Batch) (Counts, error) {
	if b.Len() > MaxBatch {
		return Counts{}, domain.Errorf(domain.KindTooLarge, "a batch has at most %d lines", MaxBatch)
	}
	var n Counts
	err := c.db.Update(ctx, func(tx *db.Tx) error {
		r := &registration{c: c, tx: tx, tenant: tenant, origin: b.Origin, fields: conversationFields(), formerCounts: map[string]*formerCount{},
			stages: stager{tx: tx, filled: map[string]bool{}}}
		if err := r.run(ctx, &b); err != nil {
			return err
		}
		n = r.n
		return nil
	})
	return n, err
}

// run takes the kinds in, in a fixed order, and each kind in the order of its keys, so that two
// batches wait for each other instead of deadlocking.
func (r *registration) run(ctx context.Context, b *Batch) (err error) {
	if r.c.db.Postgres() {
		// A cached plan of the time when the tables were small would read whole tables for every
		// line.
		if _, err := r.tx.ExecContext(ctx, `SET LOCAL plan_cache_mode = force_custom_plan`); err != nil {
			return err
		}
	}
	if err := requireTenant(ctx, r.tx, r.tenant); err != nil {
		return err
	}
	if r.at, err = clock.Now(ctx, r.tx); err != nil {
		return err
	}
	r.n = Counts{Agents: len(b.Agents), Conversations: len(b.Conversations), Messages: len(b.Messages), Recordings: len(b.Recordings)}
	for _, l := range b.Recordings {
		if l.Value.Timestamp.Sub(db.FromMicros(r.at)) > farAhead {
			r.n.Ahead++
		}
	}
	for _, step := range []func() error{
		func() error { return mergeBodies(ctx, r, agentBodies(), b.Agents) },
		func() error { return r.conversations(ctx, b) },
		func() error { return mergeBodies(ctx, r, messageBodies(), b.Messages) },
		func() error { return r.recordings(ctx, b.Recordings, b.Conversations) },
		func() error { return r.auditReplaced(ctx) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	r.n.TooLate, err = r.c.raiseWanted(ctx, r.tx, r.fresh, r.touched)
	return err
}

func requireTenant(ctx context.Context, tx *db.Tx, tenant string) error {
	var one int
	err := tx.QueryRowContext(ctx, `SELECT 1 FROM tenants WHERE id = $1`, tenant).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return domain.Errorf(domain.KindNotFound, "tenant %.70q does not exist", tenant)
	}
	return err
}

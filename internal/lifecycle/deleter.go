package lifecycle

import (
	"cmp"
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/catalog/deletions"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// Actions of the audit log about the bytes of source audio whose rows are gone.
const (
	ActionDeleted = "deletion.done"    // they were deleted
	ActionChanged = "deletion.changed" // other bytes were written under the key since, and these stay
)

// DeleterConfig bounds a Deleter. Zero fields take the defaults.
type DeleterConfig struct {
	Interval time.Duration // between two passes (1 min)
	Batch    int           // objects that a pass takes (200)
	Parallel int           // requests to the store at once (8)
	// OnRefused, when set, is called for each object that the store refused to delete, and
	// OnChanged for each that has other bytes. Metrics count both.
	OnRefused, OnChanged func()
}

// Sources is the bucket of recordings, from which source audio is deleted.
type Sources interface {
	Stat(ctx context.Context, key string) (objstore.Info, error)
	RemoveMatch(ctx context.Context, key string, m objstore.Match) error
}

// Deleter deletes the source audio that the outbox of deletions names. Several may run at once.
type Deleter struct {
	cfg     DeleterConfig
	db      *db.DB
	outbox  *deletions.Outbox
	sources Sources
	log     *zap.Logger
}

// NewDeleter makes a Deleter.
func NewDeleter(cfg DeleterConfig, d *db.DB, sources Sources, log *zap.Logger) *Deleter {
	cfg.Interval = cmp.Or(cfg.Interval, time.Minute)
	cfg.Batch = cmp.Or(cfg.Batch, 200)
	cfg.Parallel = cmp.Or(cfg.Parallel, 8)
	for _, f := range []*func(){&cfg.OnRefused, &cfg.OnChanged} {
		if *f == nil {
			*f = func() {}
		}
	}
	return &Deleter{cfg: cfg, db: d, outbox: deletions.New(d), sources: sources, log: log.Named("deletions")}
}

// Run deletes until ctx is cancelled. Failures never stop it; they are logged when they begin and
// when they end.
func (d *Deleter) Run(ctx context.Context) error {
	Repeat(ctx, d.cfg.Interval, nil, d.log, "deleting source audio", func(ctx context.Context) (more bool, err error) {
		r, err := d.Sweep(ctx)
		if r != (DeleterReport{}) {
			d.log.Info("deleted source audio", zap.Int("deleted", r.Deleted), zap.Int("changed", r.Changed), zap.Int("refused", r.Refused))
		}
		return r.More, err
	})
	return nil
}

// DeleterReport is what a pass did.
type DeleterReport struct {
	Deleted int
	Changed int // keys with other bytes by now, which stay
	Refused int // objects that the store refused to delete, to be tried again in an hour
	More    bool
}

// Sweep deletes the objects that are due now.
func (d *Deleter) Sweep(ctx context.Context) (r DeleterReport, err error) {
	claimed, err := d.outbox.Claim(ctx, d.cfg.Batch)
	if err != nil {
		return r, err
	}
	var mu sync.Mutex
	gone, changed := map[string]deletions.Deletion{}, map[string]deletions.Deletion{}
	failed := map[string]error{}
	pass, end := context.WithTimeout(ctx, deletions.Lease-2*time.Minute) // after the lease others may claim and delete them
	defer end()
	first := forEach(pass, d.cfg.Parallel, claimed, func(ctx context.Context, x deletions.Deletion) error {
		err := d.remove(ctx, x)
		if ctx.Err() != nil && err != nil { // the pass has ended: this object did not fail
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			gone[x.Key] = x
		case domain.KindOf(err) == domain.KindConflict:
			changed[x.Key] = x
			return nil
		default:
			failed[x.Key] = err
		}
		return err
	})
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Minute) // also while the process stops, because what was deleted must be written down
	defer stop()
	if err := d.finish(ctx, gone, changed); err != nil {
		return r, err
	}
	r = DeleterReport{Deleted: len(gone), Changed: len(changed), More: len(claimed) == d.cfg.Batch}
	for _, x := range claimed {
		err := failed[x.Key]
		_, isGone := gone[x.Key]
		_, isChanged := changed[x.Key]
		if isGone || isChanged {
			continue
		}
		if err := d.again(ctx, x, err, &r); err != nil {
			return r, err
		}
	}
	if objstore.Refused(first) {
		first = nil // d.again has logged it
	}
	return r, first
}

// remove deletes an object if it still has the bytes that were queued. Where no ETag was queued, it
// deletes the bytes that are there now, unless they have another size than was queued.
func (d *Deleter) remove(ctx context.Context, x deletions.Deletion) error {
	if x.ETag == "" {
		info, err := d.sources.Stat(ctx, x.Key)
		if domain.KindOf(err) == domain.KindNotFound {
			return nil
		}
		if err != nil {
			return err
		}
		if x.Size != nil && *x.Size != info.Size {
			return domain.Errorf(domain.KindConflict, "the object has another size")
		}
		x.ETag, x.VersionID = info.ETag, info.VersionID
	}
	return d.sources.RemoveMatch(ctx, x.Key, objstore.Match{ETag: x.ETag, VersionID: x.VersionID})
}

// again makes an object due again that could not be deleted. err is nil if it was not tried, and
// then it counts no failure. Neither does a lock of the store.
func (d *Deleter) again(ctx context.Context, x deletions.Deletion, err error, r *DeleterReport) error {
	if err == nil {
		return d.outbox.Postpone(ctx, x.Key, time.Minute)
	}
	if lock, locked := objstore.LockOf(err); locked {
		_, err := d.db.ExecContext(ctx, `UPDATE erasure_objects SET locked_until_us = $3 WHERE erasure = $1 AND NOT archive AND key = $2`, x.Subject, x.Key, lock.Microseconds())
		return cmp.Or(err, d.outbox.Locked(ctx, x.Key, lock.Until))
	}
	wait := min(time.Minute<<min(x.Tries, 6), time.Hour)
	if objstore.Refused(err) {
		wait = time.Hour
		d.cfg.OnRefused()
		if r.Refused++; r.Refused == 1 { // the others are mostly refused for the same reason
			what := []zap.Field{zap.String("object", x.Key), zap.Error(err)}
			if x.Cause == deletions.CauseErasure { // its key may tell whose recording it was
				what = []zap.Field{zap.String("erasure", x.Subject)}
			}
			d.log.Error("the object store refuses to delete source audio; each object is tried again in an hour", append(what, zap.String("hint", objstore.Advice(err)))...)
		}
	}
	return d.outbox.Failed(ctx, x.Key, err.Error(), wait)
}

// deletedDetail tells of the objects of one cause.
type deletedDetail struct {
	Cause   deletions.Cause `json:"cause"`
	Subject string          `json:"subject,omitempty"` // the erasure's id
	Objects int             `json:"objects"`
	Bytes   int64           `json:"bytes"`
}

// changedDetail tells of a key that has other bytes. The key is left out for an erasure.
type changedDetail struct {
	Cause   deletions.Cause `json:"cause"`
	Subject string          `json:"subject,omitempty"`
	Object  string          `json:"object,omitempty"`
}

// finish takes objects out of the outbox, and writes that down.
func (d *Deleter) finish(ctx context.Context, gone, changed map[string]deletions.Deletion) error {
	if len(gone)+len(changed) == 0 {
		return nil
	}
	for key, x := range changed {
		d.cfg.OnChanged()
		what := zap.String("object", key)
		if x.Cause == deletions.CauseErasure { // its key may tell whose recording it was
			what = zap.String("erasure", x.Subject)
		}
		d.log.Error("other bytes were written under a key whose object was to be deleted; they stay, and no recording names them",
			zap.String("tenant", x.Tenant), what)
	}
	o := audit.Origin{Actor: "deleter"}
	return d.db.Update(ctx, func(tx *db.Tx) error {
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		type group struct {
			tenant string
			deletedDetail
		}
		groups := map[group]deletedDetail{}
		for key, x := range gone {
			if err := deletions.Done(ctx, tx, key); err != nil {
				return err
			}
			k := group{x.Tenant, deletedDetail{Cause: x.Cause, Subject: x.Subject}}
			n := groups[k]
			n.Cause, n.Subject, n.Objects = x.Cause, x.Subject, n.Objects+1
			if x.Size != nil {
				n.Bytes += *x.Size
			}
			groups[k] = n
		}
		for k, n := range groups {
			if err := o.Append(ctx, tx, at, k.tenant, ActionDeleted, n); err != nil {
				return err
			}
		}
		for _, x := range changed {
			if err := keep(ctx, tx, o, x, at); err != nil {
				return err
			}
		}
		return nil
	})
}

// keep takes an object out of the outbox whose key has other bytes, and notes that these stay.
func keep(ctx context.Context, tx *db.Tx, o audit.Origin, x deletions.Deletion, at int64) error {
	if err := deletions.Done(ctx, tx, x.Key); err != nil {
		return err
	}
	if err := deletions.Leave(ctx, tx, x.Tenant, []string{x.Key}, at); err != nil {
		return err
	}
	told := x.Key
	if x.Cause == deletions.CauseErasure { // the proof does not count it as deleted
		told = ""
		if _, err := tx.ExecContext(ctx, `UPDATE erasure_objects SET left_us = $3, locked_until_us = NULL WHERE erasure = $1 AND NOT archive AND key = $2`, x.Subject, x.Key, at); err != nil {
			return err
		}
	}
	return o.Append(ctx, tx, at, x.Tenant, ActionChanged, changedDetail{x.Cause, x.Subject, told})
}

package merkle

import (
	"context"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Sealer is the right to write, which Acquire gave. Its token keeps out all former sealers.
type Sealer struct {
	token int64
	lease time.Duration
}

// Acquire makes the caller the sealer. It is false when another one is at work. The lease is how
// long others wait for a sealer that was killed.
func (l *Log) Acquire(ctx context.Context, lease time.Duration) (s Sealer, acquired bool, err error) {
	s.lease = lease
	err = l.db.Update(ctx, func(tx *db.Tx) error {
		return tx.QueryRowContext(ctx, `UPDATE log_state SET token = token + 1, lease_us = (SELECT now_us FROM catalog_clock) + $1
			WHERE lease_us <= (SELECT now_us FROM catalog_clock) OR lease_us > (SELECT now_us FROM catalog_clock) + $1 RETURNING token`, lease.Microseconds()).Scan(&s.token)
	})
	if domain.KindOf(err) == domain.KindNotFound {
		return s, false, nil
	}
	return s, err == nil, err
}

// Release lets another sealer work at once.
func (l *Log) Release(ctx context.Context, s Sealer) error {
	_, err := l.db.ExecContext(ctx, `UPDATE log_state SET lease_us = 0 WHERE token = $1`, s.token)
	return err
}

// own runs fn in a transaction of the sealer, which begins with the check of its token. It prolongs
// the lease. Error: KindLost when another one is the sealer.
func (l *Log) own(ctx context.Context, s Sealer, fn func(tx *db.Tx) error) error {
	return l.db.Update(ctx, func(tx *db.Tx) error {
		ok, err := db.Affected(tx.ExecContext(ctx, `UPDATE log_state SET lease_us = (SELECT now_us FROM catalog_clock) + $2 WHERE token = $1`, s.token, s.lease.Microseconds()))
		if err != nil {
			return err
		}
		if !ok {
			return domain.Errorf(domain.KindLost, "another sealer has taken over")
		}
		return fn(tx)
	})
}

// Tile is one tile of the tree, full or not.
type Tile struct {
	Level  int
	N      int64
	Hashes []byte
}

// Batch is what one step of the sealer writes.
type Batch struct {
	From       int64  // the tree's size before
	Leaves     []Leaf // the next ones, from From on; those of an unknown key are adopted
	Recognised []Leaf // leaves that were adopted, and whose rows are known now
	Gone       []Key  // queued, but there is no such row
	Tiles      []Tile // those that the leaves change
	Backfilled int64  // 0 leaves it as it is
	// Checkpoint is one that the bucket has, over all leaves; nil for none.
	Checkpoint *Checkpoint
}

// Number writes one step in one transaction. Error: KindLost when another one is the sealer, or the
// tree has another size.
func (l *Log) Number(ctx context.Context, s Sealer, b Batch) error {
	return l.own(ctx, s, func(tx *db.Tx) error {
		ok, err := db.Affected(tx.ExecContext(ctx, `UPDATE log_state SET size = size + $2, backfilled = CASE WHEN $3 > backfilled THEN $3 ELSE backfilled END
			WHERE size = $1`, b.From, len(b.Leaves), b.Backfilled))
		if err != nil {
			return err
		}
		if !ok {
			return domain.Errorf(domain.KindLost, "the log has another size than %d", b.From)
		}
		if err := insertLeaves(ctx, tx, b); err != nil {
			return err
		}
		if err := recognise(ctx, tx, b.Recognised); err != nil {
			return err
		}
		for _, k := range b.Gone {
			if _, err := tx.ExecContext(ctx, `UPDATE log_queue SET gone = TRUE WHERE kind = $1 AND ref = $2`, k.Kind, k.Ref); err != nil {
				return err
			}
		}
		for _, t := range b.Tiles {
			if _, err := tx.ExecContext(ctx, `INSERT INTO log_tiles (level, n, hashes) VALUES ($1, $2, $3)
				ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes`, t.Level, t.N, t.Hashes); err != nil {
				return err
			}
		}
		if b.Checkpoint != nil {
			return record(ctx, tx, *b.Checkpoint)
		}
		return nil
	})
}

// insertLeaves stores new leaves and takes what they are of from the queue.
func insertLeaves(ctx context.Context, tx *db.Tx, b Batch) error {
	leaves, adopted := make([][]any, 0, len(b.Leaves)), [][]any{}
	var taken []Key
	for _, f := range b.Leaves {
		if f.Key == (Key{}) {
			leaves = append(leaves, []any{f.N, nil, nil})
			adopted = append(adopted, []any{f.Hash[:], f.N})
			continue
		}
		leaves = append(leaves, []any{f.N, f.Ref, f.Kind})
		taken = append(taken, f.Key)
	}
	for _, f := range b.Recognised {
		taken = append(taken, f.Key)
	}
	if err := tx.Insert(ctx, "log_leaves", []string{"n", "ref", "kind"}, leaves); err != nil {
		return err
	}
	if err := tx.Insert(ctx, "log_adopted", []string{"hash", "n"}, adopted); err != nil {
		return err
	}
	return dequeue(ctx, tx, taken)
}

// dequeue deletes rows of the queue, by kind, some at a time.
func dequeue(ctx context.Context, tx *db.Tx, keys []Key) error {
	byKind := map[string][]any{}
	for _, k := range keys {
		byKind[k.Kind] = append(byKind[k.Kind], k.Ref)
	}
	for kind, refs := range byKind {
		for len(refs) > 0 {
			some := refs[:min(len(refs), 1000)]
			refs = refs[len(some):]
			if _, err := tx.ExecContext(ctx, `DELETE FROM log_queue WHERE kind = $1 AND ref IN (`+db.Parameters(2, len(some))+`)`, append([]any{kind}, some...)...); err != nil {
				return err
			}
		}
	}
	return nil
}

// recognise gives adopted leaves their rows.
func recognise(ctx context.Context, tx *db.Tx, leaves []Leaf) error {
	for _, f := range leaves {
		if _, err := tx.ExecContext(ctx, `UPDATE log_leaves SET kind = $2, ref = $3 WHERE n = $1 AND ref IS NULL`, f.N, f.Kind, f.Ref); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM log_adopted WHERE hash = $1`, f.Hash[:]); err != nil {
			return err
		}
	}
	return nil
}

// Record writes down that the bucket has a checkpoint, the next one.
func (l *Log) Record(ctx context.Context, s Sealer, c Checkpoint) error {
	return l.own(ctx, s, func(tx *db.Tx) error { return record(ctx, tx, c) })
}

func record(ctx context.Context, tx *db.Tx, c Checkpoint) error {
	at, err := clock.Now(ctx, tx)
	if err != nil {
		return err
	}
	ok, err := db.Affected(tx.ExecContext(ctx, `UPDATE log_state SET checkpoint = $1, checkpoint_size = $2, checkpoint_us = $3
		WHERE checkpoint = $1 - 1 AND size >= $2 AND checkpoint_size <= $2`, c.N, c.Size, at))
	if err != nil {
		return err
	}
	if !ok {
		return domain.Errorf(domain.KindLost, "checkpoint %d of the log is not the next one", c.N)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO log_checkpoints (n, size, root, note, at_us) VALUES ($1, $2, $3, $4, $5)`, c.N, c.Size, c.Root[:], c.Note, at)
	return err
}

// Tiled writes down up to which size the bucket has all full tiles.
func (l *Log) Tiled(ctx context.Context, s Sealer, size int64) error {
	return l.own(ctx, s, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE log_state SET tiled = $1`, size)
		return err
	})
}

// Reset takes the numbers from all leaves that no checkpoint of the bucket covers, and queues them
// again. It is for a catalog that was restored from a backup: these numbers belong to other leaves.
func (l *Log) Reset(ctx context.Context, s Sealer) error {
	return l.own(ctx, s, func(tx *db.Tx) error {
		var size int64
		if err := tx.QueryRowContext(ctx, `UPDATE log_state SET size = checkpoint_size RETURNING size`).Scan(&size); err != nil {
			return err
		}
		for _, statement := range []string{
			`INSERT INTO log_queue (kind, ref) SELECT kind, ref FROM log_leaves WHERE n >= $1 AND kind IS NOT NULL`,
			`DELETE FROM log_leaves WHERE n >= $1`,
		} {
			if _, err := tx.ExecContext(ctx, statement, size); err != nil {
				return err
			}
		}
		return cutTiles(ctx, tx, size)
	})
}

// cutTiles removes all hashes beyond a size.
func cutTiles(ctx context.Context, tx *db.Tx, size int64) error {
	const width = 256
	var levels int
	if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(level), -1) + 1 FROM log_tiles`).Scan(&levels); err != nil {
		return err
	}
	for level := range levels {
		full, rest := size/width, size%width
		if _, err := tx.ExecContext(ctx, `DELETE FROM log_tiles WHERE level = $1 AND (n > $2 OR n = $2 AND $3 = 0)`, level, full, rest); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE log_tiles SET hashes = substr(hashes, 1, $3) WHERE level = $1 AND n = $2`, level, full, rest*tlog.HashSize); err != nil {
			return err
		}
		size = full
	}
	return nil
}

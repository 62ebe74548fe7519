package merkle

import (
	"context"
	"database/sql"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/callvault/callvault/internal/db"
)

// State is how far the log is.
type State struct {
	Size           int64 // leaves with a number
	Checkpoint     int64 // number of the newest checkpoint that is known to be in the bucket; 0 for none
	CheckpointSize int64 // its leaves
	CheckpointAt   time.Time
	Tiled          int64 // leaves whose full tiles are in the bucket
	Backfilled     int64 // the last line before the log began that has a number
	BackfillTo     int64 // the last line before the log began
}

const stateSQL = `SELECT size, checkpoint, checkpoint_size, checkpoint_us, tiled, backfilled, backfill_to FROM log_state`

// State reads how far the log is.
func (l *Log) State(ctx context.Context) (s State, err error) {
	var at int64
	err = l.db.QueryRowContext(ctx, stateSQL).Scan(&s.Size, &s.Checkpoint, &s.CheckpointSize, &at, &s.Tiled, &s.Backfilled, &s.BackfillTo)
	if at > 0 {
		s.CheckpointAt = db.FromMicros(at)
	}
	return s, err
}

// Checkpoint is a signed head of the tree.
type Checkpoint struct {
	N    int64 // its number, from 1
	Size int64
	Root tlog.Hash
	Note string // signed
}

// Checkpoints lists checkpoints after a number, in order: at most limit.
func (l *Log) Checkpoints(ctx context.Context, after int64, limit int) ([]Checkpoint, error) {
	return db.Collect(ctx, l.db, scanCheckpoint, `SELECT n, size, root, note FROM log_checkpoints WHERE n > $1 ORDER BY n LIMIT $2`, after, limit)
}

// Newest gives the newest checkpoint. Error: KindNotFound when there is none yet.
func (l *Log) Newest(ctx context.Context) (c Checkpoint, err error) {
	var root []byte
	err = l.db.QueryRowContext(ctx, `SELECT n, size, root, note FROM log_checkpoints WHERE n = (SELECT checkpoint FROM log_state)`).Scan(&c.N, &c.Size, &root, &c.Note)
	copy(c.Root[:], root)
	return c, db.NotFound(err, "the log has no checkpoint yet")
}

func scanCheckpoint(rows *sql.Rows) (c Checkpoint, err error) {
	var root []byte
	err = rows.Scan(&c.N, &c.Size, &root, &c.Note)
	copy(c.Root[:], root)
	return c, err
}

// LeafOf gives the number of a leaf. Error: KindNotFound when it has none yet.
func (l *Log) LeafOf(ctx context.Context, k Key) (n int64, err error) {
	err = l.db.QueryRowContext(ctx, `SELECT n FROM log_leaves WHERE kind = $1 AND ref = $2`, k.Kind, k.Ref).Scan(&n)
	return n, db.NotFound(err, "the %s %d has no number in the log yet", k.Kind, k.Ref)
}

// Tile reads the hashes of a tile: 256, and fewer in the last one of a level.
func (l *Log) Tile(ctx context.Context, level int, n int64) (hashes []byte, err error) {
	err = l.db.QueryRowContext(ctx, `SELECT hashes FROM log_tiles WHERE level = $1 AND n = $2`, level, n).Scan(&hashes)
	return hashes, db.NotFound(err, "the catalog has no tile %d of level %d", n, level)
}

// Adopted gives the numbers of those hashes that were adopted from the bucket and have no row yet.
func (l *Log) Adopted(ctx context.Context, hashes []tlog.Hash) (map[tlog.Hash]int64, error) {
	found := map[tlog.Hash]int64{}
	var some bool
	if err := l.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM log_adopted)`).Scan(&some); err != nil || !some {
		return found, err
	}
	for len(hashes) > 0 {
		args := make([]any, min(len(hashes), 1000))
		for i := range args {
			args[i] = hashes[i][:]
		}
		hashes = hashes[len(args):]
		err := db.Each(ctx, l.db, func(rows *sql.Rows) error {
			var hash []byte
			var n int64
			err := rows.Scan(&hash, &n)
			found[tlog.Hash(hash)] = n
			return err
		}, `SELECT hash, n FROM log_adopted WHERE hash IN (`+db.Parameters(1, len(args))+`)`, args...)
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

package merkle

import (
	"context"
	"time"

	"github.com/callvault/callvault/internal/db"
)

// Backlog is how far the log is, in numbers.
type Backlog struct {
	Size       int64     // leaves
	Lost       int64     // leaves whose rows were lost when the catalog was restored
	LostLately int64     // of these, those that no checkpoint covered a day ago
	Gone       int64     // rows that were taken away before they had a number
	Checkpoint time.Time // when the newest checkpoint was recorded; zero for none
	Oldest     time.Time // of the oldest line that no checkpoint covers; zero for none. Lines before the log began do not count
}

// ReadBacklog reads how far the log is.
func ReadBacklog(ctx context.Context, tx *db.Tx) (b Backlog, err error) {
	var at, queued, numbered int64
	err = tx.QueryRowContext(ctx, `SELECT size, checkpoint_us, (SELECT count(*) FROM log_adopted),
		(SELECT count(*) FROM log_adopted WHERE n >= coalesce((SELECT size FROM log_checkpoints
			WHERE at_us <= (SELECT now_us FROM catalog_clock) - 86400000000 ORDER BY log_checkpoints.n DESC LIMIT 1), 0)), (SELECT count(*) FROM log_queue WHERE gone),
		coalesce((SELECT at_us FROM audit WHERE seq = (SELECT min(ref) FROM log_queue WHERE kind = 'line' AND NOT gone)), 0),
		coalesce((SELECT a.at_us FROM log_leaves l JOIN audit a ON a.seq = l.ref
			WHERE l.n = s.checkpoint_size AND l.kind = 'line' AND l.ref > s.backfill_to), 0)
		FROM log_state s`).Scan(&b.Size, &at, &b.Lost, &b.LostLately, &b.Gone, &queued, &numbered)
	for _, us := range []int64{queued, numbered} {
		if t := db.FromMicros(us); us > 0 && (b.Oldest.IsZero() || t.Before(b.Oldest)) {
			b.Oldest = t
		}
	}
	if at > 0 {
		b.Checkpoint = db.FromMicros(at)
	}
	return b, err
}

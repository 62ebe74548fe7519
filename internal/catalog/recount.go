package catalog

import (
	"context"
	"database/sql"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/transcript"
)

// uncountedSQL is true where the turns of a transcript were counted by the rules of a former
// version. Such a version, which may run at the same time during an upgrade, does not set
// transcript_counted.
const uncountedSQL = `transcript_turns IS NOT NULL AND transcript_counted IS DISTINCT FROM line_hash`

const uncountedListSQL = `SELECT tenant, id, line_hash FROM conversations WHERE ` + uncountedSQL + ` ORDER BY start_us DESC LIMIT $1`

// RecountTurns counts again the turns of transcripts that former rules counted: at most limit,
// newest first. It says of how many. Each one is a transaction of its own. Error: KindUnavailable.
func (c *Catalog) RecountTurns(ctx context.Context, limit int) (int, error) {
	list, err := collect(ctx, c.read, func(rows *sql.Rows) (t Transcript, err error) {
		t.catalog = c
		err = rows.Scan(&t.tenant, &t.id, &t.hash)
		return t, err
	}, uncountedListSQL, limit)
	if err != nil {
		return 0, err
	}
	for i := range list {
		if err := list[i].recount(ctx); err != nil {
			return i, err
		}
	}
	return len(list), nil
}

// recount reads the transcript and writes how many turns it has, unless its line was replaced.
func (t *Transcript) recount(ctx context.Context) error {
	reader := &transcriptReader{Transcript: t, ctx: ctx}
	turns, err := transcript.Count(reader)
	switch {
	case domain.KindOf(err) == domain.KindConflict: // its line was replaced, or there is no transcript
		return t.catalog.update(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE conversations SET transcript_turns = NULL WHERE tenant = $1 AND id = $2 AND line_hash = $3
				AND NOT EXISTS (SELECT 1 FROM transcripts t WHERE t.tenant = $1 AND t.conversation_id = $2)`, t.tenant, t.id, t.hash)
			return err
		})
	case err != nil:
		return err
	}
	return t.catalog.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE conversations SET transcript_turns = $4, transcript_counted = line_hash
			WHERE tenant = $1 AND id = $2 AND line_hash = $3`, t.tenant, t.id, t.hash, turns)
		return err
	})
}

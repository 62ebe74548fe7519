package catalog

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/callvault/callvault/internal/catalog/deletions"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// beingDeleted says why a key can't be named now.
func beingDeleted(field string) string {
	return field + " names an object that is being deleted, because the conversation that it was of has ended; try again in 10 minutes"
}

// stillEnding says why a conversation can't be named now.
func stillEnding(field string) string {
	return field + " names a conversation that has ended and is still being deleted; try again in 10 minutes"
}

// refuseQueued refuses the first line that names a key whose bytes are to be deleted. It runs after
// the keys' rows are claimed: whoever removes a row queues its key in the same transaction.
func (r *registration) refuseQueued(ctx context.Context, named map[string]namedKey) error {
	queued, err := db.Collect(ctx, r.tx, db.Value[string], `SELECT s.key FROM stage_objects s JOIN deletions d ON d.key = s.key`)
	if err != nil || len(queued) == 0 {
		return err
	}
	first := slices.MinFunc(queued, func(a, b string) int { return named[a].line - named[b].line })
	return refuse(named[first].line, domain.KindEnding, "%s", beingDeleted(fmt.Sprintf("%q", named[first].field)))
}

// endingSQL finds those of a tenant's conversations that have ended and are not removed whole yet.
func endingSQL(n int) string {
	return `SELECT conversation_id FROM endings WHERE tenant = $1 AND conversation_id IN (` + db.Parameters(2, n) + `)`
}

// refuseEnding refuses the first line that names a conversation which is still being removed. It
// runs after the conversations' rows are written, because writing them waits for whoever removes
// them.
func (r *registration) refuseEnding(ctx context.Context, b *Batch) error {
	var some bool
	err := r.tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM endings WHERE tenant = $1)`, r.tenant).Scan(&some)
	if err != nil || !some {
		return err
	}
	lines := map[string]int{}
	note := func(line int, id string) {
		if first, ok := lines[id]; !ok || line < first {
			lines[id] = line
		}
	}
	for _, l := range b.Conversations {
		note(l.Number, l.Value.ID)
	}
	for _, l := range b.Messages {
		note(l.Number, l.Value.ConversationID)
	}
	for _, l := range b.Recordings {
		note(l.Number, l.Value.ConversationID)
	}
	line := math.MaxInt
	for chunk := range slices.Chunk(slices.Collect(maps.Keys(lines)), idChunk) {
		ending, err := db.Collect(ctx, r.tx, db.Value[string], endingSQL(len(chunk)), append([]any{r.tenant}, db.Texts(chunk)...)...)
		if err != nil {
			return err
		}
		for _, id := range ending {
			line = min(line, lines[id])
		}
	}
	if line == math.MaxInt {
		return nil
	}
	return refuse(line, domain.KindEnding, "%s", stillEnding(`"conversationId"`))
}

// refuseEnding refuses an upload to a key whose bytes are to be deleted, or whose recording belongs
// to a conversation that is still being removed. It runs after the key's row is claimed.
func refuseEnding(ctx context.Context, tx *db.Tx, tenant, key string, day domain.Day) error {
	queued, err := deletions.Queued(ctx, tx, []string{key})
	if err != nil {
		return err
	}
	if len(queued) > 0 {
		return domain.Errorf(domain.KindEnding, "%s", beingDeleted("the object key"))
	}
	var ending bool
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM recordings r JOIN endings e ON e.tenant = r.tenant AND e.conversation_id = r.conversation_id
		WHERE r.tenant = $1 AND r.day = $2 AND r.object_key = $3)`, tenant, day, key).Scan(&ending)
	if err == nil && ending {
		err = domain.Errorf(domain.KindEnding, "%s", beingDeleted("the object key"))
	}
	return err
}

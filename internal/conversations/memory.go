package conversations

import (
	"context"

	"github.com/callvault/callvault/internal/db"
)

// memorySQL asks for lengths alone, so that the databases do not read the values.
const memorySQL = `SELECT coalesce(octet_length(c.metadata), 0) + coalesce(octet_length(c.analysis), 0) + coalesce(octet_length(c.user_body), 0)
		+ coalesce(octet_length(c.tags), 0) + coalesce(octet_length(a.body), 0),
	coalesce(octet_length(t.raw), 0),
	(SELECT coalesce(sum(octet_length(m.body)), 0) FROM messages m WHERE m.tenant = $1 AND m.conversation_id = $2)
	FROM conversations c LEFT JOIN agents a ON a.tenant = c.tenant AND a.id = c.agent_id
	LEFT JOIN transcripts t ON t.tenant = c.tenant AND t.conversation_id = c.id
	WHERE c.tenant = $1 AND c.id = $2 AND c.start_us IS NOT NULL`

// copies is how often a value is in memory while its answer is made, about: as the driver's bytes,
// as this program's, and as JSON in a buffer that grows.
const copies = 4

// Memory is about how much memory Show or Export takes for a conversation, in bytes. Callers ask
// for it first, so that nothing is read that is too large. It has the errors of Show.
func (r *Reader) Memory(ctx context.Context, tenant, id string) (int64, error) {
	var values, raw, messages int64
	err := r.db.QueryRowContext(ctx, memorySQL, tenant, id).Scan(&values, &raw, &messages)
	return copies*values + min(raw, transcriptPiece) + min(messages, int64(messagesPiece().Bytes)), db.NotFound(err, "there is no such conversation")
}

package conversations

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/callvault/callvault/internal/db"
)

// Shown is one conversation with its transcript or messages.
type Shown struct {
	Header
	UserID       string
	Metadata     json.RawMessage // object; nil when unknown
	RecordingKey string          // object key; "" when there is none
	Transcript   *Transcript     // nil if there is none in which somebody speaks
	Messages     []ExportedMessage
}

// Show reads one conversation, with its messages if nobody speaks in a raw transcript.
// Errors: KindNotFound, also for a conversation without a line of its own; KindUnavailable.
func (r *Reader) Show(ctx context.Context, tenant, id string) (s Shown, err error) {
	err = r.db.View(ctx, func(tx *db.Tx) error {
		s = Shown{}
		var analysis, hash, raw []byte
		var said bool
		var turns int
		var err error
		s.Header, err = scanHeader(tx.QueryRowContext(ctx, showConversationSQL(r.db.Postgres()), tenant, id, transcriptPiece),
			&analysis, db.OrZero(&s.UserID), (*[]byte)(&s.Metadata), db.OrZero(&s.RecordingKey), db.OrZero(&turns), &hash, &raw, &said)
		if err != nil {
			return db.NotFound(err, "there is no such conversation")
		}
		s.Summary = summary(analysis)
		if turns > 0 && said {
			s.Transcript = &Transcript{db: r.db, tenant: tenant, id: id, hash: hash, piece: raw}
			return nil
		}
		s.Messages, err = db.Collect(ctx, tx, func(rows *sql.Rows) (m ExportedMessage, err error) {
			m.ConversationID = id
			err = rows.Scan(&m.ID, db.Time(&m.Time), &m.Type, (*[]byte)(&m.Body))
			return m, err
		}, conversationMessagesSQL, tenant, id)
		return err
	})
	return s, err
}

func showConversationSQL(postgres bool) string {
	return `SELECT ` + headerColumns + `, c.analysis, c.user_id, c.metadata, c.recording_key, c.transcript_turns, c.line_hash,
		substr(` + rawBytes(postgres) + `, 1, CAST($3 AS INTEGER)), t.raw IS NOT NULL
	FROM conversations c LEFT JOIN agents a ON a.tenant = c.tenant AND a.id = c.agent_id
	LEFT JOIN transcripts t ON t.tenant = c.tenant AND t.conversation_id = c.id
	WHERE c.tenant = $1 AND c.id = $2 AND c.start_us IS NOT NULL`
}

const conversationMessagesSQL = `SELECT m.id, m.time_us, m.type, m.body FROM messages m
	WHERE m.tenant = $1 AND m.conversation_id = $2 AND ` + spokenSQL + ` ORDER BY m.time_us, m.id`

// RecordingKey gives the object key of a conversation's own recording; "" if it has none.
// It has the errors of Show.
func (r *Reader) RecordingKey(ctx context.Context, tenant, id string) (string, error) {
	var key sql.NullString
	err := r.db.QueryRowContext(ctx, `SELECT recording_key FROM conversations WHERE tenant = $1 AND id = $2 AND start_us IS NOT NULL`,
		tenant, id).Scan(&key)
	return key.String, db.NotFound(err, "there is no such conversation")
}

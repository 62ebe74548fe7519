package conversations

import (
	"context"
	"database/sql"
	"encoding/json"
	"iter"
	"math"

	"github.com/callvault/callvault/internal/db"
)

// Shown is one conversation with its transcript or messages.
type Shown struct {
	Header
	UserID       string
	Metadata     json.RawMessage // object; nil when unknown
	RecordingKey string          // object key; "" when there is none
	Transcript   *Transcript     // nil if there is none in which somebody speaks
	Messages     *Messages       // nil if there is such a transcript
}

// Show reads one conversation. Errors: KindNotFound, also for a conversation without a line of its
// own; KindUnavailable.
func (r *Reader) Show(ctx context.Context, tenant, id string) (s Shown, err error) {
	var analysis, hash, raw []byte
	var said bool
	var turns int
	s.Header, err = scanHeader(r.db.QueryRowContext(ctx, showConversationSQL(r.db.Postgres()), tenant, id, transcriptPiece),
		&analysis, db.OrZero(&s.UserID), (*[]byte)(&s.Metadata), db.OrZero(&s.RecordingKey), db.OrZero(&turns), &hash, &raw, &said)
	if err != nil {
		return s, db.NotFound(err, "there is no such conversation")
	}
	s.Summary = summary(analysis)
	if turns > 0 && said {
		s.Transcript = &Transcript{db: r.db, tenant: tenant, id: id, hash: hash, piece: raw}
		return s, nil
	}
	s.Messages = &Messages{r: r, tenant: tenant, id: id, left: s.Turns}
	s.Messages.page, err = s.Messages.read(ctx, Position{At: math.MinInt64})
	return s, err
}

// Messages are a conversation's messages. They are read in pieces. Between two pieces no connection
// is held, so that a slow reader blocks nothing.
type Messages struct {
	r          *Reader
	tenant, id string
	left       int // still to come of the turns that Header counts; messages that were added since are left out
	page       Page[ExportedMessage]
}

// messagesPiece bounds how much is read at a time.
func messagesPiece() Limit { return Limit{Rows: 500, Bytes: 1 << 20} }

// All gives the messages in the order of their times. It can be called once. Errors:
// KindUnavailable and ctx's.
func (m *Messages) All(ctx context.Context) iter.Seq2[ExportedMessage, error] {
	return func(yield func(ExportedMessage, error) bool) {
		for {
			for i, message := range m.page.Rows {
				m.left--
				clear(m.page.Rows[i : i+1]) // frees what was given
				if m.left < 0 || !yield(message, nil) {
					return
				}
			}
			if m.page.Next == nil {
				return
			}
			var err error
			if m.page, err = m.read(ctx, *m.page.Next); err != nil {
				yield(ExportedMessage{}, err)
				return
			}
		}
	}
}

func (m *Messages) read(ctx context.Context, after Position) (Page[ExportedMessage], error) {
	ctx, cancel := context.WithTimeout(ctx, pieceTimeout)
	defer cancel()
	limit := messagesPiece()
	return exportPage(ctx, m.r, limit, func(rows *sql.Rows) (e ExportedMessage, at Position, size int, err error) {
		e.ConversationID = m.id
		err = rows.Scan(&e.ID, &at.At, &e.Type, (*[]byte)(&e.Body))
		at.ID, e.Time = e.ID, db.FromMicros(at.At)
		return e, at, len(e.Body), err
	}, conversationMessagesSQL, m.tenant, m.id, after.At, after.ID, limit.Rows+1)
}

func showConversationSQL(postgres bool) string {
	return `SELECT ` + headerColumns + `, c.analysis, c.user_id, c.metadata, c.recording_key, c.transcript_turns, c.line_hash,
		substr(` + rawBytes(postgres) + `, 1, CAST($3 AS INTEGER)), t.raw IS NOT NULL
	FROM conversations c LEFT JOIN agents a ON a.tenant = c.tenant AND a.id = c.agent_id
	LEFT JOIN transcripts t ON t.tenant = c.tenant AND t.conversation_id = c.id
	WHERE c.tenant = $1 AND c.id = $2 AND c.start_us IS NOT NULL`
}

const conversationMessagesSQL = `SELECT m.id, m.time_us, m.type, m.body FROM messages m
	WHERE m.tenant = $1 AND m.conversation_id = $2 AND (m.time_us, m.id) > ($3, $4) AND ` + spokenSQL + ` ORDER BY m.time_us, m.id LIMIT $5`

// RecordingKey gives the object key of a conversation's own recording; "" if it has none.
// It has the errors of Show.
func (r *Reader) RecordingKey(ctx context.Context, tenant, id string) (string, error) {
	var key sql.NullString
	err := r.db.QueryRowContext(ctx, `SELECT recording_key FROM conversations WHERE tenant = $1 AND id = $2 AND start_us IS NOT NULL`,
		tenant, id).Scan(&key)
	return key.String, db.NotFound(err, "there is no such conversation")
}

package conversations

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/db"
)

// maxExamined bounds how many rows are read for one page of a list. So filters that few rows meet
// give a short page instead of a slow one.
const maxExamined = 5000

// ListFilter selects the conversations of a list. Empty fields and zero times select all.
type ListFilter struct {
	Tenant         string
	AgentID        string
	UserID         string
	CallSuccessful string    // success, failure or unknown; unknown also selects those without a value
	From, To       time.Time // the start is in [From, To)
}

// Header is a conversation in a list. Unknown values are empty strings and zero times.
type Header struct {
	ID             string
	AgentID        string
	AgentName      string
	Status         string // if it has none: done when it has ended, else in-progress
	CallSuccessful string // success, failure or unknown
	Start, End     time.Time
	Turns          int    // in the transcript
	Summary        string // of the analysis; in lists only on request
}

// ListPage is one page of a list, newest first. Next is where the next page continues, nil
// after the last page. A page with a Next can be short or empty.
type ListPage struct {
	Rows []Header
	Next *Position
}

// outcomeSQL is the expression of the index conversations_outcome.
const outcomeSQL = `coalesce(call_successful, 'unknown')`

// spokenSQL leaves out messages m of functions and tools, which are no turns of a transcript.
const spokenSQL = `lower(m.type) NOT LIKE 'function%' AND lower(m.type) NOT LIKE 'tool%'`

// headerColumns has the turns of the transcript if somebody speaks in it, else the number of
// messages.
const headerColumns = `c.id, c.agent_id, a.name, c.status, coalesce(c.call_successful, 'unknown'), c.start_us, c.end_us,
	CASE WHEN c.transcript_turns > 0 THEN c.transcript_turns ELSE (SELECT count(*) FROM messages m
		WHERE m.tenant = c.tenant AND m.conversation_id = c.id AND ` + spokenSQL + `) END`

// List gives the page of at most limit conversations that follows before, which is nil
// for the first page. Conversations without a line of their own are in no list. Error:
// KindUnavailable.
func (r *Reader) List(ctx context.Context, f ListFilter, before *Position, limit int, summaries bool) (ListPage, error) {
	var page ListPage
	err := r.db.View(ctx, func(tx *db.Tx) error {
		keys, next, err := f.keys(ctx, tx, r.db.Postgres(), before, limit)
		if err != nil {
			return err
		}
		page.Next = next
		page.Rows, err = headers(ctx, tx, f.Tenant, keys, summaries)
		return err
	})
	return page, err
}

// walk is a query that reads along one filter's index and checks the other filters.
type walk struct {
	query string
	args  []any // $1 to $5: tenant, position, earliest start, rows
}

// walk chooses the index of the filter that fewest rows are likely to meet.
func (f ListFilter) walk(postgres bool) walk {
	w := walk{args: []any{f.Tenant, nil, nil, int64(math.MinInt64), nil}}
	if !f.From.IsZero() {
		w.args[3] = db.Micros(f.From) / perSecond
	}
	index := "conversations_start_printed"
	var conditions []string
	for _, x := range []struct{ column, value, index string }{
		{"user_id", f.UserID, "conversations_user_printed"}, {"agent_id", f.AgentID, "conversations_agent_printed"}, {outcomeSQL, f.CallSuccessful, "conversations_outcome_printed"},
	} {
		if x.value == "" {
			continue
		}
		if len(conditions) == 0 {
			index = x.index
		}
		w.args = append(w.args, x.value)
		conditions = append(conditions, fmt.Sprintf("%s = $%d", x.column, len(w.args)))
	}
	first, checks := "", "TRUE"
	if len(conditions) > 0 {
		first = " AND " + conditions[0]
	}
	if len(conditions) > 1 {
		checks = "coalesce(" + strings.Join(conditions[1:], " AND ") + ", FALSE)"
	}
	start := inUnits("start_us", perSecond)
	w.query = `SELECT ` + start + `, id, ` + checks + ` FROM ` + along(postgres, "conversations", index) + ` WHERE tenant = $1` + first +
		` AND (` + start + `, id) < ($2, $3) AND ` + start + ` >= $4 ORDER BY ` + start + ` DESC, id DESC LIMIT $5`
	return w
}

// keys finds the page's rows and the position at which the next page continues.
func (f ListFilter) keys(ctx context.Context, tx *db.Tx, postgres bool, before *Position, limit int) (keys []Position, next *Position, err error) {
	at := Position{At: math.MaxInt64}
	if !f.To.IsZero() {
		at.At = db.Micros(f.To) // with the empty id, which sorts before every row of that time
	}
	if before != nil {
		at = *before
	}
	w := f.walk(postgres)
	examined := 0
	for rows := limit + 1; ; rows = min(2*rows, maxExamined-examined) {
		w.args[1], w.args[2], w.args[4] = at.At/perSecond, at.ID, rows
		type candidate struct {
			Position
			fits bool
		}
		found, err := db.Collect(ctx, tx, func(r *sql.Rows) (x candidate, err error) {
			var units int64
			err = r.Scan(&units, &x.ID, &x.fits)
			x.At = units * perSecond
			return x, err
		}, w.query, w.args...)
		if err != nil {
			return nil, nil, err
		}
		for _, x := range found {
			if len(keys) == limit {
				return keys, &at, nil
			}
			at = x.Position
			if x.fits {
				keys = append(keys, x.Position)
			}
		}
		examined += len(found)
		switch {
		case len(found) < rows:
			return keys, nil, nil
		case examined >= maxExamined:
			return keys, &at, nil
		}
	}
}

// headers reads a page's rows, in the order of keys.
func headers(ctx context.Context, tx *db.Tx, tenant string, keys []Position, summaries bool) ([]Header, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	place := make(map[string]int, len(keys))
	args := []any{tenant}
	for i, k := range keys {
		place[k.ID] = i
		args = append(args, k.ID)
	}
	analysis := "NULL"
	if summaries {
		analysis = "c.analysis"
	}
	list, err := db.Collect(ctx, tx, func(rows *sql.Rows) (Header, error) {
		var text sql.RawBytes
		h, err := scanHeader(rows, &text)
		h.Summary = summary(text)
		return h, err
	}, headersSQL(analysis, len(keys)), args...)
	slices.SortFunc(list, func(a, b Header) int { return cmp.Compare(place[a.ID], place[b.ID]) })
	return list, err
}

func headersSQL(analysis string, n int) string {
	return `SELECT ` + headerColumns + `, ` + analysis + ` FROM conversations c LEFT JOIN agents a ON a.tenant = c.tenant AND a.id = c.agent_id
		WHERE c.tenant = $1 AND c.id IN (` + db.Parameters(2, n) + `)`
}

// scanHeader scans headerColumns and further columns after them.
func scanHeader(row interface{ Scan(...any) error }, more ...any) (h Header, err error) {
	var agent, name, status sql.NullString
	var start, end sql.NullInt64
	err = row.Scan(append([]any{&h.ID, &agent, &name, &status, &h.CallSuccessful, &start, &end, &h.Turns}, more...)...)
	h.AgentID, h.AgentName, h.Status, h.Start, h.End = agent.String, name.String, status.String, db.TimeOf(start), db.TimeOf(end)
	if h.Status == "" { // no line has a status
		h.Status = "done"
		if h.End.IsZero() {
			h.Status = "in-progress"
		}
	}
	return h, err
}

// summary gives the call_summary of an analysis; "" if there is none.
func summary(analysis []byte) string {
	var fields map[string]json.RawMessage
	var text string
	if len(analysis) == 0 || json.Unmarshal(analysis, &fields) != nil || json.Unmarshal(fields["call_summary"], &text) != nil {
		return ""
	}
	return text
}

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
		var user, metadata, key sql.NullString
		var analysis, hash, raw []byte
		var said bool
		var turns sql.NullInt64
		var err error
		s.Header, err = scanHeader(tx.QueryRowContext(ctx, showConversationSQL(r.db.Postgres()), tenant, id, transcriptPiece),
			&analysis, &user, &metadata, &key, &turns, &hash, &raw, &said)
		if err != nil {
			return db.NotFound(err, "there is no such conversation")
		}
		s.Summary, s.UserID, s.RecordingKey = summary(analysis), user.String, key.String
		if metadata.Valid {
			s.Metadata = json.RawMessage(metadata.String)
		}
		if turns.Int64 > 0 && said {
			s.Transcript = &Transcript{db: r.db, tenant: tenant, id: id, hash: hash, piece: raw}
			return nil
		}
		s.Messages, err = db.Collect(ctx, tx, func(rows *sql.Rows) (m ExportedMessage, err error) {
			var at int64
			var body []byte
			err = rows.Scan(&m.ID, &at, &m.Type, &body)
			m.Time, m.Body, m.ConversationID = db.FromMicros(at), body, id
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

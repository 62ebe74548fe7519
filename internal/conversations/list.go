package conversations

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/rawjson"
)

// maxExamined bounds how many rows are read for one page of a list. So filters that few rows meet
// give a short page instead of a slow one.
const maxExamined = 5000

// ListQuery selects the conversations of a list.
type ListQuery struct {
	Tenant   string
	Filters  Filters   // by User, Agent, Outcome
	From, To time.Time // the start is in [From, To); zero times select all
}

// Binding gives different queries different texts. A cursor that is bound to it continues no other
// list.
func (q ListQuery) Binding() string {
	q.From, q.To = q.From.UTC(), q.To.UTC()
	return fmt.Sprintf("%q", q)
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
	unread         int64  // bytes of an analysis of largeAnalysis or more, which was not read
}

// listColumns are the columns of a list's filters. The first one is likely to select the fewest
// rows.
func listColumns() []column {
	return []column{
		{User, "user_id", "conversations_user_printed"},
		{Agent, "agent_id", "conversations_agent_printed"},
		{Outcome, "coalesce(call_successful, 'unknown')", "conversations_outcome_printed"},
	}
}

// spokenSQL leaves out messages m of functions and tools, which are no turns of a transcript.
const spokenSQL = `lower(m.type) NOT LIKE 'function%' AND lower(m.type) NOT LIKE 'tool%'`

// headerColumns has the turns of the transcript if somebody speaks in it, else the number of
// messages.
const headerColumns = `c.id, c.agent_id, a.name, c.status, coalesce(c.call_successful, 'unknown'), c.start_us, c.end_us,
	CASE WHEN c.transcript_turns > 0 THEN c.transcript_turns ELSE (SELECT count(*) FROM messages m
		WHERE m.tenant = c.tenant AND m.conversation_id = c.id AND ` + spokenSQL + `) END`

// List gives the page of at most limit conversations that follows before, newest first. before is
// nil for the first page. A page with a Next can be short or empty. It ends early when its
// summaries have more than SummaryBytes. Conversations without a line of their own are in no list.
// Headers have summaries if reserve is not nil. It is told how much memory a large analysis takes,
// in bytes, before that is read. Errors: KindUnavailable, and reserve's.
func (r *Reader) List(ctx context.Context, q ListQuery, before *Position, limit int, reserve func(bytes int64) error) (Page[Header], error) {
	var page Page[Header]
	var positions []Position
	err := r.db.View(ctx, func(tx *db.Tx) error {
		keys, next, err := q.keys(ctx, tx, r.db.Postgres(), before, limit)
		if err != nil {
			return err
		}
		page.Next = next
		page.Rows, err = headers(ctx, tx, q.Tenant, keys, reserve != nil)
		positions = keys
		return err
	})
	if err == nil && reserve != nil {
		err = r.boundSummaries(ctx, q.Tenant, &page, positions, reserve)
	}
	return page, err
}

// boundSummaries reads the summaries of large analyses, and ends the page when its summaries exceed
// SummaryBytes.
func (r *Reader) boundSummaries(ctx context.Context, tenant string, page *Page[Header], keys []Position, reserve func(bytes int64) error) (err error) {
	bytes := 0
	for i := range page.Rows {
		h := &page.Rows[i]
		if h.unread > 0 {
			if err := reserve(copies * h.unread); err != nil {
				return err
			}
			if h.Summary, err = r.largeSummary(ctx, tenant, h.ID); err != nil {
				return err
			}
		}
		if bytes += len(h.Summary); bytes > SummaryBytes && i+1 < len(page.Rows) {
			page.Rows, page.Next = page.Rows[:i+1], &keys[i]
			return nil
		}
	}
	return nil
}

// largeSummary reads the summary of a large analysis, for which all of the analysis must be read.
func (r *Reader) largeSummary(ctx context.Context, tenant, id string) (string, error) {
	var analysis []byte
	err := r.db.QueryRowContext(ctx, `SELECT analysis FROM conversations WHERE tenant = $1 AND id = $2`, tenant, id).Scan(&analysis)
	if domain.KindOf(err) == domain.KindNotFound { // it was deleted meanwhile
		return "", nil
	}
	return summary(analysis), err
}

// walk gives a query that reads along one filter's index and checks the other filters. Its
// arguments $2, $3 and $5 are nil: the position and the number of rows. Error: KindInternal for a
// filter that a list does not have.
func (q ListQuery) walk(postgres bool) (query string, args []any, err error) {
	args = []any{q.Tenant, nil, nil, int64(math.MinInt64), nil}
	if !q.From.IsZero() {
		args[3] = db.Micros(q.From) / perSecond
	}
	conditions, values, index, err := q.Filters.where(listColumns(), len(args)+1)
	index = cmp.Or(index, "conversations_start_printed")
	first, checks := "", "TRUE"
	if len(conditions) > 0 {
		first = " AND " + conditions[0]
	}
	if len(conditions) > 1 {
		checks = "coalesce(" + strings.Join(conditions[1:], " AND ") + ", FALSE)"
	}
	start := inUnits("start_us", perSecond)
	return `SELECT ` + start + `, id, ` + checks + ` FROM ` + indexedBy(postgres, "conversations", index) + ` WHERE tenant = $1` + first +
		` AND ` + start + ` <= $2 AND (` + start + `, id) < ($2, $3) AND ` + start + ` >= $4 ORDER BY ` + start + ` DESC, id DESC LIMIT $5`, append(args, values...), err
}

// keys finds the page's rows and the position at which the next page continues.
func (q ListQuery) keys(ctx context.Context, tx *db.Tx, postgres bool, before *Position, limit int) (keys []Position, next *Position, err error) {
	at := Position{At: math.MaxInt64}
	if !q.To.IsZero() {
		at.At = db.Micros(q.To) // with the empty id, which sorts before every row of that time
	}
	if before != nil {
		at = *before
	}
	query, args, err := q.walk(postgres)
	if err != nil {
		return nil, nil, err
	}
	examined := 0
	for rows := limit + 1; ; rows = min(2*rows, maxExamined-examined) {
		args[1], args[2], args[4] = at.At/perSecond, at.ID, rows
		type candidate struct {
			Position
			fits bool
		}
		found, err := db.Collect(ctx, tx, func(r *sql.Rows) (x candidate, err error) {
			var units int64
			err = r.Scan(&units, &x.ID, &x.fits)
			x.At = units * perSecond
			return x, err
		}, query, args...)
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

const (
	// SummaryBytes bounds the summaries of a page. The one that exceeds it is the page's last one.
	SummaryBytes = 1 << 20
	// largeAnalysis is the size in bytes from which an analysis is read alone.
	largeAnalysis = 256 << 10
)

// headers reads a page's rows, in the order of keys. It leaves out summaries beyond SummaryBytes,
// and those of large analyses.
func headers(ctx context.Context, tx *db.Tx, tenant string, keys []Position, summaries bool) ([]Header, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	args := []any{tenant}
	for _, k := range keys {
		args = append(args, k.ID)
	}
	analysis := "NULL, 0"
	if summaries {
		analysis = analysisColumns()
	}
	bytes := 0
	return db.Collect(ctx, tx, func(rows *sql.Rows) (Header, error) {
		var text sql.RawBytes
		var unread int64
		h, err := scanHeader(rows, &text, &unread)
		if h.unread = unread; bytes <= SummaryBytes {
			h.Summary = summary(text)
			bytes += len(h.Summary)
		}
		return h, err
	}, headersSQL(analysis, len(keys)), args...)
}

// analysisColumns are the analysis, NULL when it is large, and how many bytes it has then, else 0.
func analysisColumns() string {
	return fmt.Sprintf(`CASE WHEN octet_length(c.analysis) < %d THEN c.analysis END, CASE WHEN octet_length(c.analysis) >= %[1]d THEN octet_length(c.analysis) ELSE 0 END`, largeAnalysis)
}

// headersSQL reads headers in the order of a list.
func headersSQL(analysis string, n int) string {
	start := inUnits("c.start_us", perSecond)
	return `SELECT ` + headerColumns + `, ` + analysis + ` FROM conversations c LEFT JOIN agents a ON a.tenant = c.tenant AND a.id = c.agent_id
		WHERE c.tenant = $1 AND c.id IN (` + db.Parameters(2, n) + `) ORDER BY ` + start + ` DESC, c.id DESC`
}

// scanHeader scans headerColumns and further columns after them.
func scanHeader(row interface{ Scan(...any) error }, more ...any) (h Header, err error) {
	err = row.Scan(append([]any{&h.ID, db.OrZero(&h.AgentID), db.OrZero(&h.AgentName), db.OrZero(&h.Status), &h.CallSuccessful,
		db.Time(&h.Start), db.Time(&h.End), &h.Turns}, more...)...)
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
	var text string
	for m, err := range rawjson.Members(analysis) {
		if err != nil || m.Is("call_summary") && json.Unmarshal(m.Value, &text) != nil {
			return ""
		}
	}
	return text
}

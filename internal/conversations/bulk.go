package conversations

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// maxBots bounds how many bots of an export may have the same name, because each one costs a query
// of its own.
const maxBots = 100

// typeUserInput is the type of messages that users wrote.
const typeUserInput = "UserInput"

// Bots gives the ids of the tenant's agents that have this id or name, sorted. An agent that only
// conversations name is found by its id. Errors: KindNotFound when there is none, KindInvalid when
// there are too many.
func (r *Reader) Bots(ctx context.Context, tenant, name string) ([]string, error) {
	ids, err := db.Collect(ctx, r.db, db.Value[string], botsSQL(r.db.Postgres()), tenant, name, maxBots+1)
	switch {
	case err != nil:
		return nil, err
	case len(ids) == 0:
		return nil, domain.Errorf(domain.KindNotFound, "there is no such bot")
	case len(ids) > maxBots:
		return nil, domain.Errorf(domain.KindInvalid, "bot_name is shared by more than %d bots; use an id", maxBots)
	}
	return ids, nil
}

func botsSQL(postgres bool) string {
	return `SELECT id FROM agents WHERE tenant = $1 AND id = $2
	UNION SELECT id FROM (SELECT id FROM agents WHERE tenant = $1 AND name = $2 LIMIT $3) n
	UNION SELECT agent_id FROM (SELECT c.agent_id FROM ` + indexedBy(postgres, "conversations", "conversations_agent_printed") + `
		WHERE c.tenant = $1 AND c.agent_id = $2 ORDER BY c.start_us / 1000000, c.id LIMIT 1) k ORDER BY id`
}

// BulkQuery selects the rows of a bulk export.
type BulkQuery struct {
	Tenant   string
	Bot      string // its name or id
	Filters  Filters
	From, To time.Time // the time is in [From, To)
}

// Binding gives different queries different texts. A cursor that is bound to it continues no other
// export.
func (q BulkQuery) Binding() string {
	q.From, q.To = q.From.UTC(), q.To.UTC()
	return fmt.Sprintf("%q", q)
}

// AgentQuery is a query with the agents that its bot names.
type AgentQuery struct {
	BulkQuery
	Agents []string // sorted, at least one
}

// Limit bounds one page: its rows, and their bytes. The row that exceeds the bytes is the
// page's last one, so that a page with a large row is not empty.
type Limit struct {
	Rows  int
	Bytes int
}

// Page is one page of an export or a list. Next is where the next page continues, nil after the
// last page. Bytes is the size of the rows' texts; a list has none.
type Page[T any] struct {
	Rows  []T
	Next  *Position
	Bytes int
}

// ExportedConversation is a conversation of the bulk export.
type ExportedConversation struct {
	ID           string
	Start        time.Time // exact to the printed unit
	Locale       *string
	Metadata     json.RawMessage // object; nil when unknown
	Tags         json.RawMessage // array of strings; nil when unknown
	UserMessages int
	LastAction   time.Time // zero when unknown
	// Unread is how much memory ReadValues takes for Metadata and Tags, in bytes. It is 0 unless
	// they are too large to be read with other rows.
	Unread int64
}

// ExportedMessage is a message of an export. Body is the line that was taken in.
type ExportedMessage struct {
	ID             string
	Time           time.Time // exact to the printed unit
	Type           string
	ConversationID string
	Body           json.RawMessage
}

// source is a table that is exported.
type source struct {
	table   string
	at      string // its column of the time
	unit    int64  // in which the time is printed, in microseconds
	columns string
	filters []column // an index is only of a filter whose rows all have one agent
}

func conversationSource() source {
	return source{table: "conversations", at: "start_us", unit: perSecond, columns: exportConversationColumns}
}

func messageSource() source {
	return source{table: "messages", at: "time_us", unit: perMillisecond, columns: exportMessageColumns,
		filters: []column{{Conversation, "c.conversation_id", "messages_conversation_printed"}}}
}

// A conversation whose values have more than largeValues bytes is read without them, because its
// client may take hours to read the rows with which it would be in memory.
const (
	largeValues               = "1048576"
	valuesSize                = `(coalesce(octet_length(c.metadata), 0) + coalesce(octet_length(c.tags), 0))`
	unlessLarge               = `CASE WHEN ` + valuesSize + ` <= ` + largeValues + ` THEN `
	exportConversationColumns = `c.locale, ` + unlessLarge + `c.metadata END, ` + unlessLarge + `c.tags END, ` + unlessLarge + `0 ELSE ` + valuesSize + ` END, c.last_action_us,
	(SELECT count(*) FROM messages m WHERE m.tenant = c.tenant AND m.conversation_id = c.id AND m.type = '` + typeUserInput + `')`
)

const exportMessageColumns = `c.type, c.conversation_id, c.body`

// ExportConversations gives the page of conversations that follows after, in the order of the
// printed time and the id. after is nil for the first page. All pages cost the same. Error:
// KindUnavailable.
func (r *Reader) ExportConversations(ctx context.Context, w AgentQuery, after *Position, limit Limit) (Page[ExportedConversation], error) {
	query, args, err := w.query(r.db.Postgres(), conversationSource(), after, limit.Rows+1)
	if err != nil {
		return Page[ExportedConversation]{}, err
	}
	return exportPage(ctx, r, limit, func(rows *sql.Rows) (e ExportedConversation, at Position, size int, err error) {
		var units int64
		err = rows.Scan(&e.ID, &units, &e.Locale, (*[]byte)(&e.Metadata), (*[]byte)(&e.Tags), &e.Unread, db.Time(&e.LastAction), &e.UserMessages)
		e.Unread *= copies
		at = Position{units * perSecond, e.ID}
		e.Start = db.FromMicros(at.At)
		return e, at, len(e.Metadata) + len(e.Tags), err
	}, query, args...)
}

// ReadValues reads what is Unread of a conversation. Errors: KindNotFound when it was deleted
// meanwhile, KindUnavailable.
func (r *Reader) ReadValues(ctx context.Context, tenant string, e *ExportedConversation) error {
	err := r.db.QueryRowContext(ctx, `SELECT metadata, tags FROM conversations WHERE tenant = $1 AND id = $2`, tenant, e.ID).
		Scan((*[]byte)(&e.Metadata), (*[]byte)(&e.Tags))
	e.Unread = 0
	return db.NotFound(err, "the conversation does not exist any more")
}

// ExportMessages is ExportConversations for messages.
func (r *Reader) ExportMessages(ctx context.Context, w AgentQuery, after *Position, limit Limit) (Page[ExportedMessage], error) {
	if id, given := w.Filters[Conversation]; given {
		known, err := r.conversationOf(ctx, w, id)
		if err != nil || !known {
			return Page[ExportedMessage]{}, err
		}
	}
	query, args, err := w.query(r.db.Postgres(), messageSource(), after, limit.Rows+1)
	if err != nil {
		return Page[ExportedMessage]{}, err
	}
	page, err := exportPage(ctx, r, limit, func(rows *sql.Rows) (e ExportedMessage, at Position, size int, err error) {
		var units int64
		err = rows.Scan(&e.ID, &units, &e.Type, &e.ConversationID, (*[]byte)(&e.Body))
		at = Position{units * perMillisecond, e.ID}
		e.Time = db.FromMicros(at.At)
		return e, at, len(e.Body), err
	}, query, args...)
	if err != nil {
		return page, err
	}
	// A conversation that has ended may have messages that are not removed yet. The ended ones are
	// read after the page, so that no page has half of such messages.
	ended, err := db.Collect(ctx, r.db, db.Value[string], `SELECT conversation_id FROM endings WHERE tenant = $1`, w.Tenant)
	if len(ended) > 0 {
		page.Rows = slices.DeleteFunc(page.Rows, func(m ExportedMessage) bool { return slices.Contains(ended, m.ConversationID) })
	}
	return page, err
}

// conversationOf says whether a conversation has one of the query's agents. All messages of a
// conversation have its agent, so they need not be checked one by one.
func (r *Reader) conversationOf(ctx context.Context, w AgentQuery, id string) (bool, error) {
	var one int
	err := r.db.QueryRowContext(ctx, `SELECT count(*) FROM conversations WHERE tenant = $1 AND id = $2 AND agent_id IN (`+
		db.Parameters(3, len(w.Agents))+`)`, append([]any{w.Tenant, id}, db.Texts(w.Agents)...)...).Scan(&one)
	return one > 0, err
}

// query gives the text and the arguments of one page's query. Its rows are the id, the time in
// units, and columns. The lower bound of the first page is a row value too: no id is empty, so
// (from, "") comes before every row of the time span.
func (w AgentQuery) query(postgres bool, from source, after *Position, limit int) (query string, args []any, err error) {
	start := Position{At: db.Micros(w.From)}
	if after != nil {
		start = *after
	}
	args = []any{w.Tenant, start.At / from.unit, start.ID, db.Micros(w.To) / from.unit, limit}
	conditions, values, index, err := w.Filters.where(from.filters, len(args)+1)
	if err != nil {
		return "", nil, err
	}
	args = append(args, values...)
	arm := func(index string, conditions ...string) string {
		return fmt.Sprintf(`SELECT c.id, %[3]s, %[1]s FROM %[2]s WHERE c.tenant = $1 AND %[4]s AND %[3]s >= $2 AND (%[3]s, c.id) > ($2, $3) AND %[3]s < $4
			ORDER BY %[3]s, c.id LIMIT $5`, from.columns, indexedBy(postgres, from.table, index), inUnits("c."+from.at, from.unit), strings.Join(conditions, " AND "))
	}
	if index != "" {
		return arm(index, conditions...), args, nil
	}
	arms := make([]string, 0, len(w.Agents))
	for _, agent := range w.Agents {
		args = append(args, agent)
		arms = append(arms, arm(from.table+"_agent_printed", append(conditions, fmt.Sprintf("c.agent_id = $%d", len(args)))...))
	}
	if len(arms) == 1 {
		return arms[0], args, nil
	}
	for i := range arms { // for bots with the same name: the first rows of all of them, merged
		arms[i] = fmt.Sprintf("SELECT * FROM (%s) a%d", arms[i], i)
	}
	return strings.Join(arms, " UNION ALL ") + " ORDER BY 2, 1 LIMIT $5", args, nil
}

// exportPage runs a query for one row more than a page has, and stops when the page has enough
// bytes.
func exportPage[T any](ctx context.Context, r *Reader, limit Limit,
	scan func(*sql.Rows) (row T, at Position, size int, err error), query string, args ...any) (Page[T], error) {
	page := Page[T]{Rows: make([]T, 0, min(limit.Rows, 1000))}
	var last Position
	err := db.ScanUntil(ctx, r.db, func(rows *sql.Rows) (bool, error) {
		if len(page.Rows) == limit.Rows || page.Bytes > limit.Bytes { // there is one more row
			page.Next = &last
			return len(page.Rows) < limit.Rows, nil
		}
		row, at, size, err := scan(rows)
		if err != nil {
			return false, err
		}
		page.Rows, last = append(page.Rows, row), at
		page.Bytes += size
		return false, nil
	}, query, args...)
	if err != nil {
		return Page[T]{}, err
	}
	return page, nil
}

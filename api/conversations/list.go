package conversations

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/conversations"
	"github.com/callvault/callvault/internal/domain"
)

const (
	defaultPageSize = 30
	maxPageSize     = 100
)

// query is the parameters of a list.
type query struct {
	conversations.ListQuery
	summaries bool
	size      int
	before    *conversations.Position
	binding   string // of its cursors: the tenant and all filters
}

// filter is a parameter that narrows the list.
type filter struct {
	name  string
	field conversations.Field
	words []string // the values that it takes; nil for any
}

func filters() []filter {
	return []filter{
		{"agent_id", conversations.Agent, nil},
		{"user_id", conversations.User, nil},
		{"call_successful", conversations.Outcome, []string{"success", "failure", "unknown"}},
	}
}

// parser reads parameters and keeps the first error.
type parser struct {
	values web.Query
	fault  *invalidParam
}

// parse reads the query. On the path without /v1/convai, parameters other than names are refused.
func (req request) parse(r *http.Request, names ...string) (p parser) {
	values, name, malformed := web.ParseExportQuery(r.URL.RawQuery)
	p.values = values
	p.check(name, typeUnknown, malformed)
	if !req.convai {
		p.check("", typeUnknown, values.Only(names...))
	}
	return p
}

func (p *parser) check(name, kind string, err error) {
	if p.fault == nil && err != nil {
		p.fault = &invalidParam{"query", name, kind, domain.SafeMessage(err)}
	}
}

func (p *parser) err() error {
	if p.fault == nil {
		return nil
	}
	return p.fault
}

// text reads a parameter, which must not be empty.
func (p *parser) text(name string, maxBytes int) (string, bool) {
	value, given, err := p.values.NonEmpty(name, maxBytes)
	p.check(name, typeText, err)
	return value, given && err == nil
}

// oneOf reads a parameter that is one of the words, or any id without them; "" when it is absent.
func (p *parser) oneOf(name string, words ...string) string {
	if len(words) == 0 {
		value, _ := p.text(name, domain.MaxIDBytes)
		return value
	}
	value, given := p.text(name, 64)
	if given && !slices.Contains(words, value) {
		p.check(name, typeChoice, domain.Errorf(domain.KindInvalid, "%s must be one of %s", name, strings.Join(words, ", ")))
	}
	return value
}

func (p *parser) int(name string, lowest, highest int64) (int64, bool) {
	n, given, err := p.values.Int(name, lowest, highest)
	p.check(name, typeInt, err)
	return n, given
}

func (p *parser) time(name string) time.Time {
	n, given := p.int(name, 0, web.MaxTime)
	if !given {
		return time.Time{}
	}
	return time.Unix(n, 0)
}

// read reads the parameters. Errors: *invalidParam, KindUnavailable.
func (h *handler) read(ctx context.Context, r *http.Request, req request) (q query, err error) {
	known := []string{"call_start_after_unix", "call_start_before_unix", "summary_mode", "page_size", "cursor"}
	for _, f := range filters() {
		known = append(known, f.name)
	}
	p := req.parse(r, known...)
	q.ListQuery = conversations.ListQuery{Tenant: req.tenant, Filters: conversations.Filters{},
		From: p.time("call_start_after_unix"), To: p.time("call_start_before_unix")}
	for _, f := range filters() {
		value := p.oneOf(f.name, f.words...)
		if value != "" {
			q.Filters[f.field] = value
		}
	}
	q.summaries = p.oneOf("summary_mode", "exclude", "include") == "include"
	q.size = defaultPageSize
	if n, given := p.int("page_size", 1, maxPageSize); given {
		q.size = int(n)
	}
	q.binding = "conversations " + q.Binding()
	cursor, wrong := p.values.Cursor()
	p.check("cursor", typeText, wrong)
	if cursor == "" || p.fault != nil {
		return q, p.err()
	}
	at, err := web.OpenCursor[conversations.Position](ctx, h.deps.Cursors, q.binding, cursor)
	if domain.KindOf(err) == domain.KindInvalid {
		p.check("cursor", typeCursor, err)
		return q, p.err()
	}
	q.before = &at
	return q, web.Step("open the cursor", err)
}

// item is a conversation in a list.
type item struct {
	ConversationID    string  `json:"conversation_id"`
	AgentID           string  `json:"agent_id"`
	AgentName         *string `json:"agent_name"`
	Status            string  `json:"status"`
	CreatedAt         string  `json:"created_at"`
	StartTimeUnixSecs int64   `json:"start_time_unix_secs"`
	CallDurationSecs  int64   `json:"call_duration_secs"`
	MessageCount      int     `json:"message_count"`
	CallSuccessful    string  `json:"call_successful"`
	TranscriptSummary *string `json:"transcript_summary,omitempty"`
}

func listItem(h conversations.Header) item {
	i := item{ConversationID: h.ID, AgentID: h.AgentID, AgentName: web.TextOrNull(h.AgentName), Status: h.Status, CreatedAt: web.Time(h.Start), StartTimeUnixSecs: h.Start.Unix(),
		MessageCount: h.Turns, CallSuccessful: h.CallSuccessful}
	if h.End.After(h.Start) {
		i.CallDurationSecs = (h.End.UnixMicro() - h.Start.UnixMicro()) / 1e6 // a time.Duration holds only 292 years
	}
	return i
}

// answer is one page. The cursor has two names, for the clients of both dialects.
type answer struct {
	Conversations []item  `json:"conversations"`
	HasMore       bool    `json:"has_more"`
	Cursor        *string `json:"cursor"`
	NextCursor    *string `json:"next_cursor"`
}

// list is GET /conversations.
func (h *handler) list(ctx context.Context, w http.ResponseWriter, r *http.Request, req request) error {
	q, err := h.read(ctx, r, req)
	if err != nil {
		return err
	}
	var reserve func(bytes int64) error
	if q.summaries {
		hold, err := h.deps.Budget.Acquire(req.tenant, req.actor, 2*conversations.SummaryBytes) // as text and as JSON
		if err != nil {
			return web.Step("reserve memory", err)
		}
		defer hold.Release()
		w = hold.Writer(w)
		reserve = func(bytes int64) error { return hold.Resize(2*conversations.SummaryBytes + bytes) }
	}
	page, err := h.deps.Conversations.List(ctx, q.ListQuery, q.before, q.size, reserve)
	if err != nil {
		return web.Step("list conversations", err)
	}
	out := answer{Conversations: make([]item, 0, len(page.Rows))}
	for _, row := range page.Rows {
		listed := listItem(row)
		if q.summaries {
			listed.TranscriptSummary = &row.Summary
		}
		out.Conversations = append(out.Conversations, listed)
	}
	if page.Next != nil {
		cursor, err := web.SignCursor(ctx, h.deps.Cursors, q.binding, *page.Next)
		if err != nil {
			return web.Step("sign the cursor", err)
		}
		out.HasMore, out.Cursor, out.NextCursor = true, &cursor, &cursor
	}
	web.JSON(w, r, http.StatusOK, out)
	return nil
}

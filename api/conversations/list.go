package conversations

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

const (
	defaultPageSize = 30
	maxPageSize     = 100
	maxTime         = 253402300800 // the end of the year 9999, in Unix seconds
)

// query is what a list is asked for.
type query struct {
	filter    catalog.ConversationFilter
	summaries bool
	size      int
	before    *catalog.Position
	about     string // what its cursors are bound to
}

// parser reads the parameters and keeps the first that is wrong.
type parser struct {
	values web.Query
	name   string // of the wrong one
	kind   string // of its fault
	err    error
}

// parse reads the query. Under /conversations it may hold no parameters but those named.
func (c *call) parse(names ...string) (p parser) {
	values, name, malformed := web.ParseExportQuery(c.r.URL.RawQuery)
	p.values = values
	p.fault(name, typeUnknown, malformed)
	if !c.convai {
		p.fault("", typeUnknown, values.Only(names...))
	}
	return p
}

func (p *parser) fault(name, kind string, err error) {
	if p.err == nil && err != nil {
		p.name, p.kind, p.err = name, kind, err
	}
}

// text reads a parameter that is not empty where it is given.
func (p *parser) text(name string, longest int) (string, bool) {
	value, given, err := p.values.Text(name, longest)
	if err == nil && given && value == "" {
		err = domain.Errorf(domain.KindInvalid, "%s must not be empty", name)
	}
	p.fault(name, typeText, err)
	return value, given && err == nil
}

func (p *parser) oneOf(name string, words ...string) string {
	value, given := p.text(name, 64)
	if given && !slices.Contains(words, value) {
		p.fault(name, typeChoice, domain.Errorf(domain.KindInvalid, "%s must be one of %s", name, strings.Join(words, ", ")))
	}
	return value
}

func (p *parser) whole(name string, least, most int64) (int64, bool) {
	n, given, err := p.values.Int(name, least, most)
	p.fault(name, typeWhole, err)
	return n, given
}

func (p *parser) time(name string) time.Time {
	n, given := p.whole(name, 0, maxTime)
	if !given {
		return time.Time{}
	}
	return time.Unix(n, 0)
}

// read reads the parameters. The error is KindUnavailable; what is wrong with them stands in the parser.
func (h *handler) read(ctx context.Context, c *call) (q query, p parser, err error) {
	p = c.parse("agent_id", "call_successful", "call_start_after_unix", "call_start_before_unix", "user_id", "summary_mode", "page_size", "cursor")
	q.filter = catalog.ConversationFilter{Tenant: c.tenant, From: p.time("call_start_after_unix"), To: p.time("call_start_before_unix")}
	q.filter.AgentID, _ = p.text("agent_id", domain.MaxIDBytes)
	q.filter.UserID, _ = p.text("user_id", domain.MaxIDBytes)
	q.filter.CallSuccessful = p.oneOf("call_successful", "success", "failure", "unknown")
	q.summaries = p.oneOf("summary_mode", "exclude", "include") == "include"
	q.size = defaultPageSize
	if n, given := p.whole("page_size", 1, maxPageSize); given {
		q.size = int(n)
	}
	q.about = about(q.filter)
	cursor, wrong := p.values.Cursor()
	p.fault("cursor", typeText, wrong)
	if cursor != "" && p.err == nil {
		at, wrong := web.OpenCursor[catalog.Position](ctx, h.deps.Cursors, q.about, cursor)
		if domain.KindOf(wrong) == domain.KindInvalid {
			p.fault("cursor", typeCursor, wrong)
		} else {
			err = wrong
		}
		q.before = &at
	}
	return q, p, err
}

// about names what a cursor belongs to: it continues this walk and no other, of whatever page size.
func about(f catalog.ConversationFilter) string {
	unix := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return strconv.FormatInt(t.Unix(), 10)
	}
	return fmt.Sprintf("%q", []string{"conversations", f.Tenant, f.AgentID, f.UserID, f.CallSuccessful, unix(f.From), unix(f.To)})
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

func showItem(h catalog.ConversationHeader) item {
	i := item{ConversationID: h.ID, AgentID: h.AgentID, Status: h.Status, CreatedAt: web.Time(h.Start), StartTimeUnixSecs: h.Start.Unix(),
		MessageCount: h.Turns, CallSuccessful: h.CallSuccessful}
	if h.AgentName != "" {
		i.AgentName = &h.AgentName
	}
	if h.End.After(h.Start) {
		i.CallDurationSecs = (h.End.UnixMicro() - h.Start.UnixMicro()) / 1e6 // a time.Duration ends after 292 years
	}
	return i
}

// answer is one page. Clients of either dialect find the cursor under their own name.
type answer struct {
	Conversations []item  `json:"conversations"`
	HasMore       bool    `json:"has_more"`
	Cursor        *string `json:"cursor"`
	NextCursor    *string `json:"next_cursor"`
}

// list is GET /conversations.
func (h *handler) list(ctx context.Context, c *call) {
	q, p, err := h.read(ctx, c)
	switch {
	case err != nil:
		h.broken(c, "open the cursor", err)
		return
	case p.err != nil:
		c.invalid("query", p.name, domain.SafeMessage(p.err), p.kind)
		return
	}
	page, err := h.deps.Catalog.ListConversations(ctx, q.filter, q.before, q.size, q.summaries)
	if err != nil {
		h.broken(c, "list conversations", err)
		return
	}
	out := answer{Conversations: make([]item, 0, len(page.Rows))}
	for _, row := range page.Rows {
		shown := showItem(row)
		if q.summaries {
			shown.TranscriptSummary = &row.Summary
		}
		out.Conversations = append(out.Conversations, shown)
	}
	if page.Next != nil {
		cursor, err := web.SealCursor(ctx, h.deps.Cursors, q.about, *page.Next)
		if err != nil {
			h.broken(c, "seal the cursor", err)
			return
		}
		out.HasMore, out.Cursor, out.NextCursor = true, &cursor, &cursor
	}
	web.JSON(c.w, c.r, http.StatusOK, out)
}

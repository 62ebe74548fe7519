package bulk

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/conversations"
	"github.com/callvault/callvault/internal/domain"
)

const (
	maxPerPage = 1000
	maxTime    = 253402300800 // the end of the year 9999, in Unix seconds
)

// request is what the parameters ask for.
type request struct {
	start, end   int64 // Unix seconds
	bot          string
	conversation string
	perPage      int
	paged        bool // per_page or cursor was given
	after        *conversations.Position
	about        string // binds its cursors
}

// read reads the parameters. Errors: KindInvalid, which names the parameter, and KindUnavailable.
func (h *handler) read(ctx context.Context, tenant, endpoint, raw string, byConversation bool) (q request, err error) {
	query, _, err := web.ParseExportQuery(raw)
	if err != nil {
		return q, err
	}
	known := []string{"start_time", "end_time", "bot_name", "per_page", "cursor"}
	if byConversation {
		known = append(known, "conversation_id")
	}
	if err := query.Only(known...); err != nil {
		return q, err
	}
	if q.start, err = required(query, "start_time"); err != nil {
		return q, err
	}
	if q.end, err = required(query, "end_time"); err != nil {
		return q, err
	}
	if q.end <= q.start {
		return q, domain.Errorf(domain.KindInvalid, "end_time must be later than start_time")
	}
	var given bool
	if q.bot, given, err = query.Text("bot_name", domain.MaxIDBytes); err == nil && q.bot == "" {
		err = missing("bot_name", given)
	}
	if err == nil && byConversation {
		if q.conversation, given, err = query.Text("conversation_id", domain.MaxIDBytes); err == nil && given && q.conversation == "" {
			err = missing("conversation_id", given)
		}
	}
	if err != nil {
		return q, err
	}
	q.about = about(tenant, endpoint, q)
	err = h.readPage(ctx, query, &q)
	return q, err
}

// readPage reads per_page and cursor.
func (h *handler) readPage(ctx context.Context, query web.Query, q *request) error {
	q.perPage = maxPerPage
	n, given, err := query.Int("per_page", 1, maxPerPage)
	if err != nil {
		return err
	}
	if given {
		q.perPage, q.paged = int(n), true
	}
	cursor, err := query.Cursor()
	if err != nil || cursor == "" {
		return err
	}
	at, err := web.OpenCursor[conversations.Position](ctx, h.deps.Cursors, q.about, cursor)
	q.after, q.paged = &at, true
	return err
}

func required(query web.Query, name string) (int64, error) {
	n, given, err := query.Int(name, 0, maxTime)
	if err == nil && !given {
		err = missing(name, false)
	}
	return n, err
}

func missing(name string, given bool) error {
	if given {
		return domain.Errorf(domain.KindInvalid, "%s must not be empty", name)
	}
	return domain.Errorf(domain.KindInvalid, "%s is missing", name)
}

// about binds a cursor to the tenant, the endpoint and all filters.
func about(tenant, endpoint string, q request) string {
	return fmt.Sprintf("%q", []string{"bulk", endpoint, tenant, q.bot, q.conversation, strconv.FormatInt(q.start, 10), strconv.FormatInt(q.end, 10)})
}

func (q request) window(tenant string, agents []string) conversations.Window {
	return conversations.Window{Tenant: tenant, Agents: agents, From: time.Unix(q.start, 0), To: time.Unix(q.end, 0), Conversation: q.conversation}
}

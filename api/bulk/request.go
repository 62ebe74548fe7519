package bulk

import (
	"context"
	"time"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/conversations"
	"github.com/callvault/callvault/internal/domain"
)

const maxPerPage = 1000

// request is what the parameters ask for.
type request struct {
	conversations.BulkQuery
	perPage int
	paged   bool // per_page or cursor was given
	after   *conversations.Position
	binding string // of its cursors: the endpoint, the tenant and all filters
}

// filter is a parameter of an endpoint that narrows its query.
type filter struct {
	name  string
	field conversations.Field
}

// read reads the parameters. Errors: KindInvalid, which names the parameter, and KindUnavailable.
func (h *handler) read(ctx context.Context, tenant, endpoint, raw string, filters []filter) (q request, err error) {
	query, _, err := web.ParseExportQuery(raw)
	if err != nil {
		return q, err
	}
	known := []string{"start_time", "end_time", "bot_name", "per_page", "cursor"}
	for _, f := range filters {
		known = append(known, f.name)
	}
	if err := query.Only(known...); err != nil {
		return q, err
	}
	q.BulkQuery = conversations.BulkQuery{Tenant: tenant, Filters: conversations.Filters{}}
	if q.From, err = requiredTime(query, "start_time"); err != nil {
		return q, err
	}
	if q.To, err = requiredTime(query, "end_time"); err != nil {
		return q, err
	}
	if !q.From.Before(q.To) {
		return q, domain.Errorf(domain.KindInvalid, "end_time must be later than start_time")
	}
	var given bool
	if q.Bot, given, err = query.NonEmpty("bot_name", domain.MaxIDBytes); err == nil && !given {
		err = missing("bot_name")
	}
	if err != nil {
		return q, err
	}
	for _, f := range filters {
		value, given, err := query.NonEmpty(f.name, domain.MaxIDBytes)
		if err != nil {
			return q, err
		}
		if given {
			q.Filters[f.field] = value
		}
	}
	q.binding = "bulk " + endpoint + " " + q.Binding()
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
	at, err := web.OpenCursor[conversations.Position](ctx, h.deps.Cursors, q.binding, cursor)
	q.after, q.paged = &at, true
	return err
}

func requiredTime(query web.Query, name string) (time.Time, error) {
	n, given, err := query.Int(name, 0, web.MaxTime)
	if err == nil && !given {
		err = missing(name)
	}
	return time.Unix(n, 0), err
}

func missing(name string) error { return domain.Errorf(domain.KindInvalid, "%s is missing", name) }

package bulk

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/conversations"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/rawjson"
	"github.com/callvault/callvault/internal/telemetry"
)

// A stream reads so much at a time, which bounds its memory.
const (
	streamRows  = 1000
	streamBytes = 1 << 20
)

// maxPrealloc bounds the memory that a page allocates in advance, in bytes.
const maxPrealloc = 1 << 20

// endpoint is conversations or messages: where its rows come from, and their JSON.
type endpoint[T any] struct {
	name      string
	filters   []filter
	page      func(ctx context.Context, q conversations.AgentQuery, after *conversations.Position, limit conversations.Limit) (conversations.Page[T], error)
	appendRow func(to []byte, row T) ([]byte, error)
}

// serve gives the function that answers an endpoint's requests.
func serve[T any](h *handler, e endpoint[T]) func(w http.ResponseWriter, r *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), h.cfg.CatalogTimeout)
		defer cancel()
		key, err := h.admit(ctx, w, r, e.name)
		if err != nil {
			return err
		}
		q, err := h.read(ctx, key.Tenant, e.name, r.URL.RawQuery, e.filters)
		if err != nil {
			return err
		}
		stream := web.WantsNDJSON(r)
		if stream && q.paged {
			return domain.Errorf(domain.KindInvalid, "a stream has no pages: neither per_page nor cursor goes with %s", web.NDJSON)
		}
		agents, err := h.deps.Conversations.Bots(ctx, key.Tenant, q.Bot)
		if err != nil {
			return err
		}
		if err := h.audit(ctx, r, key, e.name, q, stream); err != nil {
			return web.Step("write the audit log", err)
		}
		query := conversations.AgentQuery{BulkQuery: q.BulkQuery, Agents: agents}
		if stream {
			return serveStream(h, e, w, r, query)
		}
		return servePage(ctx, h, e, w, r, q, query)
	}
}

func servePage[T any](ctx context.Context, h *handler, e endpoint[T], w http.ResponseWriter, r *http.Request, q request, query conversations.AgentQuery) error {
	if r.Method == http.MethodHead { // without a body there is no need to read rows
		w.Header().Set("Content-Type", "application/json")
		return nil
	}
	page, err := e.page(ctx, query, q.after, conversations.Limit{Rows: q.perPage, Bytes: h.cfg.PageBytes})
	if err != nil {
		return err
	}
	var cursor string
	if page.Next != nil {
		if cursor, err = web.SignCursor(ctx, h.deps.Cursors, q.binding, *page.Next); err != nil {
			return web.Step("sign the cursor", err)
		}
	}
	text, err := pageJSON(e, page.Rows, cursor)
	if err != nil {
		return web.Step("show a row", err)
	}
	web.JSONText(w, r, http.StatusOK, text)
	return nil
}

// pageJSON writes a page without encoding/json: the rows are many, and mostly JSON already. An
// empty cursor is null.
func pageJSON[T any](e endpoint[T], rows []T, cursor string) ([]byte, error) {
	text := []byte(`{"data":[`)
	var err error
	for i, row := range rows {
		if i > 0 {
			text = append(text, ',')
		}
		before := len(text)
		if text, err = e.appendRow(text, row); err != nil {
			return nil, err
		}
		if i == 0 { // the other rows are likely of the same size
			text = slices.Grow(text, min(len(rows)*(len(text)-before+1)*5/4, maxPrealloc))
		}
	}
	text = append(text, `],"cursor":`...)
	if cursor == "" {
		text = append(text, "null"...)
	} else {
		text = rawjson.AppendString(text, cursor)
	}
	return append(text, "}\n"...), nil
}

// serveStream sends all rows of a query, one record a line. It reads the next rows, by a short
// statement, when the client has received the last ones. So a slow client holds neither a
// connection to the catalog nor an old snapshot in it.
func serveStream[T any](h *handler, e endpoint[T], w http.ResponseWriter, r *http.Request, query conversations.AgentQuery) error {
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", web.NDJSON)
		return nil
	}
	s := &streamer[T]{h: h, e: e, query: query, rows: streamRows / 10}
	page, err := s.read(r.Context(), nil)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", web.NDJSON)
	if err := s.send(r.Context(), web.NewStream(w), page); err != nil {
		h.deps.Log.Warn("a stream broke off", zap.String("endpoint", e.name), telemetry.In(r.Context()), zap.Error(err))
		web.Abort()
	}
	return nil
}

// streamer sends the rows of a query.
type streamer[T any] struct {
	h     *handler
	e     endpoint[T]
	query conversations.AgentQuery
	rows  int // of the next page
}

func (s *streamer[T]) read(ctx context.Context, after *conversations.Position) (conversations.Page[T], error) {
	ctx, cancel := context.WithTimeout(ctx, s.h.cfg.CatalogTimeout)
	defer cancel()
	return s.e.page(ctx, s.query, after, conversations.Limit{Rows: s.rows, Bytes: 2 * streamBytes})
}

func (s *streamer[T]) send(ctx context.Context, out *web.Stream, page conversations.Page[T]) error {
	for {
		sent := 0
		for i, row := range page.Rows {
			n, err := out.Append(func(to []byte) ([]byte, error) {
				to, err := s.e.appendRow(to, row)
				return append(to, '\n'), err
			})
			if err != nil {
				return fmt.Errorf("send a row: %w", err)
			}
			sent += n
			clear(page.Rows[i : i+1]) // frees what was sent
		}
		if err := out.Flush(); err != nil || page.Next == nil {
			return err
		}
		// Read as many rows as will likely fit: a page that its bytes end early costs more.
		s.rows = min(max(streamBytes*len(page.Rows)/max(sent, 1), 1), streamRows)
		var err error
		if page, err = s.read(ctx, page.Next); err != nil {
			return fmt.Errorf("read on: %w", err)
		}
	}
}

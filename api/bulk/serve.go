package bulk

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/conversations"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/rawjson"
	"github.com/callvault/callvault/internal/telemetry"
)

const (
	// readBytes is how many bytes of rows are read at a time, which bounds an answer's memory.
	readBytes = 2 << 20
	// firstRows is how many rows a stream reads first, while it does not know how large they are.
	firstRows = 100
)

// endpoint is conversations or messages: where its rows come from, and their JSON.
type endpoint[T any] struct {
	name      string
	filters   []filter
	page      func(ctx context.Context, q conversations.AgentQuery, after *conversations.Position, limit conversations.Limit) (conversations.Page[T], error)
	appendRow func(to []byte, row T) ([]byte, error)
	// unread is how much memory readValues takes for a row, in bytes; 0 for a row that is complete.
	unread     func(row T) int64
	readValues func(ctx context.Context, tenant string, row *T) error
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
			return serveStream(h, e, w, r, key.ID, query)
		}
		return servePage(h, e, w, r, key.ID, q, query)
	}
}

// servePage sends one page, which ends with a cursor if there are more rows.
func servePage[T any](h *handler, e endpoint[T], w http.ResponseWriter, r *http.Request, key string, q request, query conversations.AgentQuery) error {
	s := &sender[T]{h: h, e: e, contentType: "application/json", query: query, left: conversations.Limit{Rows: q.perPage, Bytes: h.cfg.PageBytes}, rows: q.perPage, between: ",", key: key}
	return s.serve(w, r, q.after, `{"data":[`, func(to []byte, next *conversations.Position) ([]byte, error) {
		to = append(to, `],"cursor":`...)
		if next == nil {
			return append(to, "null}\n"...), nil
		}
		cursor, err := web.SignCursor(r.Context(), h.deps.Cursors, q.binding, *next)
		return append(rawjson.AppendString(to, cursor), "}\n"...), err
	})
}

// serveStream sends all rows of a query, one record a line.
func serveStream[T any](h *handler, e endpoint[T], w http.ResponseWriter, r *http.Request, key string, query conversations.AgentQuery) error {
	s := &sender[T]{h: h, e: e, contentType: web.NDJSON, query: query, left: conversations.Limit{Rows: math.MaxInt, Bytes: math.MaxInt}, rows: firstRows, between: "\n", key: key}
	return s.serve(w, r, nil, "", func(to []byte, _ *conversations.Position) ([]byte, error) {
		if s.left.Rows < math.MaxInt { // a row is in the last line
			to = append(to, '\n')
		}
		return to, nil
	})
}

// sender sends the rows of a query. It reads the next ones, by a short statement, when the client
// has received the last ones. So a slow client holds neither a connection to the catalog, nor an
// old snapshot in it, nor much memory.
type sender[T any] struct {
	h           *handler
	e           endpoint[T]
	contentType string
	query       conversations.AgentQuery
	left        conversations.Limit // of the answer
	rows        int                 // of the next read
	between     string              // what stands between two rows
	key         string              // the API key's id
	hold        *web.Hold
	memory      int64 // of a read's rows, without values that are read alone
}

// serve sends head, then the rows after a position, then what end appends. end gets the position of
// the last row, or nil when no row follows it. After the first byte an error breaks the connection,
// so that nobody takes the answer for a whole one.
func (s *sender[T]) serve(w http.ResponseWriter, r *http.Request, after *conversations.Position, head string, end func(to []byte, next *conversations.Position) ([]byte, error)) error {
	if r.Method == http.MethodHead { // without a body there is no need to read rows
		w.Header().Set("Content-Type", s.contentType)
		return nil
	}
	page, err := s.begin(r.Context(), after)
	defer s.hold.Release()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", s.contentType)
	out := web.NewStream(s.hold.Writer(w))
	if err := s.send(r.Context(), out, page, head, end); err != nil {
		if !out.Began() {
			w.Header().Del("Content-Type")
			return err
		}
		level := zap.WarnLevel
		if web.ClientGone(r, err) {
			level = zap.InfoLevel
		}
		s.h.deps.Log.Log(level, "an export broke off", zap.String("endpoint", s.e.name), telemetry.In(r.Context()), zap.Error(err))
		web.Abort()
	}
	return nil
}

// begin reserves memory, then reads the first rows.
func (s *sender[T]) begin(ctx context.Context, after *conversations.Position) (page conversations.Page[T], err error) {
	s.memory = readBytes
	if s.hold, err = s.h.deps.Budget.Acquire(s.query.Tenant, catalog.CredentialKey.Actor(s.key), s.memory); err != nil {
		return page, web.Step("reserve memory", err)
	}
	if page, err = s.read(ctx, after); err != nil {
		return page, err
	}
	if page.Next == nil { // no more will be read
		s.memory = int64(page.Bytes)
	}
	return page, web.Step("reserve memory", s.hold.Resize(s.memory))
}

// readValues reads the large values of a row. An answer that has begun waits for memory for them.
func (s *sender[T]) readValues(ctx context.Context, row *T, began bool) error {
	ctx, cancel := context.WithTimeout(ctx, s.h.cfg.CatalogTimeout)
	defer cancel()
	for {
		err := s.hold.Resize(s.memory + s.e.unread(*row))
		if err == nil {
			return s.e.readValues(ctx, s.query.Tenant, row)
		}
		if !began {
			return web.Step("reserve memory", err)
		}
		select {
		case <-ctx.Done():
			return web.Step("reserve memory", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *sender[T]) read(ctx context.Context, after *conversations.Position) (conversations.Page[T], error) {
	ctx, cancel := context.WithTimeout(ctx, s.h.cfg.CatalogTimeout)
	defer cancel()
	return s.e.page(ctx, s.query, after, conversations.Limit{Rows: min(s.rows, s.left.Rows), Bytes: min(readBytes, s.left.Bytes)})
}

// sendRow sends a row and frees it. It gives the number of bytes.
func (s *sender[T]) sendRow(ctx context.Context, out *web.Stream, before string, row *T) (int, error) {
	large := s.e.unread != nil && s.e.unread(*row) > 0
	if large {
		if err := s.readValues(ctx, row, out.Began()); err != nil {
			return 0, err
		}
	}
	n, err := out.Append(func(to []byte) ([]byte, error) {
		to, err := s.e.appendRow(append(to, before...), *row)
		var none T
		*row = none
		return to, err
	})
	if large && err == nil { // at most the rest of the stream's buffer is not sent
		err = s.hold.Resize(s.memory)
	}
	return n, err
}

func (s *sender[T]) send(ctx context.Context, out *web.Stream, page conversations.Page[T], head string, end func(to []byte, next *conversations.Position) ([]byte, error)) error {
	if _, err := out.Append(func(to []byte) ([]byte, error) { return append(to, head...), nil }); err != nil {
		return err
	}
	before := ""
	for {
		sent := 0
		for i := range page.Rows {
			n, err := s.sendRow(ctx, out, before, &page.Rows[i])
			if err != nil {
				return fmt.Errorf("send a row: %w", err)
			}
			before = s.between
			sent += n
		}
		s.left.Rows -= len(page.Rows)
		s.left.Bytes -= sent
		if page.Next == nil || s.left.Rows <= 0 || s.left.Bytes <= 0 {
			break
		}
		if err := out.Flush(); err != nil {
			return err
		}
		// Read as many rows as will likely fit: a read that its bytes end early costs more.
		s.rows = min(max(readBytes/2*len(page.Rows)/max(sent, 1), 1), maxPerPage)
		var err error
		if page, err = s.read(ctx, page.Next); err != nil {
			return fmt.Errorf("read on: %w", err)
		}
	}
	if _, err := out.Append(func(to []byte) ([]byte, error) { return end(to, page.Next) }); err != nil {
		return err
	}
	return out.End()
}

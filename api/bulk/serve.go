package bulk

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/rawjson"
	"github.com/callvault/callvault/internal/telemetry"
)

// What a stream reads at a time: so much is in memory, however long the stream.
const (
	streamRows  = 1000
	streamBytes = 1 << 20
)

// maxGuess bounds the memory that a page takes in advance, in bytes.
const maxGuess = 1 << 20

// endpoint is one of the family's two: where its rows come from, and how they look.
type endpoint[T any] struct {
	name           string
	byConversation bool // it takes conversation_id
	page           func(ctx context.Context, w catalog.ExportWindow, after *catalog.Position, limit catalog.ExportLimit) (catalog.ExportPage[T], error)
	show           func(to []byte, row T) ([]byte, error) // appends the row's JSON
}

// serve answers an endpoint.
func serve[T any](h *handler, e endpoint[T]) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), h.cfg.CatalogTimeout)
		defer cancel()
		caller, ok := h.enter(ctx, w, r, e.name)
		if !ok {
			return
		}
		q, err := h.read(ctx, caller.tenant.ID, e.name, r.URL.RawQuery, e.byConversation)
		stream := web.WantsNDJSON(r)
		if err == nil && stream && q.paged {
			err = domain.Errorf(domain.KindInvalid, "a stream has no pages: neither per_page nor cursor goes with %s", web.NDJSON)
		}
		var agents []string
		if err == nil {
			agents, err = h.deps.Catalog.Bots(ctx, caller.tenant.ID, q.bot)
		}
		switch {
		case err != nil:
			h.wrong(w, r, err)
		case stream:
			serveStream(h, e, w, r, q.window(caller.tenant.ID, agents))
		default:
			servePage(ctx, h, e, w, r, q, q.window(caller.tenant.ID, agents))
		}
	}
}

func servePage[T any](ctx context.Context, h *handler, e endpoint[T], w http.ResponseWriter, r *http.Request, q request, window catalog.ExportWindow) {
	if r.Method == http.MethodHead { // its rows would be read for nothing
		w.Header().Set("Content-Type", "application/json")
		return
	}
	page, err := e.page(ctx, window, q.after, catalog.ExportLimit{Rows: q.perPage, Bytes: h.cfg.PageBytes})
	if err != nil {
		h.wrong(w, r, err)
		return
	}
	var cursor string
	if page.Next != nil {
		if cursor, err = web.SealCursor(ctx, h.deps.Cursors, q.about, *page.Next); err != nil {
			h.broken(w, r, "seal the cursor", err)
			return
		}
	}
	text, err := showPage(e, page.Rows, cursor)
	if err != nil {
		h.broken(w, r, "show a row", err)
		return
	}
	web.JSONText(w, r, http.StatusOK, text)
}

// showPage writes the answer by hand: rows are too many, and mostly JSON already, to go through
// encoding/json. An empty cursor is null.
func showPage[T any](e endpoint[T], rows []T, cursor string) ([]byte, error) {
	text := []byte(`{"data":[`)
	var err error
	for i, row := range rows {
		if i > 0 {
			text = append(text, ',')
		}
		before := len(text)
		if text, err = e.show(text, row); err != nil {
			return nil, err
		}
		if i == 0 { // the others are likely of its size
			text = slices.Grow(text, min(len(rows)*(len(text)-before+1)*5/4, maxGuess))
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

// serveStream sends the whole window, one record a line. It reads on when the client has taken
// what was read, in short queries of their own, so that a slow client holds no connection to the
// catalog and no old snapshot in it.
func serveStream[T any](h *handler, e endpoint[T], w http.ResponseWriter, r *http.Request, window catalog.ExportWindow) {
	w.Header().Set("Content-Type", web.NDJSON)
	if r.Method == http.MethodHead {
		return
	}
	s := &streamer[T]{h: h, e: e, window: window, rows: streamRows / 10}
	page, err := s.read(r.Context(), nil)
	if err != nil { // nothing was sent: the client can be told
		w.Header().Del("Content-Type")
		h.wrong(w, r, err)
		return
	}
	if err := s.send(r.Context(), web.NewStream(w), page); err != nil {
		h.deps.Log.Warn("a stream broke off", zap.String("endpoint", e.name), telemetry.In(r.Context()), zap.Error(err))
		web.Abort()
	}
}

// streamer walks a window.
type streamer[T any] struct {
	h      *handler
	e      endpoint[T]
	window catalog.ExportWindow
	rows   int // to read next
}

func (s *streamer[T]) read(ctx context.Context, after *catalog.Position) (catalog.ExportPage[T], error) {
	ctx, cancel := context.WithTimeout(ctx, s.h.cfg.CatalogTimeout)
	defer cancel()
	return s.e.page(ctx, s.window, after, catalog.ExportLimit{Rows: s.rows, Bytes: 2 * streamBytes})
}

func (s *streamer[T]) send(ctx context.Context, lines *web.Stream, page catalog.ExportPage[T]) error {
	for {
		sent := 0
		for i, row := range page.Rows {
			n, err := lines.Append(func(to []byte) ([]byte, error) {
				to, err := s.e.show(to, row)
				return append(to, '\n'), err
			})
			if err != nil {
				return fmt.Errorf("send a row: %w", err)
			}
			sent += n
			clear(page.Rows[i : i+1]) // what is sent is held no longer
		}
		if err := lines.Flush(); err != nil || page.Next == nil {
			return err
		}
		// As many rows as will likely fit: a page cut by its bytes is dear.
		s.rows = min(max(streamBytes*len(page.Rows)/max(sent, 1), 1), streamRows)
		var err error
		if page, err = s.read(ctx, page.Next); err != nil {
			return fmt.Errorf("read on: %w", err)
		}
	}
}

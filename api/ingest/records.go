package ingest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/ingest"
)

// recordsAnswer is the answer when all lines were stored.
type recordsAnswer struct {
	Lines         int `json:"lines"`
	Batches       int `json:"batches"`
	Agents        int `json:"agents"`
	Conversations int `json:"conversations"`
	Messages      int `json:"messages"`
	Recordings    int `json:"recordings"`
	Changed       int `json:"changed"`
	TooLate       int `json:"tooLate"`
	Ahead         int `json:"ahead,omitempty"`
}

// records is POST /api/ingest/v1/records: it ingests a stream of lines.
func (h *handler) records(w http.ResponseWriter, r *http.Request) {
	tenant, ok := h.tenant(w, r)
	if !ok {
		return
	}
	if strings.HasPrefix(strings.ToLower(r.Header.Get("Content-Type")), "multipart/") {
		refuse(w, r, http.StatusUnsupportedMediaType, "The body must be JSON lines, not a form.")
		return
	}
	body := &bodyReader{r: r.Body}
	from := catalog.Origin{Actor: "internal", Remote: web.Remote(r), Request: web.RequestID(r.Context())}
	to := ingest.KeyChecker{Registrar: ingest.WithOrigin(from, h.deps.Catalog), CheckKey: func(key string) error { return h.deps.Audio.CheckKey(key) }}
	result, err := h.loader.Load(r.Context(), to, tenant, body, nil)
	if err != nil {
		h.refuseLines(w, r, result, body.err, err)
		return
	}
	web.JSON(w, r, http.StatusOK, recordsAnswer{Lines: result.Lines, Batches: result.Batches, Agents: result.Agents,
		Conversations: result.Conversations, Messages: result.Messages, Recordings: result.Recordings,
		Changed: result.Changed, TooLate: result.TooLate, Ahead: result.Ahead})
}

// bodyReader keeps the error that interrupted the body: internal/ingest wraps it.
type bodyReader struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (s *bodyReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// refuseLines answers with the error, its line, and how many lines are stored.
func (h *handler) refuseLines(w http.ResponseWriter, r *http.Request, result ingest.Result, broken, err error) {
	p := problem{Stored: &result.Lines}
	status := http.StatusBadRequest
	var line *catalog.LineError
	switch {
	case errors.As(err, &line):
		p.Line = line.Line
		p.Error = fmt.Sprintf("line %d: %s", line.Line, domain.SafeMessage(line.Err))
	case broken != nil:
		p.Error = "The body ended early or could not be read."
	default:
		status, p.Error = h.explain(r, "register lines", err)
	}
	answer(w, r, status, p)
}

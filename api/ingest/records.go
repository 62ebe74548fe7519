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

// records is POST /api/ingest/v1/records: it ingests a stream of lines.
func (h *handler) records(w http.ResponseWriter, r *http.Request) error {
	tenant, err := h.tenant(r)
	if err != nil {
		return err
	}
	if strings.HasPrefix(strings.ToLower(r.Header.Get("Content-Type")), "multipart/") {
		return refused(http.StatusUnsupportedMediaType, "The body must be JSON lines, not a form.")
	}
	body := &bodyReader{r: r.Body}
	from := web.Origin(r, "internal")
	to := ingest.KeyChecker{Registrar: ingest.WithOrigin(from, h.deps.Catalog), CheckKey: func(key string) error { return h.deps.Audio.CheckKey(key) }}
	result, err := h.loader.Load(r.Context(), to, tenant, body, nil)
	if err != nil {
		return h.linesError(r, result, body.err, err)
	}
	web.JSON(w, r, http.StatusOK, result)
	return nil
}

// bodyReader keeps the error that interrupted the body: internal/ingest wraps it.
type bodyReader struct {
	r   io.Reader
	err error
}

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

// linesError gives the answer for an error: which line is wrong, and how many lines are stored.
// broken is the error that interrupted the body.
func (h *handler) linesError(r *http.Request, result ingest.Result, broken, err error) error {
	status, answer := http.StatusBadRequest, problem{Stored: &result.Lines}
	line, wrongLine := errors.AsType[*catalog.LineError](err)
	switch {
	case wrongLine:
		answer.Line = line.Line
		if domain.KindOf(line.Err) == domain.KindEnding { // the line is right, and can be sent again later
			status = http.StatusConflict
		}
		answer.Error = fmt.Sprintf("line %d: %s", line.Line, domain.SafeMessage(line.Err))
	case broken != nil:
		answer.Error = "The body ended early or could not be read."
	case web.ClientGone(r, err):
		return err
	default:
		status, answer.Error = h.reason(r, web.Step("register lines", err))
	}
	return web.Refusal{Status: status, Body: answer}
}

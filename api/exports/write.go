package exports

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/transcript"
)

// encode gives v as JSON, without escaping for HTML. Every v of this package has JSON.
func encode(v any) json.RawMessage {
	text, err := web.Encode(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return text
}

// innerJSON gives an object's JSON without the braces.
func innerJSON(v any) json.RawMessage {
	b := encode(v)
	return b[1 : len(b)-1]
}

// write sends the export, with its transcript piece by piece. After an error the answer is
// incomplete.
func (a *answer) write(ctx context.Context, w http.ResponseWriter) error {
	timed := web.NewTimedWriter(w)
	out := &writer{Writer: bufio.NewWriterSize(timed, 32<<10)}
	out.put(`{"exportMetadata":`, encode(a.metadata), `,"conversation":{`, innerJSON(a.head), `,"transcript":`)
	if a.raw == nil {
		out.put(`null`)
	} else {
		out.put(`{"raw":"`)
		calls, err := transcript.Calls(io.TeeReader(a.raw.Reader(ctx), escaper{out.Writer}))
		if err != nil {
			return fmt.Errorf("write the transcript: %w", err)
		}
		list := functionCalls(calls, a.start)
		a.afterRaw.Parsed, a.tail.FunctionCalls, a.summary.HasFunctionCalls = list, list, len(list) > 0
		out.put(`",`, innerJSON(a.afterRaw), `}`)
	}
	out.put(`,`, innerJSON(a.tail), `},"summary":`, encode(a.summary), "}\n")
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	return timed.Finish()
}

// writer writes texts and JSON. Flush gives the first error.
type writer struct{ *bufio.Writer }

func (w *writer) put(parts ...any) {
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			_, _ = w.WriteString(p)
		case json.RawMessage:
			_, _ = w.Write(p)
		}
	}
}

// escaper writes text as the inside of a JSON string. It escapes only single bytes, so a write may
// end inside a character.
type escaper struct{ to *bufio.Writer }

func (e escaper) Write(p []byte) (int, error) {
	const hex = "0123456789abcdef"
	from := 0
	for i, c := range p {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		_, _ = e.to.Write(p[from:i])
		from = i + 1
		switch c {
		case '"', '\\':
			_, _ = e.to.Write([]byte{'\\', c})
		case '\n':
			_, _ = e.to.WriteString(`\n`)
		case '\r':
			_, _ = e.to.WriteString(`\r`)
		case '\t':
			_, _ = e.to.WriteString(`\t`)
		default:
			_, _ = e.to.Write([]byte{'\\', 'u', '0', '0', hex[c>>4], hex[c&15]})
		}
	}
	_, err := e.to.Write(p[from:])
	return len(p), err
}

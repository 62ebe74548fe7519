package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Content is bytes that can be read from anywhere.
type Content struct {
	Size int64
	ETag string // without quotes; none when empty
	// Open gives the bytes of [from, to).
	Open func(ctx context.Context, from, to int64) (io.ReadCloser, error)

	// Whose bytes they are and what they are called, for the bound on those that pass at once.
	Bodies *Bodies
	Tenant string
	Link   string
}

// Plan is how a request for a Content will be answered.
type Plan struct {
	Status int  // 200, 206, 304, 412 or 416
	Starts bool // the answer holds the first byte

	// Rest is the Range header as it came, where it asks for one span without the first byte and no
	// store can read it in another way. Stores pass over what they do not know and give the whole.
	Rest string

	stale bool // the If-Range names other bytes
	size  int64
	spans []Span
}

// Unsatisfied is the Content-Range of a 416.
func (p Plan) Unsatisfied() string { return "bytes */" + strconv.FormatInt(p.size, 10) }

// Redirectable says whether the request may be sent on to a store. Stores refuse a second credential
// and ignore If-Range, so a client would put bytes behind others that they do not belong to.
func (p Plan) Redirectable(r *http.Request) bool {
	return len(r.Header.Values("Authorization")) == 0 && !p.stale
}

// DropContentHeaders removes the headers of a body that is not sent.
func DropContentHeaders(w http.ResponseWriter) http.ResponseWriter {
	for _, name := range []string{"Content-Type", "Content-Disposition", "ETag"} {
		w.Header().Del(name)
	}
	return w
}

// ServeHead answers a HEAD, or says 304, without bytes.
func (p Plan) ServeHead(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "", time.Time{}, &reader{size: p.size})
}

// probe takes an answer's status and drops the rest.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header         { return p.header }
func (p *probe) Write(b []byte) (int, error) { return len(b), nil }
func (p *probe) WriteHeader(status int)      { p.status = status }

// Plan says how Serve will answer, without reading a byte. It sets the ETag header, takes a Range
// with too many parts, or of a kind that it does not know, out of the request, and leaves in it only
// what can be satisfied.
func (c Content) Plan(w http.ResponseWriter, r *http.Request) Plan {
	asked, single := r.Header.Get("Range"), len(r.Header.Values("Range")) == 1
	spans, valid := Ranges(asked, c.Size)
	switch {
	case !valid || len(spans) > maxRanges:
		r.Header.Del("Range")
		spans = nil
	default: // net/http takes the last no bytes, "-0", for a range: RFC 9110 says that it can't be satisfied
		r.Header.Set("Range", rangeHeader(spans, c.Size))
	}
	if c.ETag != "" {
		w.Header().Set("ETag", `"`+c.ETag+`"`)
	}
	head := r.Clone(r.Context())
	head.Method = http.MethodHead
	p := &probe{header: http.Header{"Content-Type": {"application/octet-stream"}, "Etag": w.Header()["Etag"]}, status: http.StatusOK}
	http.ServeContent(p, head, "", time.Time{}, &reader{size: c.Size})
	plan := Plan{Status: p.status, Starts: p.status == http.StatusOK, size: c.Size}
	for _, named := range r.Header.Values("If-Range") {
		plan.stale = plan.stale || named != `"`+c.ETag+`"`
	}
	if p.status == http.StatusPartialContent {
		plan.spans, plan.Starts = spans, len(spans) == 0
		for _, s := range spans {
			plan.Starts = plan.Starts || s.From == 0
		}
		if !plan.Starts && single && !strings.ContainsAny(asked, ", \t") {
			plan.Rest = asked
		}
	}
	return plan
}

// Ready is a Content whose first bytes are at hand.
type Ready struct {
	plan  Plan
	body  *reader
	leave func()
}

// Prepare opens the bytes that the plan begins with, so that their absence is known before the
// answer starts. Either Serve or Close must be called on the Ready. Errors: KindUnavailable when too
// many bodies are under way, and Open's.
func (c Content) Prepare(ctx context.Context, plan Plan) (*Ready, error) {
	leave, err := c.Bodies.enter(c.Tenant, c.Link)
	if err != nil {
		return nil, err
	}
	body := &reader{ctx: ctx, content: c, size: c.Size, spans: plan.spans}
	if len(plan.spans) > 0 {
		body.want = plan.spans[0].From
	}
	if err := body.open(); err != nil {
		leave()
		return nil, err
	}
	return &Ready{plan, body, leave}, nil
}

// Close gives the bytes up.
func (b *Ready) Close() error {
	defer b.leave()
	return b.body.Close()
}

// Serve answers the request as planned. Content-Type must be set. An answer that can't be
// finished breaks the connection; the error says why.
func (b *Ready) Serve(w http.ResponseWriter, r *http.Request) error {
	out := &patient{ResponseWriter: w, control: http.NewResponseController(w), size: b.plan.size, bodies: b.body.content.Bodies}
	http.ServeContent(out, r, "", time.Time{}, b.body)
	err := errors.Join(b.body.err, out.err, b.Close())
	if err == nil {
		err = out.finish()
	}
	return err
}

// patient waits for a reader that keeps its pace.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
	size    int64 // of the whole Content
	bodies  *Bodies
	pace    Pace
	err     error
}

// Unwrap is for http.ResponseController.
func (p *patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *patient) Write(b []byte) (int, error) {
	start := time.Now()
	if err := p.control.SetWriteDeadline(start.Add(p.pace.Left())); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	n, err := p.ResponseWriter.Write(b)
	p.pace.Passed(n, time.Since(start))
	if err != nil {
		p.err = fmt.Errorf("the client takes no more: %w", err)
	}
	return n, err
}

// copySize is how much a copy moves at a time: with io.Copy's own 32 KiB, calls of the system are
// half of its time.
const copySize = 128 << 10

// ReadFrom is what io.Copy uses: the reader's pace counts here too.
func (p *patient) ReadFrom(r io.Reader) (int64, error) {
	buffer, release := p.bodies.buffer(p.size)
	defer release()
	return io.CopyBuffer(struct{ io.Writer }{p}, r, buffer)
}

// finish sends what is buffered and takes the deadline from the connection, which may serve on.
func (p *patient) finish() error {
	if err := p.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("the client takes no more: %w", err)
	}
	if err := p.control.SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// reader is a Content as http.ServeContent wants it. It opens the bytes where it is read, not
// where it is sought, and asks for no more than the span at hand.
type reader struct {
	ctx     context.Context
	content Content
	size    int64
	spans   []Span
	want    int64 // where the next Read is to begin
	body    io.ReadCloser
	at, to  int64 // of body
	err     error
}

// Seek implements io.Seeker.
func (b *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.want
	case io.SeekEnd:
		offset += b.size
	}
	b.want = offset
	return offset, nil
}

// open opens the bytes from where the reader is to be read, to the end of the span that starts
// there.
func (b *reader) open() error {
	if b.body != nil && b.at == b.want && b.at < b.to || b.want >= b.size {
		return nil
	}
	if err := b.Close(); err != nil {
		return err
	}
	b.at, b.to = b.want, b.size
	for _, s := range b.spans {
		if s.From == b.at {
			b.to = s.To
			break
		}
	}
	var err error
	b.body, err = b.content.Open(b.ctx, b.at, b.to)
	return err
}

// Read implements io.Reader.
func (b *reader) Read(p []byte) (int, error) {
	if b.want >= b.size {
		return 0, io.EOF
	}
	if err := b.open(); err != nil {
		b.err = err
		return 0, err
	}
	n, err := b.body.Read(p)
	b.at += int64(n)
	b.want = b.at
	if errors.Is(err, io.EOF) && b.at < b.to {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

// Close implements io.Closer.
func (b *reader) Close() error {
	if b.body == nil {
		return nil
	}
	err := b.body.Close()
	b.body = nil
	return err
}

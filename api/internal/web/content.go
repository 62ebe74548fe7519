package web

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// Content is bytes that can be read from any offset.
type Content struct {
	Size int64
	ETag string // without quotes; "" when there is none
	Type string // content type
	// Open gives the bytes of [from, to).
	Open func(ctx context.Context, from, to int64) (io.ReadCloser, error)
	// Sum is the SHA-256 that all bytes must have; nil when they are not compared. For other bytes
	// Prepare or Serve gives an error of KindUnreadable, and Serve does not send the last byte.
	Sum *domain.SHA256

	// Limiter bounds the downloads at once; it counts by Download.
	Limiter  *DownloadLimiter
	Download DownloadKey
}

// Store reads a bucket's objects. Errors: those of package objstore, among them KindInvalid for a
// key that the store can't hold.
type Store interface {
	Stat(ctx context.Context, key string) (objstore.Info, error)
	Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error)
}

// Versions are the versions of a bucket's objects. Errors are those of package objstore.
type Versions interface {
	StatVersion(ctx context.Context, key, version string) (objstore.Info, error)
	Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error)
}

// Version is a [Store] of one version of an object, whatever others have put over its key since.
type Version struct {
	Versions
	ID string // "" where the bucket keeps no versions
}

// Stat implements [Store].
func (v Version) Stat(ctx context.Context, key string) (objstore.Info, error) {
	return v.StatVersion(ctx, key, v.ID)
}

// Get implements [Store].
func (v Version) Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error) {
	opts.Version = v.ID
	return v.Versions.Get(ctx, key, opts)
}

// Presigner makes URLs at which clients read a bucket's objects from the object store.
type Presigner interface {
	Presign(ctx context.Context, key string, ttl time.Duration, opts objstore.PresignOptions) (string, error)
}

// ObjectContent is the Content of the object that info describes. It fails when the object has
// changed since.
func ObjectContent(store Store, key string, info objstore.Info, limiter *DownloadLimiter, d DownloadKey) Content {
	return Content{Size: info.Size, ETag: info.ETag, Type: playable(info.ContentType),
		Limiter: limiter, Download: d,
		Open: func(ctx context.Context, from, to int64) (io.ReadCloser, error) {
			o, err := store.Get(ctx, key, objstore.GetOptions{From: from, To: to, IfMatch: info.ETag})
			if err != nil {
				return nil, err
			}
			return o.Body, nil
		}}
}

// playable gives a stored content type if it is one of audio or video (application/ogg is both):
// browsers play these and never run them. Every other one becomes the type of unknown bytes,
// because whoever uploaded the bytes chose it.
func playable(stored string) string {
	kind, _, err := mime.ParseMediaType(stored)
	if err == nil && (strings.HasPrefix(kind, "audio/") || strings.HasPrefix(kind, "video/") || kind == "application/ogg") {
		return stored
	}
	return "application/octet-stream"
}

// Attach sets the headers of a body that browsers save under a name and do not show. The name must
// be one that FileName gives.
func Attach(w http.ResponseWriter, contentType, name string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
}

// FileName makes a text a name of a file: it replaces the characters that not every file system
// accepts, and cuts to 200 bytes.
func FileName(text string) string {
	const maxBytes = 200 // file systems take 255
	safe := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' {
			return c
		}
		return '_'
	}, text)
	return safe[:min(len(safe), maxBytes)]
}

// Plan is how a request for a Content will be answered.
type Plan struct {
	Status int  // 200, 206, 304, 412 or 416
	Starts bool // the answer holds the first byte

	// Rest is the Range header as it came, when it asks for one range without the first byte and
	// every store reads it in the same way. A store ignores a Range that it does not understand,
	// and sends all bytes.
	Rest string

	stale  bool // the If-Range names other bytes
	size   int64
	ranges []byteRange
}

// Failed gives the status of a request whose conditions fail: 412, or 416 for which it sets
// Content-Range. It gives 0 for others.
func (p Plan) Failed(w http.ResponseWriter) int {
	switch p.Status {
	case http.StatusPreconditionFailed:
		return p.Status
	case http.StatusRequestedRangeNotSatisfiable:
		w.Header().Set("Content-Range", "bytes */"+strconv.FormatInt(p.size, 10))
		return p.Status
	}
	return 0
}

// Length is how many bytes of the content the answer has.
func (p Plan) Length() int64 {
	if len(p.ranges) == 0 {
		return p.size
	}
	var n int64
	for _, b := range p.ranges {
		n += b.To - b.From
	}
	return n
}

// Redirectable says whether the request may be redirected to a store. A store refuses a second
// credential. It ignores If-Range, so the client would append bytes of another object.
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

// ServeHead answers a HEAD, or a request that is answered 304, without reading the bytes.
func (p Plan) ServeHead(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "", time.Time{}, &reader{size: p.size})
}

// statusRecorder keeps an answer's status and discards the rest.
type statusRecorder struct {
	header http.Header
	status int
}

func (s *statusRecorder) Header() http.Header         { return s.header }
func (s *statusRecorder) Write(b []byte) (int, error) { return len(b), nil }
func (s *statusRecorder) WriteHeader(status int)      { s.status = status }

// Plan says how Serve will answer, without reading a byte. It sets the ETag header. It removes from
// the request a Range that has too many parts or is not valid, and leaves in it only the ranges
// that can be satisfied.
func (c Content) Plan(w http.ResponseWriter, r *http.Request) Plan {
	asked, single := r.Header.Get("Range"), len(r.Header.Values("Range")) == 1
	ranges, valid := parseRanges(asked, c.Size)
	switch {
	case !valid || len(ranges) > maxRanges:
		r.Header.Del("Range")
		ranges = nil
	default: // net/http satisfies "bytes=-0"; RFC 9110 says that it can't be satisfied
		r.Header.Set("Range", rangeHeader(ranges, c.Size))
	}
	if c.ETag != "" {
		w.Header().Set("ETag", `"`+c.ETag+`"`)
	}
	head := r.Clone(r.Context())
	head.Method = http.MethodHead
	s := &statusRecorder{header: http.Header{"Content-Type": {"application/octet-stream"}, "Etag": w.Header()["Etag"]}, status: http.StatusOK}
	http.ServeContent(s, head, "", time.Time{}, &reader{size: c.Size})
	plan := Plan{Status: s.status, Starts: s.status == http.StatusOK, size: c.Size}
	for _, named := range r.Header.Values("If-Range") {
		plan.stale = plan.stale || named != `"`+c.ETag+`"`
	}
	if s.status == http.StatusPartialContent {
		plan.ranges, plan.Starts = ranges, len(ranges) == 0
		for _, b := range ranges {
			plan.Starts = plan.Starts || b.From == 0
		}
		if !plan.Starts && single && !strings.ContainsAny(asked, ", \t") {
			plan.Rest = asked
		}
	}
	return plan
}

// Prepared is a Content whose first bytes are open.
type Prepared struct {
	plan  Plan
	body  *reader
	share *share
}

// Prepare opens the bytes that the answer begins with, so that a missing object is noticed before
// the answer starts. Close must be called on the Prepared, also after Serve. Errors:
// KindUnavailable when too many downloads are under way, and Open's.
func (c Content) Prepare(ctx context.Context, plan Plan) (*Prepared, error) {
	share, err := c.Limiter.acquire(c.Download)
	if err != nil {
		return nil, err
	}
	body := &reader{ctx: ctx, content: c, size: c.Size, ranges: plan.ranges}
	if c.Sum != nil && plan.whole() {
		body.sum = sha256.New()
	}
	if len(plan.ranges) > 0 {
		body.offset = plan.ranges[0].From
	}
	err = body.open()
	if err == nil && body.sum != nil && c.Size == 0 { // no byte can be held back
		err = compareSum(c.Sum, sha256.Sum256(nil))
	}
	if err != nil {
		c.Limiter.release(share)
		return nil, err
	}
	return &Prepared{plan, body, share}, nil
}

// Close closes the bytes and frees the place. It may be called again.
func (p *Prepared) Close() {
	defer p.body.content.Limiter.release(p.share)
	_ = p.body.Close() // nothing is lost: the bytes were only read
}

// Serve answers the request as planned. Content-Type must be set. When it can't send all bytes it
// breaks the connection; the error says why.
func (p *Prepared) Serve(w http.ResponseWriter, r *http.Request) error {
	out := NewTimedWriter(w)
	out.size, out.limiter, out.share = p.plan.size, p.body.content.Limiter, p.share
	http.ServeContent(out, r, "", time.Time{}, p.body)
	p.Close()
	err := errors.Join(p.body.err, out.err)
	if err == nil {
		err = out.Finish()
	}
	return err
}

// reader is a Content as http.ServeContent needs it. It opens the bytes when it is read, not when
// it is sought, and asks the store for no more than the current range.
type reader struct {
	ctx     context.Context
	content Content
	size    int64
	ranges  []byteRange
	offset  int64 // of the next Read
	body    io.ReadCloser
	at, to  int64     // offsets of body: its next byte and its end
	sum     hash.Hash // of the bytes before the offset; nil when they are not compared
	err     error
}

func (b *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.offset
	case io.SeekEnd:
		offset += b.size
	}
	b.offset = offset
	return offset, nil
}

// open opens the bytes from the offset to the end of the range that starts there, unless they are
// open already.
func (b *reader) open() error {
	if b.body != nil && b.at == b.offset && b.at < b.to || b.offset >= b.size {
		return nil
	}
	if err := b.Close(); err != nil {
		return err
	}
	b.at, b.to = b.offset, b.size
	for _, s := range b.ranges {
		if s.From == b.at {
			b.to = s.To
			break
		}
	}
	var err error
	b.body, err = b.content.Open(b.ctx, b.at, b.to)
	return err
}

func (b *reader) Read(p []byte) (int, error) {
	if b.offset >= b.size {
		return 0, io.EOF
	}
	if err := b.open(); err != nil {
		b.err = err
		return 0, err
	}
	n, err := b.body.Read(p)
	if b.sum != nil {
		b.sum.Write(p[:n])
		if b.offset+int64(n) == b.size && n > 0 {
			if other := compareSum(b.content.Sum, domain.SHA256(b.sum.Sum(nil))); other != nil {
				n, err = n-1, other
			}
		}
	}
	b.at += int64(n)
	b.offset = b.at
	if errors.Is(err, io.EOF) && b.at < b.to {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

func (b *reader) Close() error {
	if b.body == nil {
		return nil
	}
	err := b.body.Close()
	b.body = nil
	return err
}

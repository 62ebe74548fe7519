package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/ingest"
	"github.com/callvault/callvault/internal/objstore"
)

// maxContentType bounds a content type, in bytes.
const maxContentType = 1024

// audioAnswer is the answer to audio that is in the bucket.
type audioAnswer struct {
	ObjectKey string `json:"objectKey"`
	SizeBytes int64  `json:"sizeBytes"`
	CRC32     string `json:"crc32"`
	SHA256    string `json:"sha256"`
	Erased    bool   `json:"erased,omitempty"` // the key's recording was erased, so the audio was not stored
}

// audio is PUT /api/ingest/v1/audio/{key}: it stores one object.
func (h *handler) audio(w http.ResponseWriter, r *http.Request) error {
	tenant, err := h.tenant(r)
	if err != nil {
		return err
	}
	key, err := objectKey(r)
	if err == nil {
		err = h.deps.Audio.CheckKey(key)
	}
	if err != nil {
		return web.Step("read the key", err)
	}
	want, err := readExpected(r)
	if err == nil {
		want.kind, err = contentType(r)
	}
	if err != nil {
		return web.Step("read the headers", err)
	}
	stored, created, err := h.store(r.Context(), tenant, key, want, r.Body)
	erased := errors.Is(err, errErased)
	if err != nil && !erased {
		return web.Step("store audio", err)
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	web.JSON(w, r, status, audioAnswer{ObjectKey: key, SizeBytes: stored.Size, CRC32: fmt.Sprintf("%08x", stored.CRC32),
		SHA256: stored.SHA256.String(), Erased: erased})
	return nil
}

// objectKey is the rest of the path, unescaped once.
func objectKey(r *http.Request) (string, error) {
	key, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), audioPrefix))
	if err != nil {
		return "", domain.Errorf(domain.KindInvalid, "the object key is not escaped rightly")
	}
	return key, ingest.CheckObjectKey(key)
}

// errErased says that the audio was read and not stored, because its recording was erased.
var errErased = errors.New("the recording was erased")

// store reserves the key for the tenant, puts the bytes there or compares them with what is there,
// and registers them in the catalog. After a crash in between a repeated request completes it.
func (h *handler) store(ctx context.Context, tenant, key string, want expected, body io.Reader) (stored objstore.Stored, created bool, err error) {
	known, err := h.deps.Catalog.ReserveUpload(ctx, tenant, key)
	if err != nil {
		return stored, false, err
	}
	if err := want.compareKnown(known); err != nil {
		return stored, false, err
	}
	verified := newVerifiedReader(body, want)
	if known.Erased {
		if stored, err = hashBody(verified); err == nil {
			err = h.dropErased(ctx, tenant, key, stored, known.Since)
		}
		return stored, false, cmp.Or(err, errErased)
	}
	stored, created, err = h.put(ctx, key, verified, want.size, want.kind)
	if err != nil {
		// The store wraps the reader's error in one of its own. The caller gets the reader's.
		if verified.err != nil && !errors.Is(verified.err, io.EOF) {
			err = verified.err
		}
		return stored, false, err
	}
	return stored, created, h.deps.Catalog.RegisterUpload(ctx, tenant, catalog.Upload{
		Key: key, Size: stored.Size, CRC32: stored.CRC32, New: created, SHA256: &stored.SHA256, ETag: stored.ETag, Since: known.Since})
}

// dropErased registers erased audio that is in the bucket, so that it is deleted. A process that
// was killed during its upload may have left it there.
func (h *handler) dropErased(ctx context.Context, tenant, key string, sent objstore.Stored, since int64) error {
	existing, err := h.existing(ctx, key, sent.Size)
	if domain.KindOf(err) == domain.KindConflict { // other bytes
		return nil
	}
	if err != nil || existing == nil {
		return err
	}
	if sent.ETag = existing.ETag; sent != *existing {
		return nil
	}
	return h.deps.Catalog.RegisterUpload(ctx, tenant, catalog.Upload{Key: key, Size: sent.Size, CRC32: sent.CRC32, SHA256: &sent.SHA256, ETag: sent.ETag, Since: since})
}

// contentType gives the object's content type. Stores sign it and keep it as a header, and agree
// only about plain characters in it. Error: KindInvalid.
func contentType(r *http.Request) (string, error) {
	t := r.Header.Get("Content-Type")
	if t == "" {
		return "application/octet-stream", nil
	}
	if len(t) > maxContentType || strings.ContainsFunc(t, func(c rune) bool { return c < ' ' || c > '~' }) {
		return "", domain.Errorf(domain.KindInvalid, "Content-Type must be at most %d characters of ASCII without tabs.", maxContentType)
	}
	return strings.Join(strings.Fields(t), " "), nil // signatures join several spaces to one
}

// put writes the body under a new key, or compares it with what is there. It gives the object's
// ETag in both cases.
func (h *handler) put(ctx context.Context, key string, body io.Reader, size int64, contentType string) (stored objstore.Stored, created bool, err error) {
	existing, err := h.existing(ctx, key, size)
	if err != nil {
		return stored, false, err
	}
	if existing != nil {
		stored, err = hashBody(body)
		stored.ETag = existing.ETag
		switch {
		case err != nil:
		case stored != *existing:
			err = otherBytes()
		default:
			err = h.deps.Audio.Sync(key) // its upload may not have ended
		}
		return stored, false, err
	}
	if h.deps.NoAudio != nil {
		return stored, false, h.deps.NoAudio
	}
	stored, err = h.deps.Audio.PutStream(ctx, key, body, size, contentType)
	if domain.KindOf(err) != domain.KindConflict {
		return stored, err == nil, err
	}
	// Another upload of the same key was faster.
	existing, err = h.existing(ctx, key, stored.Size)
	if err == nil && existing == nil {
		err = otherBytes()
	}
	if err != nil {
		return stored, false, err
	}
	if stored.ETag = existing.ETag; stored != *existing {
		err = otherBytes()
	}
	return stored, false, err
}

func otherBytes() error {
	return domain.Errorf(domain.KindConflict, "The object key exists already, with other bytes.")
}

// existing gives size, sums and ETag of the object under the key, nil when there is none. An object
// of another size than wanted is not read; -1 wants any size.
func (h *handler) existing(ctx context.Context, key string, size int64) (*objstore.Stored, error) {
	o, err := h.deps.Audio.Get(ctx, key, objstore.GetOptions{})
	if domain.KindOf(err) == domain.KindNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer o.Body.Close()
	if size >= 0 && size != o.Size {
		return nil, otherBytes()
	}
	stored, err := hashBody(o.Body)
	stored.ETag = o.ETag
	if err == nil && stored.Size != o.Size {
		err = domain.Errorf(domain.KindUnavailable, "the object store gave %d of %d bytes", stored.Size, o.Size)
	}
	return &stored, err
}

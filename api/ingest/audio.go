package ingest

import (
	"context"
	"encoding/hex"
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
)

// maxContentType bounds a content type, in bytes.
const maxContentType = 1024

// stands is the answer to audio that stands in the bucket.
type stands struct {
	ObjectKey string `json:"objectKey"`
	SizeBytes int64  `json:"sizeBytes"`
	CRC32     string `json:"crc32"`
	SHA256    string `json:"sha256"`
}

// audio takes one object in.
func (h *handler) audio(w http.ResponseWriter, r *http.Request) {
	tenant, ok := h.tenant(w, r)
	if !ok {
		return
	}
	key, err := objectKey(r)
	if err == nil {
		err = h.deps.Audio.CheckKey(key)
	}
	if err != nil {
		h.failed(w, r, "read the key", err)
		return
	}
	want, err := expectations(r)
	if err == nil {
		want.kind, err = contentType(r)
	}
	if err != nil {
		h.failed(w, r, "read the headers", err)
		return
	}
	stored, created, err := h.store(r.Context(), tenant, key, want, r.Body)
	if err != nil {
		h.failed(w, r, "store audio", err)
		return
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	web.JSON(w, r, status, stands{ObjectKey: key, SizeBytes: stored.Size, CRC32: fmt.Sprintf("%08x", stored.CRC32),
		SHA256: hex.EncodeToString(stored.SHA256[:])})
}

// objectKey is the rest of the path, unescaped once.
func objectKey(r *http.Request) (string, error) {
	key, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), audioPrefix))
	if err != nil {
		return "", domain.Errorf(domain.KindInvalid, "the object key is not escaped rightly")
	}
	return key, ingest.CheckObjectKey(key)
}

// store makes the key the tenant's, then puts the bytes there or finds them there, then tells the
// catalog. A crash in between leaves nothing that a repeat does not mend.
func (h *handler) store(ctx context.Context, tenant, key string, want expected, body io.Reader) (stored Stored, created bool, err error) {
	known, err := h.deps.Catalog.ReserveUpload(ctx, tenant, key)
	if err != nil {
		return stored, false, err
	}
	if err := want.meet(known); err != nil {
		return stored, false, err
	}
	checked := newChecked(body, want)
	stored, created, err = h.put(ctx, key, checked, want.size, want.kind)
	if err != nil {
		// The store reports a reader's error in its own words; the reason is the reader's.
		if checked.err != nil && !errors.Is(checked.err, io.EOF) {
			err = checked.err
		}
		return stored, false, err
	}
	return stored, created, h.deps.Catalog.RegisterUpload(ctx, tenant, catalog.Upload{Key: key, Size: stored.Size, CRC32: stored.CRC32, New: created})
}

// contentType gives what the object is to be called. Stores sign and keep it as a header, where they
// differ about everything but plain characters. Error: KindInvalid.
func contentType(r *http.Request) (string, error) {
	t := r.Header.Get("Content-Type")
	if t == "" {
		return "application/octet-stream", nil
	}
	if len(t) > maxContentType || strings.ContainsFunc(t, func(c rune) bool { return c < ' ' || c > '~' }) {
		return "", domain.Errorf(domain.KindInvalid, "Content-Type must be at most %d characters of ASCII without tabs.", maxContentType)
	}
	return strings.Join(strings.Fields(t), " "), nil // signatures see one space in the place of many
}

// put writes the body under a new key, or compares it with what is there.
func (h *handler) put(ctx context.Context, key string, body io.Reader, size int64, contentType string) (stored Stored, created bool, err error) {
	there, err := h.existing(ctx, key, size)
	if err != nil {
		return stored, false, err
	}
	if there != nil {
		if stored, err = describe(body); err == nil && stored != *there {
			err = differs()
		}
		return stored, false, err
	}
	stored, err = h.deps.Audio.Put(ctx, key, body, size, contentType)
	if domain.KindOf(err) != domain.KindConflict {
		return stored, err == nil, err
	}
	// Another upload of the same key was faster.
	there, err = h.existing(ctx, key, stored.Size)
	if err == nil && (there == nil || stored != *there) {
		err = differs()
	}
	return stored, false, err
}

func differs() error {
	return domain.Errorf(domain.KindConflict, "The object key exists already, with other bytes.")
}

// existing describes what stands under the key; nil when nothing does. An object that can't have
// the wanted size (-1: any) is not read.
func (h *handler) existing(ctx context.Context, key string, size int64) (*Stored, error) {
	body, has, err := h.deps.Audio.Get(ctx, key)
	if domain.KindOf(err) == domain.KindNotFound {
		return nil, nil // nothing there is an answer, not an error
	}
	if err != nil {
		return nil, err
	}
	defer body.Close()
	if size >= 0 && size != has {
		return nil, differs()
	}
	there, err := describe(body)
	if err == nil && there.Size != has {
		err = domain.Errorf(domain.KindUnavailable, "the object store gave %d of %d bytes", there.Size, has)
	}
	return &there, err
}

package objstore

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/callvault/callvault/internal/domain"
)

// Info describes an object.
type Info struct {
	Size         int64  // bytes
	ETag         string // without quotes
	ContentType  string
	LastModified time.Time
	CRC32        *uint32 // of the whole object (IEEE, as in ZIP); nil when the store does not return it
	Cold         bool    // in cold storage: its bytes can't be read before somebody restores it
	VersionID    string  // in a bucket that keeps versions; else ""
	Lock         Lock    // zero also when the credentials may not ask (s3:GetObjectRetention)
}

// GetOptions choose the bytes of an object to read.
type GetOptions struct {
	From    int64  // first byte
	To      int64  // one past the last byte; 0 reads to the end
	IfMatch string // the ETag that the object must have; empty takes any
	Version string // [Info].VersionID of the bytes to read; empty reads the newest
}

// Object is an object being read. Info.Size is the size of the whole object. Body has the bytes
// from From up to, not including, To, and must be closed.
type Object struct {
	Info
	From, To int64
	Body     io.ReadCloser
}

// Get opens an object in one request. Errors: not_found, conflict (another ETag, or shorter than
// the range), unreadable (cold storage), invalid, refused, store_fault, unavailable. When the
// connection breaks or stalls, Body's Read returns unavailable and does not retry; the caller may
// continue with From and IfMatch.
func (b *Bucket) Get(ctx context.Context, key string, opts GetOptions) (*Object, error) {
	if err := b.CheckKey(key); err != nil {
		return nil, err
	}
	if opts.From < 0 || opts.To < 0 || (opts.To > 0 && opts.To <= opts.From) {
		return nil, domain.Errorf(domain.KindInvalid, "read %s/%s: no range from %d to %d", b.name, key, opts.From, opts.To)
	}
	request := minio.GetObjectOptions{VersionID: opts.Version}
	ranged := opts.From > 0 || opts.To > 0
	if ranged {
		header := "bytes=" + strconv.FormatInt(opts.From, 10) + "-"
		if opts.To > 0 {
			header += strconv.FormatInt(opts.To-1, 10)
		}
		request.Set("Range", header)
	}
	if opts.IfMatch != "" {
		request.Set("If-Match", `"`+opts.IfMatch+`"`)
	}
	// The transport has a header timeout for each try. From the first byte on the watch limits
	// stalls.
	watch := newWatch(ctx, readTries*3*b.store.cfg.StallTimeout)
	body, info, header, err := b.store.core.GetObject(watch.ctx, b.name, key, request)
	watch.pause()
	if err != nil {
		defer watch.end()
		return nil, b.absent(ctx, key, b.failure(watch.ctx, "read", key, err))
	}
	object := &Object{Info: b.fromMinIO(info), From: opts.From, Body: &watchedBody{
		body: body, watch: watch, limit: b.store.cfg.StallTimeout, bucket: b, key: key,
	}}
	if err := object.span(header, opts, ranged); err != nil {
		err = errors.Join(err, object.Body.Close())
		return nil, domain.Wrap(domain.KindStoreFault, err, "read %s/%s: the object store did not answer the range asked for", b.name, key)
	}
	return object, nil
}

// span reads the whole size and the body's range from the answer.
func (o *Object) span(header http.Header, opts GetOptions, ranged bool) error {
	length := o.Size
	if !ranged {
		o.To = length
		return nil
	}
	answer := header.Get("Content-Range")
	rest, isBytes := strings.CutPrefix(answer, "bytes ")
	span, whole, hasWhole := strings.Cut(rest, "/")
	first, _, hasDash := strings.Cut(span, "-")
	size, sizeErr := strconv.ParseInt(whole, 10, 64)
	from, fromErr := strconv.ParseInt(first, 10, 64)
	if !isBytes || !hasWhole || !hasDash || sizeErr != nil || fromErr != nil || from != opts.From {
		return fmt.Errorf("Content-Range is %q", answer)
	}
	o.Size, o.To = size, size
	if opts.To > 0 {
		o.To = min(opts.To, size)
	}
	if o.To-o.From != length {
		return fmt.Errorf("Content-Range is %q with %d bytes", answer, length)
	}
	return nil
}

// Stat describes an object without reading it. Errors: not_found, invalid, unavailable.
func (b *Bucket) Stat(ctx context.Context, key string) (Info, error) {
	return b.StatVersion(ctx, key, "")
}

// StatVersion is Stat of a version. Where version is "", it describes the newest.
func (b *Bucket) StatVersion(ctx context.Context, key, version string) (Info, error) {
	if err := b.CheckKey(key); err != nil {
		return Info{}, err
	}
	info, err := b.store.core.StatObject(ctx, b.name, key, minio.StatObjectOptions{Checksum: !b.store.noChecksums.Load(), VersionID: version})
	if err != nil {
		return Info{}, b.absent(ctx, key, b.failure(ctx, "look up", key, err))
	}
	return b.fromMinIO(info), nil
}

// absent checks that a missing object is not a missing bucket: the answer to a HEAD has no body
// that would say so, and a proxy can answer 404 too.
func (b *Bucket) absent(ctx context.Context, key string, err error) error {
	if domain.KindOf(err) != domain.KindNotFound {
		return err
	}
	if bucketErr := b.Check(ctx); bucketErr != nil {
		return domain.Wrap(domain.KindOf(bucketErr), bucketErr, "look up %s/%s", b.name, key)
	}
	return err
}

func (b *Bucket) fromMinIO(info minio.ObjectInfo) Info {
	version := info.VersionID
	if b.noVersions.Load() {
		version = ""
	}
	return Info{
		Size: info.Size, ETag: info.ETag, ContentType: info.ContentType,
		LastModified: info.LastModified, CRC32: wholeCRC(info.ChecksumCRC32, info.ChecksumMode), Cold: cold(info),
		VersionID: version, Lock: lockIn(info.Headers),
	}
}

// cold says whether the object is in a storage class that cannot be read, without a restored copy.
func cold(info minio.ObjectInfo) bool {
	switch info.Metadata.Get("x-amz-storage-class") {
	case "GLACIER", "DEEP_ARCHIVE":
		return info.Restore == nil || info.Restore.OngoingRestore
	}
	return info.Metadata.Get("x-amz-archive-status") != "" && (info.Restore == nil || info.Restore.OngoingRestore)
}

// wholeCRC decodes a CRC-32; nil for one that is made of the parts' checksums.
func wholeCRC(text, mode string) *uint32 {
	if mode != "" && mode != minio.ChecksumFullObjectMode.String() {
		return nil
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != 4 {
		return nil
	}
	sum := binary.BigEndian.Uint32(raw)
	return &sum
}

func encodeCRC(sum uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

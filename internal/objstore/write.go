package objstore

import (
	"bytes"
	"cmp"
	"context"
	"hash/crc32"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/minio/minio-go/v7"

	"github.com/callvault/callvault/internal/domain"
)

const (
	checksumHeader = "x-amz-checksum-crc32"
	checksumType   = "x-amz-checksum-type"
	// answerTimeout is how long a store may take to answer after the last byte of a part or a small
	// object.
	answerTimeout = 2 * time.Minute
	maxKeyLength  = 1024 // bytes; S3's limit
	maxFileName   = 255  // bytes; the limit of stores that keep keys as paths of a file system
)

// ContentTypeOf is the content type of an object of which only the key is known. It does not depend
// on the host, as package mime does.
func ContentTypeOf(key string) string {
	types := map[string]string{
		".ogg": "audio/ogg", ".oga": "audio/ogg", ".opus": "audio/ogg", ".wav": "audio/wav", ".mp3": "audio/mpeg",
		".m4a": "audio/mp4", ".mp4": "audio/mp4", ".webm": "audio/webm", ".flac": "audio/flac", ".zip": "application/zip",
	}
	return cmp.Or(types[strings.ToLower(path.Ext(key))], "application/octet-stream")
}

// PutOptions say how an object is written.
type PutOptions struct {
	ContentType string
	CRC32       *uint32 // what data's CRC-32 must be; computed when nil
	IfNoneMatch bool    // conflict when the key exists
	Lock        Lock    // of the version that is written
}

// UploadOptions say how an object is written in parts.
type UploadOptions struct {
	ContentType string
	PartSize    int64 // bytes of each part but the last; for the directory of objects
	Lock        Lock  // of the version that Complete makes
}

// Part is an uploaded part.
type Part struct {
	Number int // from 1
	ETag   string
	CRC32  uint32
	Size   int64
}

// CompleteOptions say how an upload is completed.
type CompleteOptions struct {
	IfNoneMatch bool // conflict when the key exists
}

// Put writes a small object in one request and returns its ETag. Errors: conflict, store_fault (a
// wrong CRC32), invalid, unavailable.
func (b *Bucket) Put(ctx context.Context, key string, data []byte, opts PutOptions) (string, error) {
	if err := b.CheckKey(key); err != nil {
		return "", err
	}
	sum := crc32.ChecksumIEEE(data)
	if opts.CRC32 != nil {
		sum = *opts.CRC32
	}
	request := minio.PutObjectOptions{
		ContentType:          opts.ContentType,
		DisableContentSha256: true, // the CRC-32 or Content-MD5 is checked; S3 demands one of them with a lock
		Mode:                 minio.RetentionMode(opts.Lock.Mode), RetainUntilDate: opts.Lock.Until,
	}
	digest, err := b.store.contentMD5(data, sum)
	if err != nil {
		return "", domain.Wrap(domain.KindOf(err), err, "write %s/%s", b.name, key)
	}
	if digest == "" {
		request.UserMetadata = map[string]string{checksumHeader: encodeCRC(sum)}
	}
	core := b.store.core
	if opts.IfNoneMatch {
		request.SetMatchETagExcept("*")
		// A repeat after a lost answer would find its own object and report a conflict.
		core = b.store.once
	}
	watch := newWatch(ctx, b.store.cfg.StallTimeout)
	defer watch.end()
	info, err := core.PutObject(watch.ctx, b.name, key, b.upload(watch, data), int64(len(data)), digest, "", request)
	if err != nil {
		return "", b.failure(watch.ctx, "write", key, err)
	}
	return info.ETag, nil
}

// NewUpload begins an upload in parts and returns its id. Nothing can be read under the key before
// Complete.
func (b *Bucket) NewUpload(ctx context.Context, key string, opts UploadOptions) (string, error) {
	if err := b.CheckKey(key); err != nil {
		return "", err
	}
	request := minio.PutObjectOptions{ContentType: opts.ContentType, Mode: minio.RetentionMode(opts.Lock.Mode), RetainUntilDate: opts.Lock.Until}
	if !b.store.noChecksums.Load() {
		request.UserMetadata = map[string]string{
			"x-amz-checksum-algorithm": "CRC32",
			// The checksum of the whole object, not of the parts' checksums.
			checksumType: minio.ChecksumFullObjectMode.String(),
		}
	}
	id, err := b.store.core.NewMultipartUpload(ctx, b.name, key, request)
	if err != nil {
		return "", b.failure(ctx, "begin an upload of", key, err)
	}
	return id, nil
}

// PutPart uploads part n, 1 to [MaxParts]. Parts may come in any order. All but the last have at
// least 5 MiB. A part whose CRC-32 is not sum is a store_fault. A part that is uploaded again
// replaces the former one. Errors also: lost, unavailable.
func (b *Bucket) PutPart(ctx context.Context, key, uploadID string, n int, data []byte, sum uint32) (Part, error) {
	if n < 1 || n > MaxParts {
		return Part{}, domain.Errorf(domain.KindInvalid, "upload %s/%s: there is no part %d", b.name, key, n)
	}
	digest, err := b.store.contentMD5(data, sum)
	if err != nil {
		return Part{}, domain.Wrap(domain.KindOf(err), err, "upload a part of %s/%s", b.name, key)
	}
	request := minio.PutObjectPartOptions{Md5Base64: digest, DisableContentSha256: true}
	if digest == "" {
		request.CustomHeader = http.Header{http.CanonicalHeaderKey(checksumHeader): {encodeCRC(sum)}}
	}
	watch := newWatch(ctx, b.store.cfg.StallTimeout)
	defer watch.end()
	part, err := b.store.core.PutObjectPart(watch.ctx, b.name, key, uploadID, n, b.upload(watch, data), int64(len(data)), request)
	if err != nil {
		return Part{}, b.failure(watch.ctx, "upload a part of", key, err)
	}
	return Part{Number: n, ETag: part.ETag, CRC32: sum, Size: int64(len(data))}, nil
}

// Complete makes one object of an upload's parts, given in any order, and returns its ETag. The
// request is sent once: after unavailable, look the key up. Errors also: conflict, lost (aborted,
// or completed already), store_fault.
func (b *Bucket) Complete(ctx context.Context, key, uploadID string, parts []Part, opts CompleteOptions) (string, error) {
	ordered := slices.SortedFunc(slices.Values(parts), func(x, y Part) int { return cmp.Compare(x.Number, y.Number) })
	list := make([]minio.CompletePart, len(ordered))
	for i, part := range ordered {
		list[i] = minio.CompletePart{PartNumber: part.Number, ETag: part.ETag}
		if !b.store.noChecksums.Load() {
			list[i].ChecksumCRC32 = encodeCRC(part.CRC32)
		}
	}
	var request minio.PutObjectOptions
	if !b.store.noChecksums.Load() {
		request.UserMetadata = map[string]string{checksumType: minio.ChecksumFullObjectMode.String()}
	}
	if opts.IfNoneMatch {
		request.SetMatchETagExcept("*")
	}
	info, err := b.store.once.CompleteMultipartUpload(ctx, b.name, key, uploadID, list, request)
	if err != nil {
		return "", b.failure(ctx, "publish", key, err)
	}
	return info.ETag, nil
}

// Abort ends an upload and removes its parts. An upload that does not exist is no error.
func (b *Bucket) Abort(ctx context.Context, key, uploadID string) error {
	err := b.store.core.AbortMultipartUpload(ctx, b.name, key, uploadID)
	if err == nil {
		return nil
	}
	err = b.failure(ctx, "abort the upload of", key, err)
	switch domain.KindOf(err) {
	case domain.KindLost:
		return nil
	case domain.KindNotFound:
		return b.Check(ctx)
	}
	return err
}

// Sync does nothing: a store that speaks S3 has what it acknowledged on disk.
func (b *Bucket) Sync(string) error { return nil }

func (b *Bucket) upload(watch *watch, data []byte) *watchedUpload {
	return &watchedUpload{
		data: bytes.NewReader(data), watch: watch,
		limit: b.store.cfg.StallTimeout, answer: max(answerTimeout, 2*b.store.cfg.StallTimeout),
	}
}

// RefuseLongParts sets whether keys with a part of more than 255 bytes are refused, from the next
// request on. It is for stores that cannot store them.
func (s *Store) RefuseLongParts(yes bool) { s.noLongParts.Store(yes) }

// CheckKey returns invalid for keys that no store takes.
func CheckKey(key string) error {
	switch {
	case key == "":
		return domain.Errorf(domain.KindInvalid, "an object key is empty")
	case len(key) > maxKeyLength:
		return domain.Errorf(domain.KindInvalid, "an object key has more than %d bytes", maxKeyLength)
	case !utf8.ValidString(key):
		return domain.Errorf(domain.KindInvalid, "an object key is not UTF-8")
	}
	return nil
}

// CheckKey is the function CheckKey, and also returns invalid for keys that this store is known not
// to take. It makes no request.
func (b *Bucket) CheckKey(key string) error {
	longPart := func(part string) bool { return len(part) > maxFileName }
	if b.store.noLongParts.Load() && slices.ContainsFunc(strings.Split(key, "/"), longPart) {
		return domain.Errorf(domain.KindInvalid, "an object key has a part of more than %d bytes, which the object store does not take", maxFileName)
	}
	return CheckKey(key)
}

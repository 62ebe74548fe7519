package objstore

import (
	"context"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// Bounds of a presigned URL's life, set by S3.
const (
	MinPresign = time.Second
	MaxPresign = 7 * 24 * time.Hour
)

// PresignOptions set headers of the answer to a presigned URL.
type PresignOptions struct {
	Filename    string // of Content-Disposition: attachment; none when empty
	ContentType string // the object's own when empty
	Version     string // [Info].VersionID of the bytes; the newest when empty
	Range       string // exact value of the Range header that requests must have; any or none when empty
}

// Presign returns a URL at the public endpoint with which anybody can GET the object for ttl,
// [MinPresign] to [MaxPresign]. It makes no request, so the object may not exist. The URL is a
// secret.
func (b *Bucket) Presign(ctx context.Context, key string, ttl time.Duration, opts PresignOptions) (string, error) {
	if err := b.CheckKey(key); err != nil {
		return "", err
	}
	if ttl < MinPresign || ttl > MaxPresign {
		return "", domain.Errorf(domain.KindInvalid, "a presigned URL can't live %s", ttl)
	}
	query := url.Values{}
	if opts.Filename != "" {
		query.Set("response-content-disposition", disposition(opts.Filename))
	}
	if opts.ContentType != "" {
		query.Set("response-content-type", opts.ContentType)
	}
	if opts.Version != "" {
		query.Set("versionId", opts.Version)
	}
	signed := http.Header{}
	if opts.Range != "" {
		signed.Set("Range", opts.Range)
	}
	u, err := b.store.public.PresignHeader(ctx, http.MethodGet, b.name, key, ttl, query, signed)
	if err != nil {
		return "", b.failure(ctx, "presign", key, err)
	}
	return u.String(), nil
}

// disposition quotes ASCII names, and encodes others by RFC 2231.
func disposition(name string) string {
	plain := !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' })
	if plain {
		return `attachment; filename="` + name + `"`
	}
	return mime.FormatMediaType("attachment", map[string]string{"filename": name})
}

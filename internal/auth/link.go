package auth

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// linkVersion is the first byte of a link token's payload. Version 1 names no application.
const linkVersion = 2

// Link is what a link token grants: the bytes of one archive until a time.
type Link struct {
	domain.HourKey
	Revision int64
	Archive  string // the archive's token
	Expires  time.Time
	Holder   catalog.Holder // the application that got it
}

// SignLink returns the link's token.
func (k *Keyring) SignLink(ctx context.Context, l Link) string {
	payload := []byte{linkVersion, byte(l.Hour)}
	payload = binary.AppendVarint(payload, l.Expires.UnixMicro())
	payload = binary.AppendUvarint(payload, uint64(l.Revision))
	payload = binary.AppendUvarint(payload, uint64(l.Holder.Epoch))
	for _, text := range [...]string{l.Tenant, string(l.Day), l.Archive, l.Holder.ID} {
		payload = binary.AppendUvarint(payload, uint64(len(text)))
		payload = append(payload, text...)
	}
	return k.Sign(ctx, PurposeLink, "", payload)
}

// OpenLink verifies a link's token. It does not check the expiry, which the catalog's clock
// decides. Errors: KindUnauthorized, KindUnavailable.
func (k *Keyring) OpenLink(ctx context.Context, token string) (Link, error) {
	payload, err := k.Verify(ctx, PurposeLink, "", token)
	if err != nil {
		return Link{}, err
	}
	l, ok := parseLink(payload)
	if !ok {
		return Link{}, domain.Errorf(domain.KindUnauthorized, "the token is not genuine")
	}
	return l, nil
}

// parseLink reads a payload that SignLink wrote; ok is false when it is cut or has more bytes.
func parseLink(p []byte) (l Link, ok bool) {
	if len(p) < 2 || p[0] < 1 || p[0] > linkVersion || p[1] > 23 {
		return l, false
	}
	former := p[0] == 1
	l.Hour, p = int(p[1]), p[2:]
	expires, n := binary.Varint(p)
	if n <= 0 {
		return l, false
	}
	l.Expires, p = time.UnixMicro(expires).UTC(), p[n:]
	numbers := []*int64{&l.Revision, &l.Holder.Epoch}
	var day string
	texts := []*string{&l.Tenant, &day, &l.Archive, &l.Holder.ID}
	if former {
		numbers, texts = numbers[:1], texts[:3]
	}
	for _, to := range numbers {
		value, n := binary.Uvarint(p)
		if n <= 0 {
			return l, false
		}
		*to, p = int64(value), p[n:]
	}
	for _, to := range texts {
		size, n := binary.Uvarint(p)
		if n <= 0 || size > uint64(len(p)-n) {
			return l, false
		}
		*to, p = string(p[n:n+int(size)]), p[n+int(size):]
	}
	var err error
	l.Day, err = domain.ParseDay(day)
	return l, err == nil && len(p) == 0
}

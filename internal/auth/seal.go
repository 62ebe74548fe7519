package auth

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"slices"

	"github.com/callvault/callvault/internal/domain"
)

const macBytes = 16 // 128 bits: nobody guesses one in a link's life

// strict refuses a text whose last character carries bits that nobody decodes, so that a token has
// one spelling.
func strict() *base64.Encoding { return base64.RawURLEncoding.Strict() }

// Seal makes an opaque token of payload: key id, payload, MAC, in base64url. The payload can be
// read by whoever has the token, but not changed. about is signed with it and not contained.
func (k *Keyring) Seal(ctx context.Context, purpose Purpose, about string, payload []byte) string {
	r := k.fresh(ctx)
	id := r.current[purpose]
	raw, _ := hex.DecodeString(id) // ids are made by newKey alone
	text := slices.Concat(raw, payload)
	return strict().EncodeToString(append(text, r.secrets[id].mac(purpose, about, text)...))
}

func (k secretKey) mac(purpose Purpose, about string, text []byte) []byte {
	h, _ := k.macs.Get().(hash.Hash) // the pool holds nothing else
	defer k.macs.Put(h)
	h.Reset()
	for _, part := range []string{string(purpose), about} {
		_, _ = h.Write([]byte(part)) // a hash never fails
		_, _ = h.Write([]byte{0})    // neither part contains it, so no two subjects run together
	}
	_, _ = h.Write(text)
	return h.Sum(nil)[:macBytes]
}

// Unseal gives the payload of a token that Seal made for the same purpose and about. Errors:
// KindUnauthorized for every other text, KindUnavailable when the key can't be looked up.
func (k *Keyring) Unseal(ctx context.Context, purpose Purpose, about, token string) ([]byte, error) {
	refused := domain.Errorf(domain.KindUnauthorized, "the token is not genuine")
	text, err := strict().DecodeString(token)
	if err != nil || len(text) < keyIDBytes+macBytes {
		return nil, refused
	}
	// DecodeString skips line breaks, so a token could be spelled in more than one way.
	if strict().EncodedLen(len(text)) != len(token) {
		return nil, refused
	}
	id := hex.EncodeToString(text[:keyIDBytes])
	key, known, err := find(ctx, k, id, func(r *ring) map[string]secretKey { return r.secrets })
	if err != nil {
		return nil, err
	}
	signed, sum := text[:len(text)-macBytes], text[len(text)-macBytes:]
	if !known || key.purpose != purpose || !hmac.Equal(sum, key.mac(purpose, about, signed)) {
		return nil, refused
	}
	return signed[keyIDBytes:], nil
}

package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"

	"github.com/callvault/callvault/internal/domain"
)

const macBytes = 16 // 128 bits cannot be guessed while a link is valid

// encoding refuses texts whose last character has unused bits set, so that a token has one
// spelling.
func encoding() *base64.Encoding { return base64.RawURLEncoding.Strict() }

// Sign makes a token of payload: key id, payload and MAC, in base64url. Whoever has the token can
// read the payload and cannot change it. The MAC also covers associated, which the token does not
// contain.
func (k *Keyring) Sign(ctx context.Context, purpose Purpose, associated string, payload []byte) string {
	r := k.fresh(ctx)
	id := r.current[purpose]
	text, _ := hex.DecodeString(id) // newKey made the id, so it is hex
	text = append(text, payload...)
	return encoding().EncodeToString(append(text, r.secrets[id].mac(associated, text)...))
}

// mac is the MAC of the key's purpose, the associated data and the text. Neither of the first two
// contains a zero byte, so its input is unambiguous.
func (k secretKey) mac(associated string, text []byte) []byte {
	h := hmac.New(sha256.New, k.material)
	_, _ = fmt.Fprintf(h, "%s\x00%s\x00%s", k.purpose, associated, text) // a hash never fails
	return h.Sum(nil)[:macBytes]
}

// Verify returns the payload of a token that Sign made for the same purpose and associated data.
// Errors: KindUnauthorized for every other text, KindUnavailable when the key can't be looked up.
func (k *Keyring) Verify(ctx context.Context, purpose Purpose, associated, token string) ([]byte, error) {
	refused := domain.Errorf(domain.KindUnauthorized, "the token is not genuine")
	text, err := encoding().DecodeString(token)
	if err != nil || len(text) < keyIDBytes+macBytes {
		return nil, refused
	}
	// DecodeString skips line breaks, so a token could be spelled in more than one way.
	if encoding().EncodedLen(len(text)) != len(token) {
		return nil, refused
	}
	id := hex.EncodeToString(text[:keyIDBytes])
	key, known, err := find(ctx, k, id, func(r *keySnapshot) map[string]secretKey { return r.secrets })
	if err != nil {
		return nil, err
	}
	signed, sum := text[:len(text)-macBytes], text[len(text)-macBytes:]
	if !known || key.purpose != purpose || !hmac.Equal(sum, key.mac(associated, signed)) {
		return nil, refused
	}
	return signed[keyIDBytes:], nil
}

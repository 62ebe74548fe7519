package auth

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/hex"
	"hash"

	"github.com/callvault/callvault/internal/domain"
)

const macBytes = 16 // 128 bits cannot be guessed while a link is valid

// encoding refuses texts whose last character has unused bits set, so that a token has one
// spelling.
func encoding() *base64.Encoding { return base64.RawURLEncoding.Strict() }

// Seal makes a token of payload: key id, payload and MAC, in base64url. Whoever has the token can
// read the payload and cannot change it. The MAC also covers associated, which the token does not
// contain.
func (k *Keyring) Seal(ctx context.Context, purpose Purpose, associated string, payload []byte) string {
	return string(k.sealer(ctx, purpose).append(nil, associated, payload))
}

// sealer makes tokens with the current key of a purpose.
type sealer struct {
	id      [keyIDBytes]byte
	key     secretKey
	purpose Purpose
}

func (k *Keyring) sealer(ctx context.Context, purpose Purpose) sealer {
	r := k.fresh(ctx)
	id := r.current[purpose]
	s := sealer{key: r.secrets[id], purpose: purpose}
	_, _ = hex.Decode(s.id[:], []byte(id)) // newKey made the id, so it is hex
	return s
}

// append appends the token that Seal returns.
func (s sealer) append(dst []byte, associated string, payload []byte) []byte {
	var space [256]byte
	text := append(append(space[:0], s.id[:]...), payload...)
	return encoding().AppendEncode(dst, s.key.appendMAC(text, s.purpose, associated, text))
}

// macState is the memory that computing a MAC takes, reused for the next one.
type macState struct {
	hash  hash.Hash // keyed
	input []byte
	sum   []byte
}

// appendMAC appends the MAC of the purpose, the associated data and the text.
func (k secretKey) appendMAC(dst []byte, purpose Purpose, associated string, text []byte) []byte {
	m, _ := k.macs.Get().(*macState) // the pool has no other type
	defer k.macs.Put(m)
	m.input = append(append(m.input[:0], purpose...), 0)
	m.input = append(append(m.input, associated...), 0) // neither contains a zero byte, so the input is unambiguous
	m.input = append(m.input, text...)
	m.hash.Reset()
	_, _ = m.hash.Write(m.input) // a hash never fails
	m.sum = m.hash.Sum(m.sum[:0])
	return append(dst, m.sum[:macBytes]...)
}

// Unseal returns the payload of a token that Seal made for the same purpose and associated data.
// Errors: KindUnauthorized for every other text, KindUnavailable when the key can't be looked up.
func (k *Keyring) Unseal(ctx context.Context, purpose Purpose, associated, token string) ([]byte, error) {
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
	if !known || key.purpose != purpose || !hmac.Equal(sum, key.appendMAC(nil, purpose, associated, signed)) {
		return nil, refused
	}
	return signed[keyIDBytes:], nil
}

package auth

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/hex"
	"hash"

	"github.com/callvault/callvault/internal/domain"
)

const macBytes = 16 // 128 bits: nobody guesses one in a link's life

// strict refuses a text whose last character carries bits that nobody decodes, so that a token has
// one spelling.
func strict() *base64.Encoding { return base64.RawURLEncoding.Strict() }

// Seal makes an opaque token of payload: key id, payload, MAC, in base64url. The payload can be
// read by whoever has the token, but not changed. about is signed with it and not contained.
func (k *Keyring) Seal(ctx context.Context, purpose Purpose, about string, payload []byte) string {
	return string(k.sealer(ctx, purpose).append(nil, about, payload))
}

// sealer is a purpose's current key at work.
type sealer struct {
	id      [keyIDBytes]byte
	key     secretKey
	purpose Purpose
}

func (k *Keyring) sealer(ctx context.Context, purpose Purpose) sealer {
	r := k.fresh(ctx)
	id := r.current[purpose]
	s := sealer{key: r.secrets[id], purpose: purpose}
	_, _ = hex.Decode(s.id[:], []byte(id)) // ids are made by newKey alone
	return s
}

// append appends what Seal gives.
func (s sealer) append(dst []byte, about string, payload []byte) []byte {
	var space [256]byte
	text := append(append(space[:0], s.id[:]...), payload...)
	return strict().AppendEncode(dst, s.key.appendMAC(text, s.purpose, about, text))
}

// macState is what a MAC is made with, kept for the next one.
type macState struct {
	hash    hash.Hash // keyed
	subject []byte
	sum     []byte
}

// appendMAC appends the MAC of a text and what it is about.
func (k secretKey) appendMAC(dst []byte, purpose Purpose, about string, text []byte) []byte {
	m, _ := k.macs.Get().(*macState) // the pool holds nothing else
	defer k.macs.Put(m)
	m.subject = append(append(m.subject[:0], purpose...), 0)
	m.subject = append(append(m.subject, about...), 0) // neither holds a zero byte, so no two subjects run together
	m.subject = append(m.subject, text...)
	m.hash.Reset()
	_, _ = m.hash.Write(m.subject) // a hash never fails
	m.sum = m.hash.Sum(m.sum[:0])
	return append(dst, m.sum[:macBytes]...)
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
	if !known || key.purpose != purpose || !hmac.Equal(sum, key.appendMAC(nil, purpose, about, signed)) {
		return nil, refused
	}
	return signed[keyIDBytes:], nil
}

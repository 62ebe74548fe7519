package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// Purpose says what a key signs.
type Purpose string

// The purposes; each has one current key.
const (
	PurposeAccess Purpose = "access" // access tokens: ES256
	PurposeLink   Purpose = "link"   // link tokens: HMAC-SHA-256
	PurposeCursor Purpose = "cursor" // cursors: HMAC-SHA-256
)

const (
	algorithmES256 = "ES256"
	algorithmHMAC  = "HS256"
	keyIDBytes     = 8
)

// box encrypts key material under the master key. A nil box stores it as it is.
type box struct{ aead cipher.AEAD }

// newBox makes a box of a master key; none of an empty one.
func newBox(master string) (*box, error) {
	if master == "" {
		return nil, nil
	}
	key, err := hkdf.Key(sha256.New, []byte(master), nil, "callvault signing keys", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the key encryption key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("derive the key encryption key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("derive the key encryption key: %w", err)
	}
	return &box{aead}, nil
}

// close encrypts material for the key of the given id and purpose: it opens for no other.
func (b *box) close(k catalog.SigningKey) []byte {
	return b.aead.Seal(nil, nil, k.Material, bound(k)) //nolint:gosec // this AEAD draws its nonce itself and takes none
}

func bound(k catalog.SigningKey) []byte { return []byte(k.Purpose + "/" + k.ID) }

// open gives a stored key's material. Error: KindInvalid when the master key is missing or wrong.
func (b *box) open(k catalog.SigningKey) ([]byte, error) {
	switch {
	case !k.Encrypted:
		return k.Material, nil
	case b == nil:
		return nil, domain.Errorf(domain.KindInvalid, "the signing keys in the catalog are encrypted; set CALLVAULT_MASTER_KEY to the key that they were made with")
	}
	material, err := b.aead.Open(nil, nil, k.Material, bound(k))
	if err != nil {
		return nil, domain.Errorf(domain.KindInvalid, "CALLVAULT_MASTER_KEY does not open the signing keys in the catalog; set it to the key that they were made with")
	}
	return material, nil
}

// newKey makes a fresh key for a purpose.
func newKey(purpose Purpose, b *box) (catalog.SigningKey, error) {
	var id [keyIDBytes]byte
	_, _ = rand.Read(id[:]) // crypto/rand never fails: it ends the process instead
	k := catalog.SigningKey{ID: hex.EncodeToString(id[:]), Purpose: string(purpose), Algorithm: algorithmHMAC}
	if purpose == PurposeAccess {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return k, fmt.Errorf("make a signing key: %w", err)
		}
		k.Algorithm = algorithmES256
		if k.Material, err = x509.MarshalPKCS8PrivateKey(private); err != nil {
			return k, fmt.Errorf("make a signing key: %w", err)
		}
	} else {
		k.Material = make([]byte, sha256.Size)
		_, _ = rand.Read(k.Material)
	}
	if b != nil {
		k.Material, k.Encrypted = b.close(k), true
	}
	return k, nil
}

// parsePrivate reads an ES256 key's material.
func parsePrivate(material []byte) (*ecdsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(material)
	if err != nil {
		return nil, fmt.Errorf("read a signing key: %w", err)
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("read a signing key: it is a %T", parsed)
	}
	return private, nil
}

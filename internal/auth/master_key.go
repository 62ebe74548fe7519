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
	"github.com/callvault/callvault/internal/catalog/erased"
	"github.com/callvault/callvault/internal/domain"
)

// Purpose says what a key signs.
type Purpose string

// The purposes. Each has one current key.
const (
	PurposeAccess Purpose = "access" // access tokens: ES256
	PurposeLink   Purpose = "link"   // link tokens: HMAC-SHA-256
	PurposeCursor Purpose = "cursor" // cursors: HMAC-SHA-256

	purposeErasure Purpose = erased.Purpose // hashes of what was erased: HMAC-SHA-256
)

const (
	algorithmES256 = "ES256"
	algorithmHMAC  = "HS256"
	keyIDBytes     = 8
)

// masterKey encrypts what the catalog stores. A nil masterKey leaves it unencrypted.
type masterKey struct{ aead cipher.AEAD }

// newMasterKey derives the key from the configured text. It returns nil for an empty text.
func newMasterKey(master string) (*masterKey, error) {
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
	return &masterKey{aead}, nil
}

// encrypt encrypts plain. Only decrypt with the same associated data gives it back.
func (m *masterKey) encrypt(plain []byte, associated string) []byte {
	return m.aead.Seal(nil, nil, plain, []byte(associated)) //nolint:gosec // this AEAD makes its nonce itself
}

func (m *masterKey) decrypt(data []byte, associated string) ([]byte, error) {
	return m.aead.Open(nil, nil, data, []byte(associated))
}

// associatedData binds a stored key's material to its purpose and id.
func associatedData(k catalog.SigningKey) string { return k.Purpose + "/" + k.ID }

// material decrypts a stored key's material. Error: KindInvalid when the master key is missing or
// wrong.
func (m *masterKey) material(k catalog.SigningKey) ([]byte, error) {
	switch {
	case !k.Encrypted:
		return k.Material, nil
	case m == nil:
		return nil, domain.Errorf(domain.KindInvalid, "the signing keys in the catalog are encrypted; set CALLVAULT_MASTER_KEY to the key that they were made with")
	}
	material, err := m.decrypt(k.Material, associatedData(k))
	if err != nil {
		return nil, domain.Errorf(domain.KindInvalid, "CALLVAULT_MASTER_KEY does not open the signing keys in the catalog; set it to the key that they were made with")
	}
	return material, nil
}

// ErasureKey returns what decrypts the key of the hashes of erased ids. Error: KindInvalid when the
// master key is missing or wrong.
func ErasureKey(master string) func(erased.Key) ([]byte, error) {
	return func(k erased.Key) ([]byte, error) {
		m, err := newMasterKey(master)
		if err != nil {
			return nil, err
		}
		return m.material(catalog.SigningKey{ID: k.ID, Purpose: erased.Purpose, Algorithm: k.Algorithm, Material: k.Material, Encrypted: k.Encrypted})
	}
}

func newKey(purpose Purpose, m *masterKey) (catalog.SigningKey, error) {
	if purpose == PurposeAccess {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return catalog.SigningKey{}, fmt.Errorf("make a signing key: %w", err)
		}
		material, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			return catalog.SigningKey{}, fmt.Errorf("make a signing key: %w", err)
		}
		return m.sealed(purpose, algorithmES256, material), nil
	}
	material := make([]byte, sha256.Size)
	_, _ = rand.Read(material) // never fails
	return m.sealed(purpose, algorithmHMAC, material), nil
}

// sealed gives a new key as it is stored.
func (m *masterKey) sealed(purpose Purpose, algorithm string, material []byte) catalog.SigningKey {
	var id [keyIDBytes]byte
	_, _ = rand.Read(id[:]) // never fails
	k := catalog.SigningKey{ID: hex.EncodeToString(id[:]), Purpose: string(purpose), Algorithm: algorithm, Material: material}
	if m != nil {
		k.Material, k.Encrypted = m.encrypt(material, associatedData(k)), true
	}
	return k
}

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

package auth

import (
	"github.com/callvault/callvault/internal/domain"
)

// Vault encrypts secrets that must be read again under the master key. Without one it stores
// them as they are.
type Vault struct{ box *box }

// NewVault makes a Vault. Its error is a fault in the program.
func NewVault(master string) (*Vault, error) {
	b, err := newBox(master)
	return &Vault{b}, err
}

// Encrypts says whether there is a master key.
func (v *Vault) Encrypts() bool { return v.box != nil }

// Seal gives what to store of a secret. It opens for the same about alone.
func (v *Vault) Seal(about string, plain []byte) (data []byte, encrypted bool) {
	if v.box == nil {
		return plain, false
	}
	return v.box.aead.Seal(nil, nil, plain, []byte(about)), true //nolint:gosec // this AEAD draws its nonce itself and takes none
}

// Open gives a secret that Seal stored. Error: KindInvalid when the master key is missing or wrong.
func (v *Vault) Open(about string, data []byte, encrypted bool) ([]byte, error) {
	if !encrypted {
		return data, nil
	}
	if v.box == nil {
		return nil, domain.Errorf(domain.KindInvalid, "the secret is encrypted; set CALLVAULT_MASTER_KEY to the key that it was stored with")
	}
	plain, err := v.box.aead.Open(nil, nil, data, []byte(about))
	if err != nil {
		return nil, domain.Errorf(domain.KindInvalid, "CALLVAULT_MASTER_KEY does not open the secret; set it to the key that it was stored with")
	}
	return plain, nil
}

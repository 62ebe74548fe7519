package auth

import (
	"github.com/callvault/callvault/internal/domain"
)

// Vault encrypts secrets that callvault must read again. Without a master key it leaves them
// unencrypted.
type Vault struct{ master *masterKey }

// NewVault makes a Vault. It fails only by a fault in the program.
func NewVault(master string) (*Vault, error) {
	m, err := newMasterKey(master)
	return &Vault{m}, err
}

// Seal returns what to store of a secret. Open needs the same associated data.
func (v *Vault) Seal(associated string, plain []byte) (data []byte, encrypted bool) {
	if v.master == nil {
		return plain, false
	}
	return v.master.encrypt(plain, associated), true
}

// Open returns a secret that Seal stored. Error: KindInvalid when the master key is missing or
// wrong.
func (v *Vault) Open(associated string, data []byte, encrypted bool) ([]byte, error) {
	if !encrypted {
		return data, nil
	}
	if v.master == nil {
		return nil, domain.Errorf(domain.KindInvalid, "the secret is encrypted; set CALLVAULT_MASTER_KEY to the key that it was stored with")
	}
	plain, err := v.master.decrypt(data, associated)
	if err != nil {
		return nil, domain.Errorf(domain.KindInvalid, "CALLVAULT_MASTER_KEY does not open the secret; set it to the key that it was stored with")
	}
	return plain, nil
}

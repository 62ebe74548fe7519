package auth

import (
	"context"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// ResealStore replaces all encrypted values by what two functions make of them, in one transaction.
type ResealStore interface {
	Reseal(ctx context.Context, key func(catalog.SigningKey) ([]byte, error), secret func(endpoint string, data []byte) ([]byte, error), o audit.Origin) (int, error)
}

// Reseal encrypts under master all that is encrypted under former, and returns how many values are
// under master then. associated gives the associated data of a webhook endpoint's secrets. A repeat
// changes nothing. Errors: KindInvalid when neither key decrypts a value, KindUnavailable.
func Reseal(ctx context.Context, store ResealStore, former, master string, associated func(endpoint string) string, o audit.Origin) (int, error) {
	before, err := newMasterKey(former)
	if err != nil {
		return 0, err
	}
	after, err := newMasterKey(master)
	if err != nil {
		return 0, err
	}
	if before == nil || after == nil {
		return 0, domain.Errorf(domain.KindInvalid, "both master keys are needed, the former one and the one in CALLVAULT_MASTER_KEY")
	}
	reseal := func(data []byte, associated, what, advice string) ([]byte, error) {
		if _, err := after.decrypt(data, associated); err == nil {
			return data, nil
		}
		plain, err := before.decrypt(data, associated)
		if err != nil {
			return nil, domain.Errorf(domain.KindInvalid, "neither master key opens %s; nothing was changed; %s", what, advice)
		}
		return after.encrypt(plain, associated), nil
	}
	return store.Reseal(ctx,
		func(k catalog.SigningKey) ([]byte, error) {
			return reseal(k.Material, associatedData(k), "the signing keys", "name the right ones")
		},
		func(endpoint string, data []byte) ([]byte, error) {
			return reseal(data, associated(endpoint), "the secret of webhook "+endpoint,
				"give it another one (callvault webhook rotate --grace 0, with the master key that the roles use) or delete it, then try again")
		}, o)
}

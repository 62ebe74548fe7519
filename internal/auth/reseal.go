package auth

import (
	"context"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// ResealStore passes all that is stored encrypted through two functions, in one transaction.
type ResealStore interface {
	Reseal(ctx context.Context, key func(catalog.SigningKey) ([]byte, error), secret func(endpoint string, data []byte) ([]byte, error)) (int, error)
}

// Reseal encrypts under master what stands encrypted under former, and says how much stands under
// master then. about is what a webhook endpoint's secrets are sealed for. Saying it again changes
// nothing. Errors: KindInvalid when neither key opens something, KindUnavailable.
func Reseal(ctx context.Context, store ResealStore, former, master string, about func(endpoint string) string) (int, error) {
	before, err := newBox(former)
	if err != nil {
		return 0, err
	}
	after, err := newBox(master)
	if err != nil {
		return 0, err
	}
	if before == nil || after == nil {
		return 0, domain.Errorf(domain.KindInvalid, "both master keys are needed, the former one and the one in CALLVAULT_MASTER_KEY")
	}
	reseal := func(bound, data []byte, what, way string) ([]byte, error) {
		if _, err := after.aead.Open(nil, nil, data, bound); err == nil {
			return data, nil
		}
		plain, err := before.aead.Open(nil, nil, data, bound)
		if err != nil {
			return nil, domain.Errorf(domain.KindInvalid, "neither master key opens %s; nothing was changed; %s", what, way)
		}
		return after.aead.Seal(nil, nil, plain, bound), nil //nolint:gosec // this AEAD draws its nonce itself and takes none
	}
	return store.Reseal(ctx,
		func(k catalog.SigningKey) ([]byte, error) {
			return reseal(bound(k), k.Material, "the signing keys", "name the right ones")
		},
		func(endpoint string, data []byte) ([]byte, error) {
			return reseal([]byte(about(endpoint)), data, "the secret of webhook "+endpoint,
				"give it another one (callvault webhook rotate --grace 0, with the master key that the roles use) or delete it, then try again")
		})
}

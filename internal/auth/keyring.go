package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

const (
	// refreshEvery is how long a replica may not know that keys were rotated.
	refreshEvery = 30 * time.Second
	// keepRetired is longer than anything signed lives: links live 7 days at most.
	keepRetired = 8 * 24 * time.Hour
)

// KeyStore is where keys are kept. Its errors are KindUnavailable.
type KeyStore interface {
	SigningKeys(ctx context.Context) ([]catalog.SigningKey, time.Time, error)
	AddSigningKeys(ctx context.Context, fresh []catalog.SigningKey, rotate bool, keep time.Duration) (int, error)
	EncryptSigningKey(ctx context.Context, id string, material []byte) error
}

func purposes() []Purpose { return []Purpose{PurposeAccess, PurposeLink, PurposeCursor} }

// EnsureKeys makes the keys that are missing and says how many. Keys that stand unencrypted are
// encrypted when there is a master key now. Errors: KindInvalid for a wrong master key,
// KindUnavailable.
func EnsureKeys(ctx context.Context, store KeyStore, master string) (int, error) {
	b, err := newBox(master)
	if err != nil {
		return 0, err
	}
	stored, _, err := store.SigningKeys(ctx)
	if err != nil {
		return 0, err
	}
	current := map[Purpose]bool{}
	for _, k := range stored {
		if _, err := b.open(k); err != nil {
			return 0, err
		}
		if b != nil && !k.Encrypted {
			if err := store.EncryptSigningKey(ctx, k.ID, b.close(k)); err != nil {
				return 0, err
			}
		}
		if k.Retired.IsZero() {
			current[Purpose(k.Purpose)] = true
		}
	}
	var missing []Purpose
	for _, p := range purposes() {
		if !current[p] {
			missing = append(missing, p)
		}
	}
	return addKeys(ctx, store, b, missing, false)
}

// RotateKeys makes new keys for every purpose and says how many. What the old ones signed stays
// valid until it ends by itself. Errors as of EnsureKeys.
func RotateKeys(ctx context.Context, store KeyStore, master string) (int, error) {
	if _, err := EnsureKeys(ctx, store, master); err != nil { // a wrong master key must not make a mixture
		return 0, err
	}
	b, err := newBox(master)
	if err != nil {
		return 0, err
	}
	return addKeys(ctx, store, b, purposes(), true)
}

// CheckMaster says whether master opens every signing key: what is sealed under another one cannot
// be read by those who run. Errors: KindInvalid, KindUnavailable.
func CheckMaster(ctx context.Context, store KeyStore, master string) error {
	b, err := newBox(master)
	if err != nil {
		return err
	}
	stored, _, err := store.SigningKeys(ctx)
	if err != nil {
		return err
	}
	for _, k := range stored {
		if _, err := b.open(k); err != nil {
			return err
		}
	}
	return nil
}

func addKeys(ctx context.Context, store KeyStore, b *box, list []Purpose, rotate bool) (int, error) {
	if len(list) == 0 {
		return 0, nil
	}
	fresh := make([]catalog.SigningKey, 0, len(list))
	for _, p := range list {
		k, err := newKey(p, b)
		if err != nil {
			return 0, err
		}
		fresh = append(fresh, k)
	}
	return store.AddSigningKeys(ctx, fresh, rotate, keepRetired)
}

// Keyring is the keys as this replica knows them. It is safe for concurrent use.
type Keyring struct {
	store KeyStore
	box   *box
	now   func() time.Time
	mu    sync.Mutex // one reading at a time
	ring  atomic.Pointer[ring]
}

// ring is one reading of the keys.
type ring struct {
	read    time.Time                    // when its reading began
	private map[string]*ecdsa.PrivateKey // by key id
	secrets map[string]secretKey         // by key id
	current map[Purpose]string           // key id
	public  jose.JSONWebKeySet
}

type secretKey struct {
	purpose Purpose
	macs    *sync.Pool // *macState
}

// OpenKeyring reads the keys. Errors: KindInvalid when the master key is missing or wrong,
// KindUnavailable when the catalog fails or a key was never made.
func OpenKeyring(ctx context.Context, store KeyStore, master string, now func() time.Time) (*Keyring, error) {
	b, err := newBox(master)
	if err != nil {
		return nil, err
	}
	k := &Keyring{store: store, box: b, now: now}
	_, err = k.reload(ctx, now())
	return k, err
}

// fresh gives the keys, read again when they are older than refreshEvery. While the catalog does
// not answer the known ones serve on: they were right a moment ago.
func (k *Keyring) fresh(ctx context.Context) *ring {
	r := k.ring.Load()
	if k.now().Sub(r.read) < refreshEvery {
		return r
	}
	if newer, err := k.reload(ctx, k.now().Add(-refreshEvery)); err == nil {
		return newer
	}
	return r
}

// reload reads the keys, unless somebody else began to after since.
func (k *Keyring) reload(ctx context.Context, since time.Time) (*ring, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r := k.ring.Load(); r != nil && r.read.After(since) {
		return r, nil
	}
	began := k.now()
	stored, _, err := k.store.SigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	r := &ring{read: began, private: map[string]*ecdsa.PrivateKey{}, secrets: map[string]secretKey{}, current: map[Purpose]string{}}
	for _, s := range stored {
		if err := r.add(s, k.box); err != nil {
			return nil, err
		}
	}
	for _, p := range purposes() {
		if r.current[p] == "" {
			return nil, domain.Errorf(domain.KindUnavailable, "the catalog holds no key for %s tokens; run: callvault migrate up", p)
		}
	}
	k.ring.Store(r)
	return r, nil
}

func (r *ring) add(s catalog.SigningKey, b *box) error {
	material, err := b.open(s)
	if err != nil {
		return err
	}
	if s.Retired.IsZero() {
		r.current[Purpose(s.Purpose)] = s.ID
	}
	switch s.Algorithm {
	case algorithmHMAC:
		r.secrets[s.ID] = secretKey{Purpose(s.Purpose), &sync.Pool{New: func() any { return &macState{hash: hmac.New(sha256.New, material)} }}}
	case algorithmES256:
		private, err := parsePrivate(material)
		if err != nil {
			return domain.Wrap(domain.KindBadCatalog, err, "a signing key in the catalog can't be read")
		}
		r.private[s.ID] = private
		r.public.Keys = append(r.public.Keys, jose.JSONWebKey{Key: &private.PublicKey, KeyID: s.ID, Algorithm: s.Algorithm, Use: "sig"})
	default: // of a newer version of this program
	}
	return nil
}

// find looks a key up in the known keys, and where it is not, in the catalog. All who miss one at
// the same time share a reading, so unknown ids cost no more than any other request.
func find[K any](ctx context.Context, k *Keyring, id string, of func(*ring) map[string]K) (key K, known bool, err error) {
	arrived := k.now()
	r := k.fresh(ctx)
	if key, known = of(r)[id]; known {
		return key, true, nil
	}
	if r, err = k.reload(ctx, arrived); err != nil {
		return key, false, err
	}
	key, known = of(r)[id]
	return key, known, nil
}

// Public gives the public keys of access tokens, retired ones too while they still verify.
func (k *Keyring) Public(ctx context.Context) jose.JSONWebKeySet { return k.fresh(ctx).public }

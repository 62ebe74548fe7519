package auth

import (
	"context"
	"crypto/ecdsa"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

const (
	// refreshEvery is how long a replica may use keys that were rotated elsewhere.
	refreshEvery = 30 * time.Second
	// unknownEvery is the shortest time between two reads for unknown keys: anybody can name one.
	unknownEvery = time.Second
	// maxRetired is longer than the life of anything signed: a link lives for 7 days at most.
	maxRetired = 8 * 24 * time.Hour
)

// KeyStore is where keys are kept. Its errors are KindUnavailable.
type KeyStore interface {
	SigningKeys(ctx context.Context) ([]catalog.SigningKey, error)
	AddSigningKeys(ctx context.Context, fresh []catalog.SigningKey, maxRetired time.Duration) (int, error)
	RotateSigningKeys(ctx context.Context, fresh []catalog.SigningKey, maxRetired time.Duration, o audit.Origin) error
	EncryptSigningKey(ctx context.Context, id string, material []byte) error
}

// purposes are those whose keys are rotated.
func purposes() []Purpose { return []Purpose{PurposeAccess, PurposeLink, PurposeCursor} }

// allPurposes also has the purposes whose keys stay for ever.
func allPurposes() []Purpose { return append(purposes(), purposeErasure) }

// readKeys reads the master key and the stored keys, and checks that it decrypts them. Errors:
// KindInvalid, KindUnavailable.
func readKeys(ctx context.Context, store KeyStore, master string) (*masterKey, []catalog.SigningKey, error) {
	m, err := newMasterKey(master)
	if err != nil {
		return nil, nil, err
	}
	stored, err := store.SigningKeys(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, k := range stored {
		if _, err := m.material(k); err != nil {
			return nil, nil, err
		}
	}
	return m, stored, nil
}

// encryptKeys is readKeys, and encrypts the keys that are stored unencrypted when there is a master
// key.
func encryptKeys(ctx context.Context, store KeyStore, master string) (*masterKey, []catalog.SigningKey, error) {
	m, stored, err := readKeys(ctx, store, master)
	if err != nil || m == nil {
		return nil, stored, err
	}
	for _, k := range stored {
		if k.Encrypted {
			continue
		}
		if err := store.EncryptSigningKey(ctx, k.ID, m.encrypt(k.Material, associatedData(k))); err != nil {
			return nil, nil, err
		}
	}
	return m, stored, nil
}

// EnsureKeys makes the keys that are missing and returns how many. It encrypts keys that are stored
// unencrypted when there is a master key. Errors: KindInvalid for a wrong master key,
// KindUnavailable.
func EnsureKeys(ctx context.Context, store KeyStore, master string) (int, error) {
	m, stored, err := encryptKeys(ctx, store, master)
	if err != nil {
		return 0, err
	}
	missing := slices.DeleteFunc(allPurposes(), func(p Purpose) bool {
		return slices.ContainsFunc(stored, func(k catalog.SigningKey) bool { return k.Retired.IsZero() && k.Purpose == string(p) })
	})
	if len(missing) == 0 {
		return 0, nil
	}
	fresh, err := newKeys(missing, m)
	if err != nil {
		return 0, err
	}
	return store.AddSigningKeys(ctx, fresh, maxRetired)
}

// RotateKeys makes a new key for every purpose but that of erasures, and returns how many. What the
// old keys signed stays valid until it expires. It encrypts as EnsureKeys does, with the same
// errors.
func RotateKeys(ctx context.Context, store KeyStore, master string, o audit.Origin) (int, error) {
	m, _, err := encryptKeys(ctx, store, master)
	if err != nil {
		return 0, err
	}
	fresh, err := newKeys(purposes(), m)
	if err != nil {
		return 0, err
	}
	return len(fresh), store.RotateSigningKeys(ctx, fresh, maxRetired, o)
}

// CheckMaster checks that master decrypts every signing key. Errors: KindInvalid, KindUnavailable.
func CheckMaster(ctx context.Context, store KeyStore, master string) error {
	_, _, err := readKeys(ctx, store, master)
	return err
}

func newKeys(list []Purpose, m *masterKey) ([]catalog.SigningKey, error) {
	fresh := make([]catalog.SigningKey, 0, len(list))
	for _, p := range list {
		k, err := newKey(p, m)
		if err != nil {
			return nil, err
		}
		fresh = append(fresh, k)
	}
	return fresh, nil
}

// Keyring holds the keys that this replica has read. It is safe for concurrent use.
type Keyring struct {
	store    KeyStore
	master   *masterKey
	now      func() time.Time
	mu       sync.Mutex // held while reading the keys
	unknown  time.Time  // when the last read for an unknown key began
	snapshot atomic.Pointer[keySnapshot]
}

// keySnapshot is what one read of the keys returned.
type keySnapshot struct {
	read    time.Time                    // when that read began
	private map[string]*ecdsa.PrivateKey // by key id
	secrets map[string]secretKey         // by key id
	current map[Purpose]string           // key id
	public  jose.JSONWebKeySet
}

type secretKey struct {
	purpose  Purpose
	material []byte
}

// OpenKeyring reads the keys. Errors: KindInvalid when the master key is missing or wrong,
// KindUnavailable when the catalog fails or a key was never made.
func OpenKeyring(ctx context.Context, store KeyStore, master string, now func() time.Time) (*Keyring, error) {
	m, err := newMasterKey(master)
	if err != nil {
		return nil, err
	}
	k := &Keyring{store: store, master: m, now: now}
	_, err = k.reload(ctx, now())
	return k, err
}

// fresh returns the keys, and reads them again when they are older than refreshEvery. While the
// catalog does not answer it returns the ones it has.
func (k *Keyring) fresh(ctx context.Context) *keySnapshot {
	r := k.snapshot.Load()
	if k.now().Sub(r.read) < refreshEvery {
		return r
	}
	if newer, err := k.reload(ctx, k.now().Add(-refreshEvery)); err == nil {
		return newer
	}
	return r
}

// reload reads the keys, unless another goroutine began to read them after since.
func (k *Keyring) reload(ctx context.Context, since time.Time) (*keySnapshot, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r := k.snapshot.Load(); r != nil && r.read.After(since) {
		return r, nil
	}
	return k.read(ctx)
}

// readUnknown reads the keys because a caller who arrived at a time misses one. It does not if such
// a read began less than unknownEvery before. So callers at the same time share a read.
func (k *Keyring) readUnknown(ctx context.Context, arrived time.Time) (*keySnapshot, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if arrived.Sub(k.unknown) < unknownEvery {
		return k.snapshot.Load(), nil
	}
	r, err := k.read(ctx)
	if err == nil {
		k.unknown = r.read
	}
	return r, err
}

// read reads the keys. The caller holds mu.
func (k *Keyring) read(ctx context.Context) (*keySnapshot, error) {
	began := k.now()
	stored, err := k.store.SigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	r := &keySnapshot{read: began, private: map[string]*ecdsa.PrivateKey{}, secrets: map[string]secretKey{}, current: map[Purpose]string{}}
	for _, s := range stored {
		if err := r.add(s, k.master); err != nil {
			return nil, err
		}
	}
	for _, p := range purposes() {
		if r.current[p] == "" {
			return nil, domain.Errorf(domain.KindUnavailable, "the catalog holds no key for %s tokens; run: callvault migrate up", p)
		}
	}
	k.snapshot.Store(r)
	return r, nil
}

func (r *keySnapshot) add(s catalog.SigningKey, m *masterKey) error {
	material, err := m.material(s)
	if err != nil {
		return err
	}
	if s.Retired.IsZero() {
		r.current[Purpose(s.Purpose)] = s.ID
	}
	switch s.Algorithm {
	case algorithmHMAC:
		r.secrets[s.ID] = secretKey{Purpose(s.Purpose), material}
	case algorithmES256:
		private, err := parsePrivate(material)
		if err != nil {
			return domain.Wrap(domain.KindBadCatalog, err, "a signing key in the catalog can't be read")
		}
		r.private[s.ID] = private
		r.public.Keys = append(r.public.Keys, jose.JSONWebKey{Key: &private.PublicKey, KeyID: s.ID, Algorithm: s.Algorithm, Use: "sig"})
	default: // a newer version of callvault made it
	}
	return nil
}

// find looks a key up in the keys read before, then in the catalog.
func find[K any](ctx context.Context, k *Keyring, id string, of func(*keySnapshot) map[string]K) (key K, known bool, err error) {
	arrived := k.now()
	r := k.fresh(ctx)
	if key, known = of(r)[id]; known {
		return key, true, nil
	}
	if r, err = k.readUnknown(ctx, arrived); err != nil {
		return key, false, err
	}
	key, known = of(r)[id]
	return key, known, nil
}

// Public returns the public keys of access tokens, including retired ones that still verify.
func (k *Keyring) Public(ctx context.Context) jose.JSONWebKeySet { return k.fresh(ctx).public }

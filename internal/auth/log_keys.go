package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/evidence"
)

// The log's key and the secret of its salts are stored like signing keys. RotateKeys leaves both
// alone: the key has a rotation of its own, and the secret stays for ever, because each leaf is
// made with it.
const (
	PurposeLog     Purpose = "log"      // checkpoints of the log: Ed25519
	PurposeLogSalt Purpose = "log_salt" // salts of its leaves: HMAC-SHA-256

	algorithmNote = "Ed25519"
	algorithmSalt = "HMAC-SHA-256" // not the name of the keys of links, so that it never signs one
)

// maxSigners bounds the keys that sign a checkpoint. Readers accept 100 signatures at most.
const maxSigners = 16

// LogKeyStore is where the log's keys are kept. Its errors are KindUnavailable.
type LogKeyStore interface {
	SigningKeys(ctx context.Context) ([]catalog.SigningKey, error)
	LogKeys(ctx context.Context) ([]catalog.LogKey, error)
	AddLogKeys(ctx context.Context, key catalog.NewLogKey, secret catalog.SigningKey, o audit.Origin) (int, error)
	RotateLogKey(ctx context.Context, key catalog.NewLogKey, maxRetired time.Duration, o audit.Origin) error
}

// EnsureLogKeys makes the log's key and the secret of its salts where they are missing. It returns
// how many it made.
func EnsureLogKeys(ctx context.Context, store LogKeyStore, master, origin string, o audit.Origin) (int, error) {
	stored, err := store.SigningKeys(ctx)
	if err != nil {
		return 0, err
	}
	current := 0
	for _, k := range stored {
		if p := Purpose(k.Purpose); k.Retired.IsZero() && (p == PurposeLog || p == PurposeLogSalt) {
			current++
		}
	}
	if current == 2 {
		return 0, nil
	}
	m, err := newMasterKey(master)
	if err != nil {
		return 0, err
	}
	key, err := newLogKey(origin, m)
	if err != nil {
		return 0, err
	}
	secret := make([]byte, sha256.Size)
	_, _ = rand.Read(secret) // never fails
	return store.AddLogKeys(ctx, key, m.sealed(PurposeLogSalt, algorithmSalt, secret), o)
}

// RotateLogKey makes a new key for the log and returns its public key. The former one goes on to
// sign beside it for eight days.
func RotateLogKey(ctx context.Context, store LogKeyStore, master, origin string, o audit.Origin) (public string, err error) {
	m, err := newMasterKey(master)
	if err != nil {
		return "", err
	}
	if _, err := OpenLogKeys(ctx, store, master, origin); err != nil { // a wrong master key changes nothing
		return "", err
	}
	key, err := newLogKey(origin, m)
	if err != nil {
		return "", err
	}
	return key.Verifier, store.RotateLogKey(ctx, key, maxRetired, o)
}

// HasLogSecret reports whether the secret of the salts was made.
func HasLogSecret(ctx context.Context, store LogKeyStore) (bool, error) {
	stored, err := store.SigningKeys(ctx)
	return slices.ContainsFunc(stored, func(k catalog.SigningKey) bool { return k.Purpose == string(PurposeLogSalt) }), err
}

func newLogKey(origin string, m *masterKey) (k catalog.NewLogKey, err error) {
	private, public, err := evidence.NewKey(origin)
	if err != nil {
		return k, fmt.Errorf("make a key of the log: %w", err)
	}
	return catalog.NewLogKey{SigningKey: m.sealed(PurposeLog, algorithmNote, []byte(private)), Verifier: public}, nil
}

// OpenLogKeys reads the keys of the log. Errors: KindInvalid when the master key is missing or
// wrong, KindUnavailable when the catalog fails or a key was never made.
func OpenLogKeys(ctx context.Context, store LogKeyStore, master, origin string) (evidence.Keys, error) {
	keys := evidence.Keys{Origin: origin}
	m, err := newMasterKey(master)
	if err != nil {
		return keys, err
	}
	stored, err := store.SigningKeys(ctx) // the current ones first
	if err != nil {
		return keys, err
	}
	for _, k := range stored {
		if p := Purpose(k.Purpose); p != PurposeLog && p != PurposeLogSalt {
			continue
		}
		material, err := m.material(k)
		if err != nil {
			return keys, err
		}
		if k.Purpose == string(PurposeLogSalt) {
			keys.Secret = material
			continue
		}
		if !k.Retired.IsZero() && (time.Since(k.Retired) > maxRetired || len(keys.Signers) == maxSigners) {
			continue
		}
		signer, err := note.NewSigner(string(material))
		if err != nil {
			return keys, domain.Wrap(domain.KindBadCatalog, err, "the log's key in the catalog can't be read")
		}
		keys.Signers = append(keys.Signers, signer)
	}
	public, err := store.LogKeys(ctx)
	if err != nil {
		return keys, err
	}
	for _, k := range public {
		keys.Verifiers = append(keys.Verifiers, k.Verifier)
	}
	if len(keys.Signers) == 0 || keys.Secret == nil || len(keys.Verifiers) == 0 {
		return keys, domain.Errorf(domain.KindUnavailable, "the catalog holds no key of the log; run: callvault migrate up")
	}
	return keys, nil
}

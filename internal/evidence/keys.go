package evidence

import (
	"crypto/rand"
	"encoding/base64"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"

	"github.com/callvault/callvault/client/dayseal"
	"github.com/callvault/callvault/internal/domain"
)

// Origin names the log of an installation in checkpoints and keys.
func Origin(installation string) string { return originHead + installation }

const originHead = "callvault/"

// Keys are what the log is signed and salted with.
type Keys struct {
	Origin    string
	Signers   []note.Signer // all private keys that are there; each signs
	Verifiers []string      // the public keys, former ones too
	Secret    []byte        // of the salts
}

// NewKey makes a key that signs checkpoints (Ed25519), as c2sp.org/signed-note writes private and
// public keys.
func NewKey(origin string) (private, public string, err error) {
	return note.GenerateKey(rand.Reader, origin)
}

// Policy accepts checkpoints of the log with this origin that one of the public keys has signed.
// Error: KindInvalid for a key that is none, or that is of another log.
func Policy(origin string, verifiers []string) (torchwood.Policy, error) {
	if len(verifiers) == 0 {
		return nil, domain.Errorf(domain.KindInvalid, "no public key of the log %s is known; run: callvault migrate up", origin)
	}
	keys, err := dayseal.ParseKeys([]byte(strings.Join(verifiers, "\n")))
	if err != nil {
		return nil, domain.Wrap(domain.KindInvalid, err, "a public key of the log in the catalog can't be read; restore its log_keys from a backup")
	}
	if keys.Name() != origin {
		return nil, domain.Errorf(domain.KindInvalid, "the public keys are of the log %s, not of %s", keys.Name(), origin)
	}
	return keys.Policy(), nil
}

// ParseKeys reads a file of public keys of one log. Each must be written as callvault writes it,
// though [dayseal.ParseKeys] reads others as well. Error: KindInvalid.
func ParseKeys(text string) (verifiers []string, err error) {
	if _, err := dayseal.ParseKeys([]byte(text)); err != nil {
		return nil, domain.Wrap(domain.KindInvalid, err, "read the public keys; callvault log key prints them")
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		_, rest, _ := strings.Cut(line, "+")
		hash, key, _ := strings.Cut(rest, "+")
		data, _ := base64.StdEncoding.DecodeString(key) // it was read already
		if hash != strings.ToLower(hash) || key != base64.StdEncoding.EncodeToString(data) {
			return nil, domain.Errorf(domain.KindInvalid, "key %d is not written as callvault log key prints it", len(verifiers)+1)
		}
		verifiers = append(verifiers, line)
	}
	return verifiers, nil
}

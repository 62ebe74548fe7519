package evidence

import (
	"crypto/rand"
	"encoding/base64"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"

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
	keys := make([]torchwood.Policy, 0, len(verifiers))
	known := map[uint32]bool{} // a policy of one key twice accepts nothing
	for i, text := range verifiers {
		v, err := note.NewVerifier(text)
		if err != nil { // what it is may be a private key, so that it is not shown
			return nil, domain.Wrap(domain.KindInvalid, err, "key %d is no public key of a log; callvault log key prints it", i+1)
		}
		if v.Name() != origin {
			return nil, domain.Errorf(domain.KindInvalid, "the public key %q is of another log than %s", text, origin)
		}
		if known[v.KeyHash()] {
			continue
		}
		known[v.KeyHash()] = true
		keys = append(keys, torchwood.SingleVerifierPolicy(v))
	}
	if len(keys) == 0 {
		return nil, domain.Errorf(domain.KindInvalid, "no public key of the log %s is known; run: callvault migrate up", origin)
	}
	return torchwood.ThresholdPolicy(2, torchwood.OriginPolicy(origin), torchwood.ThresholdPolicy(1, keys...)), nil
}

// ParseKeys reads a file of public keys: one a line, without empty lines and those that begin with
// #. All are of one log, whose origin it returns. Error: KindInvalid.
func ParseKeys(text string) (origin string, verifiers []string, err error) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			verifiers = append(verifiers, line)
		}
	}
	if len(verifiers) == 0 {
		return "", nil, domain.Errorf(domain.KindInvalid, "the file has no public key of a log; callvault log key prints it")
	}
	origin, _, _ = strings.Cut(verifiers[0], "+")
	if _, err := Policy(origin, verifiers); err != nil {
		return "", nil, err
	}
	for i, text := range verifiers {
		if !canonical(text) {
			return "", nil, domain.Errorf(domain.KindInvalid, "key %d is not written as callvault log key prints it", i+1)
		}
	}
	return origin, verifiers, nil
}

// canonical reports whether a public key is written in the one way in which callvault writes it.
// note.NewVerifier reads others as well.
func canonical(verifier string) bool {
	parts := strings.SplitN(verifier, "+", 3)
	if len(parts) != 3 {
		return false
	}
	data, err := base64.StdEncoding.DecodeString(parts[2])
	return err == nil && len(parts[1]) == 8 && parts[1] == strings.ToLower(parts[1]) && parts[2] == base64.StdEncoding.EncodeToString(data)
}

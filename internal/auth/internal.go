package auth

import (
	"crypto/sha256"
	"crypto/subtle"
)

// InternalToken is the secret that the platform's own services send as x-internal-token. Only its
// SHA-256 is kept.
type InternalToken struct {
	sum [sha256.Size]byte
	set bool
}

// NewInternalToken takes the configured token. An empty one matches nothing.
func NewInternalToken(token string) InternalToken {
	return InternalToken{sum: sha256.Sum256([]byte(token)), set: token != ""}
}

// Matches says whether a request's token is the configured one, in a time that does not depend on
// either.
func (t InternalToken) Matches(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(sum[:], t.sum[:]) == 1 && t.set
}

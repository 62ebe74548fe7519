package auth

import (
	"crypto/sha256"
	"sync"
)

// verifiedTokens bounds the memory of a tokenCache: an entry has some 600 bytes.
const verifiedTokens = 8192

// verifiedToken is what the signature of one of callvault's own access tokens was found to vouch
// for. Whether it still holds is asked for every request: its times, its key, its application.
type verifiedToken struct {
	key    string // key id
	claims accessClaims
}

// tokenCache spares the arithmetic of a signature for a token that comes again. Its keys are
// SHA-256 sums, so that it holds no token. The zero value is ready.
type tokenCache struct {
	mu     sync.RWMutex
	tokens map[[sha256.Size]byte]*verifiedToken
}

func (c *tokenCache) get(sum [sha256.Size]byte) *verifiedToken {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.tokens[sum]
}

func (c *tokenCache) put(sum [sha256.Size]byte, v *verifiedToken) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokens == nil {
		c.tokens = make(map[[sha256.Size]byte]*verifiedToken)
	}
	if _, known := c.tokens[sum]; !known && len(c.tokens) >= verifiedTokens {
		for victim := range c.tokens { // any will do
			delete(c.tokens, victim)
			break
		}
	}
	c.tokens[sum] = v
}

func (c *tokenCache) drop(sum [sha256.Size]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.tokens, sum)
}

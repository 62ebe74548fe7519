package auth

import (
	"crypto/sha256"
	"sync"
)

// maxCached bounds the memory of a tokenCache: an entry has some 600 bytes.
const maxCached = 8192

// verifiedToken holds the claims of one of callvault's own access tokens whose signature is valid.
// Its times, its key and its application are checked for every request.
type verifiedToken struct {
	key    string // key id
	claims accessClaims
}

// tokenCache remembers verified tokens, because verifying a signature takes long. It is keyed by
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
	if _, known := c.tokens[sum]; !known && len(c.tokens) >= maxCached {
		for old := range c.tokens {
			delete(c.tokens, old)
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

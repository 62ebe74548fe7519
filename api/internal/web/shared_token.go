package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/telemetry"
)

const (
	maxWrong     = 10 // tokens from one address in wrongWindow
	wrongWindow  = 10 * time.Minute
	maxAddresses = 10_000 // addresses in memory
)

// SharedToken is a secret that many callers share: the admin token or the internal token. Only its
// SHA-256 is in memory. Wrong tokens are logged, and limited by address. The right one always
// passes, so that callers behind one proxy can't lock each other out. Wrong ones are counted in
// memory, not in Redis, because the console is needed most while Redis is away.
type SharedToken struct {
	variable string // where operators set it
	sum      [sha256.Size]byte
	log      *zap.Logger
	now      func() time.Time

	mu sync.Mutex
	// The times of wrong tokens by address, oldest first. When recent is full it becomes former,
	// and what was in former is forgotten.
	recent, former map[string][]time.Time
}

// NewSharedToken makes the SharedToken that operators set by a variable. It gives nil for an empty
// token: no token matches a nil SharedToken.
func NewSharedToken(variable, token string, log *zap.Logger, now func() time.Time) *SharedToken {
	if token == "" {
		return nil
	}
	return &SharedToken{variable: variable, sum: sha256.Sum256([]byte(token)), log: log, now: now, recent: map[string][]time.Time{}}
}

// Check says whether a request has the right token and no other, in a time that does not depend on
// either. A positive wait means that too many wrong ones came from the request's address: this one
// is neither counted nor logged.
func (t *SharedToken) Check(r *http.Request, tokens ...string) (right bool, wait time.Duration) {
	if t == nil {
		return false, 0
	}
	if len(tokens) == 1 {
		if sum := sha256.Sum256([]byte(tokens[0])); subtle.ConstantTimeCompare(sum[:], t.sum[:]) == 1 {
			return true, 0
		}
	}
	remote := Remote(r)
	if wait = t.count(network(remote)); wait <= 0 {
		t.log.Warn("a wrong token was tried", zap.String("setting", t.variable), zap.String("remote", remote), telemetry.In(r.Context()))
	}
	return false, wait
}

// count counts a wrong token. A positive wait means that it was not counted.
func (t *SharedToken) count(address string) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.now()
	tries, known := t.recent[address]
	if !known {
		tries = t.former[address]
		if len(t.recent) >= maxAddresses/2 {
			t.recent, t.former = map[string][]time.Time{}, t.recent
		}
	}
	for len(tries) > 0 && at.Sub(tries[0]) >= wrongWindow {
		tries = tries[1:]
	}
	if len(tries) >= maxWrong {
		wait = wrongWindow - at.Sub(tries[0])
	} else {
		tries = append(tries, at)
	}
	t.recent[address] = tries
	return wait
}

// network gives what counts as one address. Of IPv6 it is the /64: a client can use all of it.
func network(remote string) string {
	addr, err := netip.ParseAddr(remote)
	if err != nil || addr.Unmap().Is4() {
		return remote
	}
	p, err := addr.Prefix(64)
	if err != nil {
		return remote
	}
	return p.String()
}

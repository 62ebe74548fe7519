package web

import (
	"sync"

	"github.com/callvault/callvault/internal/domain"
)

// The memory that answers and bodies may take in this process, in bytes. What a caller holds until
// it has read its answer counts, so one that does not read can't fill the memory.
const (
	budgetAll    = 48 << 20
	budgetCaller = 16 << 20
)

// Budget bounds the memory that answers and bodies take. A nil Budget has no bounds.
type Budget struct {
	mu      sync.Mutex
	used    int64
	callers map[string]int64
}

// NewBudget makes the Budget of a process.
func NewBudget() *Budget { return &Budget{callers: map[string]int64{}} }

// Acquire counts bytes for a caller, such as an API key. release must be called once. Who asks for
// more than a caller may have gets it while the caller has nothing else. Error: KindUnavailable when
// the caller or the process has too little left.
func (b *Budget) Acquire(caller string, bytes int64) (release func(), err error) {
	if b == nil {
		return func() {}, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	bytes = min(bytes, budgetAll)
	held := b.callers[caller]
	if held > 0 && held+bytes > budgetCaller {
		return nil, domain.Errorf(domain.KindUnavailable, "the caller has too many answers under way")
	}
	if b.used+bytes > budgetAll {
		return nil, domain.Errorf(domain.KindUnavailable, "too many answers are under way")
	}
	b.used += bytes
	b.callers[caller] = held + bytes
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.used -= bytes
		if b.callers[caller] -= bytes; b.callers[caller] <= 0 {
			delete(b.callers, caller)
		}
	}, nil
}

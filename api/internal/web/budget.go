package web

import (
	"sync"

	"github.com/callvault/callvault/internal/domain"
)

// The memory that answers and bodies may take in this process, in bytes. What a caller holds until
// it has read its answer counts, so one that does not read can't fill the memory. A tenant has less
// than all of it, so that its readers can't block other tenants.
const (
	budgetAll    = 48 << 20
	budgetTenant = 32 << 20
	budgetCaller = 16 << 20
)

// Budget bounds the memory that answers and bodies take. A nil Budget has no bounds.
type Budget struct {
	mu      sync.Mutex
	used    int64
	tenants map[string]int64
	callers map[budgetOwner]int64
}

type budgetOwner struct{ tenant, actor string }

// NewBudget makes the Budget of a process.
func NewBudget() *Budget {
	return &Budget{tenants: map[string]int64{}, callers: map[budgetOwner]int64{}}
}

// Acquire counts bytes for a tenant's caller, whom actor names as in the audit log. release must be
// called once. Who asks for more than a caller may have gets it while the caller has nothing else.
// Error: KindUnavailable when the caller, the tenant or the process has too little left.
func (b *Budget) Acquire(tenant, actor string, bytes int64) (release func(), err error) {
	if b == nil {
		return func() {}, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	bytes = min(bytes, budgetTenant)
	caller := budgetOwner{tenant, actor}
	held := b.callers[caller]
	switch {
	case held > 0 && held+bytes > budgetCaller:
		return nil, domain.Errorf(domain.KindUnavailable, "the caller has too many answers under way")
	case b.tenants[tenant]+bytes > budgetTenant:
		return nil, domain.Errorf(domain.KindUnavailable, "the tenant has too many answers under way")
	case b.used+bytes > budgetAll:
		return nil, domain.Errorf(domain.KindUnavailable, "too many answers are under way")
	}
	add := func(bytes int64) {
		b.used += bytes
		if b.tenants[tenant] += bytes; b.tenants[tenant] <= 0 {
			delete(b.tenants, tenant)
		}
		if b.callers[caller] += bytes; b.callers[caller] <= 0 {
			delete(b.callers, caller)
		}
	}
	add(bytes)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		add(-bytes)
	}, nil
}

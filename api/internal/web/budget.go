package web

import (
	"net/http"
	"sync"
	"time"

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

// Budget bounds the memory that answers and bodies take. When it is used up, a new request can get
// the memory of others that wait for their clients. Slow clients yield, as with downloads: else
// those of two tenants could have all of it for as long as Pace allows. Clients of a tenant that
// has more than an equal part yield to a tenant that will have at most that: else clients that ask
// again and again could have all of it, and none of them would be slow. The callers of a tenant
// share its part in the same way. So two requests never take the same memory from each other in
// turn. A nil Budget has no bounds.
type Budget struct {
	mu   sync.Mutex
	held shares[caller]
}

type caller struct{ tenant, actor string }

// NewBudget makes the Budget of a process.
func NewBudget() *Budget { return &Budget{held: shares[caller]{}} }

// Hold is memory that a request has of a Budget. A nil Hold is that of a nil Budget.
type Hold struct {
	share
	budget *Budget
	caller caller
}

// Acquire counts bytes for a tenant's caller. actor names the caller as in the audit log. Release
// must be called. A caller that has nothing else may have more than its part, for one large answer.
// Error: KindUnavailable when the caller, the tenant or the process has too little left.
func (b *Budget) Acquire(tenant, actor string, bytes int64) (*Hold, error) {
	if b == nil {
		return nil, nil
	}
	h := &Hold{share: share{mu: &b.mu}, budget: b, caller: caller{tenant, actor}}
	if err := h.Resize(bytes); err != nil {
		return nil, err
	}
	return h, nil
}

// Resize changes how much is counted. It has Acquire's error, after which the Hold is as before. It
// must not be called while the client is waited for.
func (h *Hold) Resize(bytes int64) error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost {
		return errLostShare
	}
	bytes = min(bytes, budgetTenant)
	actor, tenant := func(o caller) string { return o.actor }, func(o caller) string { return o.tenant }
	for _, bound := range []struct {
		bytes  int64
		counts func(caller) bool
		sharer func(caller) string // who shares the bytes
		text   string
	}{
		{budgetCaller, func(o caller) bool { return o == h.caller }, actor, "the caller has too many answers under way"},
		{budgetTenant, func(o caller) bool { return o.tenant == h.caller.tenant }, actor, "the tenant has too many answers under way"},
		{budgetAll, func(caller) bool { return true }, tenant, "too many answers are under way"},
	} {
		has := map[string]int64{}
		for s, o := range h.budget.held {
			if bound.counts(o) {
				has[bound.sharer(o)] += s.size
			}
		}
		will := has[bound.sharer(h.caller)] - h.size + bytes
		has[bound.sharer(h.caller)] = will
		part := bound.bytes / int64(len(has))
		yields := func(o caller) bool { return will <= part && has[bound.sharer(o)] > part }
		if !h.budget.held.makeRoom(max(0, bound.bytes-bytes)+h.size, bound.counts, yields) {
			return domain.Errorf(domain.KindUnavailable, "%s", bound.text)
		}
	}
	h.size = bytes
	h.budget.held[&h.share] = h.caller
	return nil
}

// Release gives the memory back. It may be called again.
func (h *Hold) Release() {
	if h != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.budget.held, &h.share)
	}
}

// Writer gives a writer to w. When its client is slow, TimedWriter gives the memory up to others.
func (h *Hold) Writer(w http.ResponseWriter) http.ResponseWriter {
	if h == nil {
		return w
	}
	return heldWriter{w, h}
}

type heldWriter struct {
	http.ResponseWriter
	hold *Hold
}

// Unwrap is for http.ResponseController.
func (w heldWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Read waits for a request's body by read. A body that takes longer than slowAfter is broken off
// when others need the memory.
func (h *Hold) Read(w http.ResponseWriter, read func() ([]byte, error)) ([]byte, error) {
	if h == nil {
		return read()
	}
	end := func() { _ = http.NewResponseController(w).SetReadDeadline(time.Now()) }
	if err := h.wait(time.Now(), end); err != nil {
		return nil, err
	}
	defer h.waited()
	return read()
}

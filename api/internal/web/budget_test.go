package web_test

import (
	"testing"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/domain"
)

func TestBudget(t *testing.T) {
	const mebibyte = 1 << 20
	b := web.NewBudget()
	acquire := func(tenant, actor string, bytes int64, fits bool) func() {
		t.Helper()
		release, err := b.Acquire(tenant, actor, bytes)
		if (err == nil) != fits || !fits && domain.KindOf(err) != domain.KindUnavailable {
			t.Errorf("%d bytes for %s of %s: %v", bytes, actor, tenant, err)
		}
		return release
	}
	first := acquire("t", "a", 10*mebibyte, true)
	acquire("t", "a", 7*mebibyte, false) // the caller has 16 MiB
	second := acquire("t", "a", 6*mebibyte, true)
	first()
	second()
	huge := acquire("t", "b", 1<<40, true) // alone
	acquire("t", "b", 1, false)
	acquire("t", "c", 1, false) // the tenant has 32 MiB
	third := acquire("u", "b", 16*mebibyte, true)
	acquire("v", "b", 1, false) // the process has 48 MiB
	huge()
	third()
	for _, actor := range []string{"a", "b"} {
		acquire("t", actor, 16*mebibyte, true)
	}
	acquire("t", "c", 1, false)
	acquire("u", "c", 16*mebibyte, true)
}

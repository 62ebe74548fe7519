package web_test

import (
	"testing"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/domain"
)

func TestBudget(t *testing.T) {
	const mebibyte = 1 << 20
	b := web.NewBudget()
	acquire := func(caller string, bytes int64, fits bool) func() {
		t.Helper()
		release, err := b.Acquire(caller, bytes)
		if (err == nil) != fits || !fits && domain.KindOf(err) != domain.KindUnavailable {
			t.Errorf("%d bytes for %s: %v", bytes, caller, err)
		}
		return release
	}
	first := acquire("a", 10*mebibyte, true)
	acquire("a", 7*mebibyte, false) // the caller has 16 MiB
	second := acquire("a", 6*mebibyte, true)
	first()
	second()
	huge := acquire("b", 1<<40, true) // alone
	acquire("b", 1, false)
	acquire("c", 1, false) // the process has 48 MiB
	huge()
	for _, caller := range []string{"a", "b", "c"} {
		acquire(caller, 16*mebibyte, true)
	}
	acquire("d", 1, false)
}

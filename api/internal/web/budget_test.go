package web_test

import (
	"io"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/domain"
)

func TestBudget(t *testing.T) {
	const mebibyte = 1 << 20
	b := web.NewBudget()
	acquire := func(tenant, actor string, bytes int64, fits bool) *web.Hold {
		t.Helper()
		hold, err := b.Acquire(tenant, actor, bytes)
		if (err == nil) != fits || !fits && domain.KindOf(err) != domain.KindUnavailable {
			t.Errorf("%d bytes for %s of %s: %v", bytes, actor, tenant, err)
		}
		return hold
	}
	first := acquire("t", "a", 10*mebibyte, true)
	acquire("t", "a", 7*mebibyte, false) // the caller has 16 MiB
	second := acquire("t", "a", 6*mebibyte, true)
	first.Release()
	second.Release()
	huge := acquire("t", "b", 1<<40, true) // alone
	acquire("t", "b", 1, false)
	acquire("t", "c", 1, false) // the tenant has 32 MiB
	third := acquire("u", "b", 16*mebibyte, true)
	acquire("v", "b", 1, false) // the process has 48 MiB
	huge.Release()
	third.Release()
	for _, actor := range []string{"a", "b"} {
		acquire("t", actor, 16*mebibyte, true)
	}
	acquire("t", "c", 1, false)
	acquire("u", "c", 16*mebibyte, true)
}

// TestHoldResizes changes what is counted.
func TestHoldResizes(t *testing.T) {
	const mebibyte = 1 << 20
	b := web.NewBudget()
	hold, err := b.Acquire("t", "a", 10*mebibyte)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{16, 2, 64, 1} { // 64: alone, it may have more than its part
		if err := hold.Resize(n * mebibyte); err != nil {
			t.Errorf("%d MiB: %v", n, err)
		}
	}
	other, err := b.Acquire("t", "a", 15*mebibyte)
	if err != nil {
		t.Fatal(err)
	}
	if err := hold.Resize(2 * mebibyte); domain.KindOf(err) != domain.KindUnavailable {
		t.Errorf("more than the caller has: %v", err)
	}
	other.Release()
	if err := hold.Resize(16 * mebibyte); err != nil {
		t.Error(err)
	}
}

// TestSlowClientsGiveMemory has all memory held by answers to clients of several speeds. Others get
// the memory of those that are slow, and of tenants that have more.
func TestSlowClientsGiveMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const mebibyte = 1 << 20
		b := web.NewBudget()
		ended := make(chan string, 10)
		var clients []net.Conn
		var all sync.WaitGroup
		defer func() {
			for _, c := range clients {
				_ = c.Close()
			}
			all.Wait()
		}()
		answer := func(tenant, actor string, bytes, bytesPerSecond int64) {
			hold, err := b.Acquire(tenant, actor, bytes)
			if err != nil {
				t.Fatalf("%s of %s: %v", actor, tenant, err)
			}
			server, client := net.Pipe()
			clients = append(clients, client)
			all.Go(func() {
				out := web.NewStream(hold.Writer(&piped{httptest.NewRecorder(), server}))
				for err := error(nil); err == nil; {
					_, err = out.Append(func(to []byte) ([]byte, error) { return append(to, make([]byte, mebibyte)...), nil })
				}
				hold.Release()
				_ = server.Close()
				ended <- actor
			})
			all.Go(func() {
				for err := error(nil); err == nil; {
					time.Sleep(time.Second)
					_, err = io.CopyN(io.Discard, client, bytesPerSecond)
				}
			})
		}
		refused := func(tenant string, bytes int64) {
			t.Helper()
			if _, err := b.Acquire(tenant, "new", bytes); domain.KindOf(err) != domain.KindUnavailable {
				t.Errorf("%s: %v", tenant, err)
			}
		}
		ends := func(tenant string, bytes int64, want string) {
			t.Helper()
			if _, err := b.Acquire(tenant, "honest", bytes); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			select {
			case got := <-ended:
				if got != want {
					t.Errorf("ended was %s instead of %s", got, want)
				}
			default:
				t.Errorf("%s was not ended", want)
			}
		}
		answer("c", "little", mebibyte, mebibyte)
		time.Sleep(time.Second / 4)
		answer("a", "unread", 16*mebibyte, 1)
		time.Sleep(time.Second / 4)
		answer("a", "read", 16*mebibyte, mebibyte)
		answer("b", "slow", 15*mebibyte, 32<<10)
		synctest.Wait()
		refused("a", 16*mebibyte) // more than an equal part of the tenant's
		refused("d", 32*mebibyte) // more than an equal part of all
		ends("d", mebibyte/2, "unread")
		time.Sleep(10 * time.Second)
		ends("e", 16*mebibyte, "slow")
		refused("f", 16*mebibyte)
	})
}

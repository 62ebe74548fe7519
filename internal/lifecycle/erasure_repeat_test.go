package lifecycle_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
	"github.com/callvault/callvault/internal/objstore"
)

// forget makes the catalog one that was restored from a backup of before all orders.
func (e *erasing) forget() {
	e.Helper()
	for _, table := range []string{"erasures", "erasure_targets", "erasure_hours", "erasure_objects", "erased"} {
		_, err := e.c.DB().ExecContext(e.ctx, `DELETE FROM `+table)
		e.must(err)
	}
}

// A repeated erasure waits for a hold that the restored catalog has, however often it is tried, and
// goes on as soon as that is released. Neither that nor an order that can't be read stops the other
// orders.
func TestErasureIsRepeatedUnderAHold(t *testing.T) {
	eraseOnBoth(t, func(e *erasing) {
		for _, id := range []string{"held", "free"} {
			e.whole(id)
			_, err := e.ask("r", id)
			e.must(err)
		}
		e.step()
		e.forget()
		e.must(e.take(catalog.Batch{Conversations: lines(conversation("held"), conversation("free"))}))
		e.hold("matter-7", "held")
		const unreadable = keyPrefix + "/erasures/er_0.json"
		_, err := e.archives.Put(e.ctx, unreadable, []byte("{"), objstore.PutOptions{})
		e.must(err)
		for range 2 {
			if err := e.eraser.Repeat(e.ctx); err == nil || e.rows("conversations") != 1 {
				e.Fatalf("%d conversations are there, want the held one: %v", e.rows("conversations"), err)
			}
		}
		e.must(e.archives.Remove(e.ctx, unreadable))
		e.wantKind(e.eraser.Repeat(e.ctx), domain.KindConflict)
		_, err = e.c.ReleaseHold(e.ctx, tenant, "matter-7", "it had been released", audit.Origin{Actor: "admin"})
		e.must(err)
		e.must(e.eraser.Repeat(e.ctx))
		if n := e.rows("conversations"); n != 0 {
			e.Errorf("%d conversations are there after the release", n)
		}
	})
}

// A conversation that an open order names is refused in a second one, which tells the first one's
// id.
func TestErasureIsOrderedOnce(t *testing.T) {
	eraseOnBoth(t, func(e *erasing) {
		e.whole("a")
		e.whole("b")
		stopped, stop := context.WithCancel(e.ctx)
		working := e.eraser
		e.eraser = lifecycle.NewEraser(e.c, e.bucket, orderThen{e.archives, stop}, keyPrefix, time.Now, zaptest.NewLogger(t))
		x, err := e.eraser.Ask(stopped, lifecycle.ErasureRequest{Tenant: tenant, Conversations: []string{"a"}, Reason: "r"})
		e.must(err)
		e.eraser = working
		_, err = e.ask("r", "a", "b")
		if e.wantKind(err, domain.KindConflict); !strings.Contains(err.Error(), x.ID) {
			e.Errorf("it is refused with %v", err)
		}
		if n := e.rows("erasures"); n != 1 {
			e.Errorf("there are %d orders", n)
		}
		_, err = e.ask("r", "b")
		e.must(err)
	})
}

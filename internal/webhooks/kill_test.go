package webhooks_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/webhooks"
)

// killVariable holds the database of a child that is killed.
const killVariable = "CALLVAULT_TEST_WEBHOOK_KILL"

// mute is a catalog in which outcomes are never stored.
type mute struct{ webhooks.Store }

func (mute) RecordDelivery(ctx context.Context, _ outbox.DeliveryClaim, _ outbox.DeliveryOutcome) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestKill kills a process by SIGKILL after it sent an event and before it stored the outcome. The
// event is sent again with the same id.
func TestKill(t *testing.T) {
	if url := os.Getenv(killVariable); url != "" {
		f := newFixture(t, url)
		f.deliverer(mute{f.catalog}, nil)
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed, or its parent is
		return
	}
	onBoth(t, func(f *fixture) {
		r := newReceiver(t, nil)
		_, secret := f.tenant("acme", r.URL)
		f.events("acme", 1)
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKill$")
		child.Env = append(os.Environ(), killVariable+"="+f.url)
		_, err := child.StdinPipe()
		f.must(err)
		f.must(child.Start())
		f.until("the child sends", func() bool { return len(r.all()) == 1 })
		f.must(child.Process.Kill())
		_ = child.Wait() // it was killed
		if d := f.log("acme")[0]; d.State != outbox.DeliveryPending || d.Attempts != 0 {
			t.Errorf("%+v", d)
		}
		f.deliverer(f.catalog, nil)
		f.advance(testLease + time.Minute) // its claim lapses
		f.untilState("acme", outbox.DeliveryDelivered, 1)
		if len(r.ids()) != 1 || len(r.all()) != 2 {
			t.Errorf("arrived: %v", r.ids())
		}
		for _, g := range r.all() {
			f.must(verified(secret, g))
		}
	})
}

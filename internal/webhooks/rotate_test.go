package webhooks_test

import (
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/webhooks"
)

// TestRotatedTwice: a second rotation, made because the first answer got lost, does not invalidate
// the secret that the receiver has. Each former secret signs until its own grace time ends.
func TestRotatedTwice(t *testing.T) {
	onBoth(t, func(f *fixture) {
		var err error
		f.vault, err = auth.NewVault("") // until there is a master key
		f.must(err)
		f.endpoints = webhooks.NewEndpoints(f.catalog, f.vault, webhooks.Rules{Private: true})
		r := newReceiver(t, nil)
		e, first := f.tenant("acme", r.URL)
		rotate := func(grace time.Duration) string {
			t.Helper()
			_, secret, err := f.endpoints.Rotate(t.Context(), "acme", e.ID, grace, audit.Origin{Actor: "test"})
			f.must(err)
			return secret
		}
		second := rotate(3 * time.Hour)
		f.vault, err = auth.NewVault(masterKey)
		f.must(err)
		f.endpoints = webhooks.NewEndpoints(f.catalog, f.vault, webhooks.Rules{Private: true})
		f.must(f.endpoints.SealAll(t.Context()))
		third := rotate(time.Hour)
		f.deliverer(f.catalog, nil)
		days := 0
		signs := func(what string, want ...bool) {
			t.Helper()
			days++
			f.events("acme", days)
			f.untilState("acme", outbox.DeliveryDelivered, days)
			got := r.all()[days-1]
			for i, secret := range []string{first, second, third} {
				if err := verified(secret, got); (err == nil) != want[i] {
					t.Errorf("%s: secret %d: %v", what, i+1, err)
				}
			}
		}
		signs("after two rotations", true, true, true)
		f.advance(2 * time.Hour)
		signs("when the second ended", true, false, true)
		f.advance(2 * time.Hour)
		signs("when the first ended", false, false, true)
		for range 9 {
			rotate(time.Hour)
		}
		signs("after many", false, false, false)
		if n := len(strings.Fields(r.all()[days-1].header.Get("webhook-signature"))); n != 5 {
			t.Errorf("%d signatures", n)
		}
		rotate(0)
		fresh, err := f.catalog.Endpoint(t.Context(), "acme", e.ID)
		if err != nil || fresh.Former.Data != nil {
			t.Errorf("after a rotation without grace something is left: %v", err)
		}
	})
}

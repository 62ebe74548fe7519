package webhooks_test

import (
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/webhooks"
)

// TestRotatedTwice: who asks twice for a new secret, because the first answer got lost, ends nothing
// that the receiver knows. Each former secret signs until its own end.
func TestRotatedTwice(t *testing.T) {
	onBoth(t, func(w *world) {
		var err error
		w.vault, err = auth.NewVault("") // until there is a master key
		w.must(err)
		w.endpoints = webhooks.NewEndpoints(w.catalog, w.vault, webhooks.Rules{Private: true})
		r := newReceiver(t, nil)
		e, first := w.tenant("acme", r.URL)
		rotate := func(grace time.Duration) string {
			t.Helper()
			_, secret, err := w.endpoints.Rotate(t.Context(), "acme", e.ID, grace, catalog.Origin{Actor: "test"})
			w.must(err)
			return secret
		}
		second := rotate(3 * time.Hour)
		w.vault, err = auth.NewVault(masterKey)
		w.must(err)
		w.endpoints = webhooks.NewEndpoints(w.catalog, w.vault, webhooks.Rules{Private: true})
		w.must(w.endpoints.SealAll(t.Context()))
		third := rotate(time.Hour)
		w.deliverer(w.catalog, nil)
		days := 0
		signs := func(what string, want ...bool) {
			t.Helper()
			days++
			w.events("acme", days)
			w.untilState("acme", catalog.DeliveryDelivered, days)
			got := r.all()[days-1]
			for i, secret := range []string{first, second, third} {
				if err := verified(secret, got); (err == nil) != want[i] {
					t.Errorf("%s: secret %d: %v", what, i+1, err)
				}
			}
		}
		signs("after two rotations", true, true, true)
		w.pass(2 * time.Hour)
		signs("when the second ended", true, false, true)
		w.pass(2 * time.Hour)
		signs("when the first ended", false, false, true)
		for range 9 {
			rotate(time.Hour)
		}
		signs("after many", false, false, false)
		if n := len(strings.Fields(r.all()[days-1].header.Get("webhook-signature"))); n != 5 {
			t.Errorf("%d signatures", n)
		}
		rotate(0)
		fresh, err := w.catalog.Endpoint(t.Context(), "acme", e.ID)
		if err != nil || fresh.Former.Data != nil {
			t.Errorf("after a rotation without grace something is left: %v", err)
		}
	})
}

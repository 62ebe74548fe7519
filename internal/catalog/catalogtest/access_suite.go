package catalogtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// RunAccess proves who may do what and what is counted and written down, on the catalogs that
// open gives, each empty and migrated.
func RunAccess(t *testing.T, open func(t *testing.T) *catalog.Catalog) {
	each(t, open, map[string]func(*bench){
		"applications":          applications,
		"last used":             lastUsed,
		"API keys":              apiKeys,
		"together":              together,
		"published API key":     publishedKey,
		"signing keys":          signingKeys,
		"day window":            dayWindow,
		"windows of the future": futureWindows,
		"downloads":             downloads,
		"windows are purged":    purgeWindows,
		"window of thousands":   largeWindow,
		"issue undone":          issueUndone,
		"audit":                 audit,
		"many at once":          manyAtOnce,
		"links keep archives":   linksKeep,
		"unknown day no trace":  unknownDay,
	})
}

// each runs the tests with a tenant and yesterday, each on a catalog of its own.
func each(t *testing.T, open func(t *testing.T) *catalog.Catalog, tests map[string]func(*bench)) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := &bench{T: t, c: open(t), ctx: t.Context(), tenant: "acme"}
			b.newTenant("acme", 3)
			b.day = domain.DayOf(b.now()).Add(-1)
			test(b)
		})
	}
}

func applications(b *bench) {
	_, _, err := b.c.CreateApplication(b.ctx, "nobody", "x", nil)
	b.wantKind(err, domain.KindNotFound)
	app, secret, err := b.c.CreateApplication(b.ctx, "acme", "billing", []string{"one", "two"})
	b.must(err)
	equal(b, "secret length", len(secret), len("cvs_")+43)
	got, err := b.c.AuthenticateApplication(b.ctx, app.ID, secret)
	b.must(err)
	equal(b, "application", fmt.Sprint(got.ID, got.Tenant, got.Name, got.Scopes), fmt.Sprint(app.ID, "acme", "billing", []string{"one", "two"}))
	for _, wrong := range [][2]string{{app.ID, secret + "x"}, {app.ID, ""}, {"app_x", secret}, {"", ""}} {
		_, err := b.c.AuthenticateApplication(b.ctx, wrong[0], wrong[1])
		b.wantKind(err, domain.KindUnauthorized)
	}
	fresh, err := b.c.RotateApplication(b.ctx, app.ID)
	b.must(err)
	_, err = b.c.AuthenticateApplication(b.ctx, app.ID, secret)
	b.wantKind(err, domain.KindUnauthorized)
	b.must(b.c.DisableApplication(b.ctx, app.ID, true))
	_, err = b.c.AuthenticateApplication(b.ctx, app.ID, fresh)
	b.wantKind(err, domain.KindUnauthorized)
	b.must(b.c.DisableApplication(b.ctx, app.ID, false))
	_, err = b.c.AuthenticateApplication(b.ctx, app.ID, fresh)
	b.must(err)
	second, _, err := b.c.CreateApplication(b.ctx, "acme", "other", nil)
	b.must(err)
	all, err := b.c.Applications(b.ctx, "acme", "", 10)
	b.must(err)
	equal(b, "applications", len(all), 2)
	rest, err := b.c.Applications(b.ctx, "acme", all[0].ID, 10)
	b.must(err)
	equal(b, "applications after the first", rest[0].ID, all[1].ID)
	b.must(b.c.DeleteApplication(b.ctx, second.ID))
	_, err = b.c.Application(b.ctx, second.ID)
	b.wantKind(err, domain.KindNotFound)
	b.wantKind(b.c.DeleteApplication(b.ctx, second.ID), domain.KindNotFound)
	b.wantKind(b.c.DisableApplication(b.ctx, second.ID, true), domain.KindNotFound)
	_, err = b.c.RotateApplication(b.ctx, second.ID)
	b.wantKind(err, domain.KindNotFound)
}

// lastUsed is written once a minute at most.
func lastUsed(b *bench) {
	app, secret, err := b.c.CreateApplication(b.ctx, "acme", "x", nil)
	b.must(err)
	use := func() time.Time {
		b.Helper()
		_, err := b.c.AuthenticateApplication(b.ctx, app.ID, secret)
		b.must(err)
		a, err := b.c.Application(b.ctx, app.ID)
		b.must(err)
		return a.LastUsed
	}
	first := use()
	equal(b, "used now", b.now().Sub(first) < time.Minute, true)
	b.pass(30 * time.Second)
	equal(b, "half a minute later", use(), first)
	b.pass(time.Minute)
	equal(b, "a minute later", use().After(first), true)
}

// together wants everything that is done in one transaction to stand, or nothing of it, and each to
// see what those before it did.
func together(b *bench) {
	unwanted := errors.New("unwanted")
	var app catalog.Application
	var key catalog.APIKey
	act := func(ctx context.Context) error {
		var err error
		app, _, err = b.c.CreateApplication(ctx, "acme", "billing", nil)
		b.must(err)
		b.must(b.c.DisableApplication(ctx, app.ID, true))
		seen, err := b.c.Application(ctx, app.ID)
		b.must(err)
		equal(b, "seen as disabled", seen.Disabled.IsZero(), false)
		key, _, err = b.c.CreateAPIKey(ctx, "acme", "analytics")
		b.must(err)
		keys, err := b.c.APIKeys(ctx, "acme", "", 9)
		b.must(err)
		equal(b, "keys seen", len(keys), 1)
		_, err = b.c.AddSigningKeys(ctx, []catalog.SigningKey{{ID: "k1", Purpose: "link", Algorithm: "HS256", Material: []byte("plain")}}, true, time.Hour)
		b.must(err)
		b.must(b.c.EncryptSigningKey(ctx, "k1", []byte("sealed")))
		stored, _, err := b.c.SigningKeys(ctx)
		b.must(err)
		equal(b, "signing key", string(stored[0].Material), "sealed")
		return b.c.AppendAudit(ctx, catalog.Origin{Actor: "command"}, "acme", "test", struct{}{})
	}
	lines := func() (n int) {
		b.must(b.c.Audit(b.ctx, "acme", b.now().Add(-time.Hour), b.now().Add(time.Hour), func(catalog.AuditEntry) error {
			n++
			return nil
		}))
		return n
	}
	err := b.c.Together(b.ctx, func(ctx context.Context) error {
		b.must(act(ctx))
		return unwanted
	})
	if !errors.Is(err, unwanted) {
		b.Fatalf("it ends with %v", err)
	}
	_, err = b.c.Application(b.ctx, app.ID)
	b.wantKind(err, domain.KindNotFound)
	_, err = b.c.APIKey(b.ctx, key.ID)
	b.wantKind(err, domain.KindNotFound)
	stored, _, err := b.c.SigningKeys(b.ctx)
	b.must(err)
	equal(b, "signing keys and lines of what was undone", len(stored)+lines(), 0)
	b.must(b.c.Together(b.ctx, act))
	_, err = b.c.Application(b.ctx, app.ID)
	b.must(err)
	_, err = b.c.APIKey(b.ctx, key.ID)
	b.must(err)
	equal(b, "lines", lines(), 1)
}

func apiKeys(b *bench) {
	key, secret, err := b.c.CreateAPIKey(b.ctx, "acme", "exports")
	b.must(err)
	got, tenant, err := b.c.AuthenticateAPIKey(b.ctx, secret)
	b.must(err)
	equal(b, "key and tenant", got.ID+tenant.ID, key.ID+"acme")
	for _, wrong := range []string{"", "x", secret + "x", secret[1:]} {
		_, _, err := b.c.AuthenticateAPIKey(b.ctx, wrong)
		b.wantKind(err, domain.KindUnauthorized)
	}
	fresh, err := b.c.RotateAPIKey(b.ctx, key.ID)
	b.must(err)
	_, _, err = b.c.AuthenticateAPIKey(b.ctx, secret)
	b.wantKind(err, domain.KindUnauthorized)
	b.must(b.c.DisableAPIKey(b.ctx, key.ID, true))
	_, _, err = b.c.AuthenticateAPIKey(b.ctx, fresh)
	b.wantKind(err, domain.KindUnauthorized)
	b.must(b.c.DisableAPIKey(b.ctx, key.ID, false))
	_, _, err = b.c.AuthenticateAPIKey(b.ctx, fresh)
	b.must(err)
	all, err := b.c.APIKeys(b.ctx, "acme", "", 10)
	b.must(err)
	equal(b, "keys", len(all), 1)
	equal(b, "used", all[0].LastUsed.IsZero(), false)
	b.must(b.c.DeleteAPIKey(b.ctx, key.ID))
	b.wantKind(b.c.DeleteAPIKey(b.ctx, key.ID), domain.KindNotFound)
}

func publishedKey(b *bench) {
	first, err := b.c.PutAPIKey(b.ctx, "acme", "demo", "ak_demo")
	b.must(err)
	again, err := b.c.PutAPIKey(b.ctx, "acme", "demo", "ak_demo")
	b.must(err)
	equal(b, "the same key", again.ID, first.ID)
	b.newTenant("other", 3)
	_, err = b.c.PutAPIKey(b.ctx, "other", "demo", "ak_demo")
	b.wantKind(err, domain.KindConflict)
}

// signingKeys begins several times at once: one key of each purpose is current.
func signingKeys(b *bench) {
	key := func(id string) catalog.SigningKey {
		return catalog.SigningKey{ID: id, Purpose: "link", Algorithm: "HS256", Material: []byte(id)}
	}
	var begin sync.WaitGroup
	results := make(chan error, 4)
	for i := range 4 {
		begin.Go(func() {
			_, err := b.c.AddSigningKeys(b.ctx, []catalog.SigningKey{key(fmt.Sprint("first", i))}, false, time.Hour)
			results <- err
		})
	}
	begin.Wait()
	close(results)
	for err := range results {
		b.must(err)
	}
	keys, _, err := b.c.SigningKeys(b.ctx)
	b.must(err)
	equal(b, "keys", len(keys), 1)
	_, err = b.c.AddSigningKeys(b.ctx, []catalog.SigningKey{key("second")}, true, time.Hour)
	b.must(err)
	keys, _, err = b.c.SigningKeys(b.ctx)
	b.must(err)
	equal(b, "the current one", keys[0].ID, "second")
	equal(b, "the other one is retired", keys[1].Retired.IsZero(), false)
	b.must(b.c.EncryptSigningKey(b.ctx, "second", []byte("sealed")))
	b.must(b.c.EncryptSigningKey(b.ctx, "second", []byte("twice")))
	keys, _, err = b.c.SigningKeys(b.ctx)
	b.must(err)
	equal(b, "encrypted once", fmt.Sprint(string(keys[0].Material), keys[0].Encrypted), "sealedtrue")
	b.pass(2 * time.Hour)
	_, err = b.c.AddSigningKeys(b.ctx, nil, false, time.Hour)
	b.must(err)
	keys, _, err = b.c.SigningKeys(b.ctx)
	b.must(err)
	equal(b, "keys after the retired one's time", len(keys), 1)
}

// issue asks for the bench's day. Its view is what was made of it, b.made counts how often.
func (b *bench) issue() (catalog.IssuedDay, error) {
	issued, err := b.c.IssueDay(b.ctx, catalog.DayRequest{Tenant: b.tenant, Day: b.day, LinkTTL: time.Hour,
		Origin: catalog.Origin{Actor: "app:x", Remote: "192.0.2.1", Request: "r1"},
		Make: func(v *catalog.DayView) any {
			b.made++
			return v
		}})
	issued.View, _ = issued.Made.(*catalog.DayView)
	return issued, err
}

func dayWindow(b *bench) {
	for want := 4; want >= 0; want-- {
		issued, err := b.issue()
		b.must(err)
		equal(b, "remaining", issued.Window.Remaining(), want)
		b.pass(time.Minute)
	}
	for range 3 {
		issued, err := b.issue()
		b.wantKind(err, domain.KindLimited)
		equal(b, "used", issued.Window.Used, 5)
		equal(b, "reset", issued.Window.Reset.Round(time.Minute), 55*time.Minute)
	}
	b.pass(54*time.Minute + 30*time.Second)
	_, err := b.issue()
	b.wantKind(err, domain.KindLimited)
	b.pass(30 * time.Second)
	_, err = b.issue()
	b.must(err)
	_, err = b.issue()
	b.wantKind(err, domain.KindLimited)
	a, err := b.c.DayAccess(b.ctx, "acme", "", b.day)
	b.must(err)
	equal(b, "as read", a.Window.Used, 5)
	_, err = b.c.DayAccess(b.ctx, "nobody", "", b.day)
	b.wantKind(err, domain.KindNotFound)
	b.pass(4 * 24 * time.Hour)
	_, err = b.issue()
	b.wantKind(err, domain.KindExpired)
}

func downloads(b *bench) {
	begin := func(hour int, continues bool) (catalog.Window, error) {
		return b.c.BeginDownload(b.ctx, catalog.Download{HourKey: b.key(hour), Token: "t", Continues: continues, Origin: catalog.Origin{Actor: "link"}})
	}
	w, err := begin(1, true) // continues nothing that was counted
	b.must(err)
	equal(b, "used", w.Used, 1)
	for range 4 {
		_, err = begin(1, false)
		b.must(err)
	}
	w, err = begin(1, true)
	b.must(err)
	equal(b, "used after a continuation", w.Used, 5)
	_, err = begin(1, false)
	b.wantKind(err, domain.KindLimited)
	w, err = begin(2, false) // another hour has its own
	b.must(err)
	equal(b, "used of the other hour", w.Used, 1)
	b.pass(time.Hour + time.Millisecond) // uses of one instant stand a microsecond apart
	w, err = begin(1, true)
	b.must(err)
	equal(b, "used an hour later", w.Used, 1)
}

func purgeWindows(b *bench) {
	_, err := b.issue()
	b.must(err)
	n, err := b.c.PurgeWindows(b.ctx, 10)
	b.must(err)
	equal(b, "purged at once", n, 0)
	b.pass(2*time.Hour + time.Second)
	n, err = b.c.PurgeWindows(b.ctx, 10)
	b.must(err)
	equal(b, "purged later", n, 1)
	issued, err := b.issue()
	b.must(err)
	equal(b, "used", issued.Window.Used, 1)
}

// largeWindow counts on past the point where old uses are forgotten.
func largeWindow(b *bench) {
	_, err := b.c.SetTenant(b.ctx, "acme", func(t *domain.Tenant) { t.DayLimit = 150 })
	b.must(err)
	for i := range 300 {
		if i == 150 {
			_, err := b.issue()
			b.wantKind(err, domain.KindLimited)
			b.pass(time.Hour + time.Second)
		}
		issued, err := b.issue()
		b.must(err)
		equal(b, "used", issued.Window.Used, i%150+1)
	}
	_, err = b.issue()
	b.wantKind(err, domain.KindLimited)
}

// issueUndone counts nothing for a caller who gave up.
func issueUndone(b *bench) {
	ctx, cancel := context.WithCancel(b.ctx)
	cancel()
	_, err := b.c.IssueDay(ctx, catalog.DayRequest{Tenant: "acme", Day: b.day, LinkTTL: time.Hour})
	equal(b, "cancelled", errors.Is(err, context.Canceled), true)
	a, err := b.c.DayAccess(b.ctx, "acme", "", b.day)
	b.must(err)
	equal(b, "used", a.Window.Used, 0)
}

package catalogtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// RunAccess tests applications, keys, limits and the audit log. open gives an empty, migrated
// catalog.
func RunAccess(t *testing.T, open func(t *testing.T) *catalog.Catalog) {
	each(t, open, map[string]func(*fixture){
		"applications":            applications,
		"last used":               lastUsed,
		"API keys":                apiKeys,
		"credentials are audited": credentialsAudited,
		"published API key":       publishedKey,
		"signing keys":            signingKeys,
		"day window":              dayWindow,
		"windows of the future":   futureWindows,
		"downloads":               downloads,
		"continuations":           continuations,
		"windows are purged":      purgeWindows,
		"window of thousands":     largeWindow,
		"issue undone":            issueUndone,
		"audit":                   auditLog,
		"many at once":            manyAtOnce,
		"links keep archives":     linksKeep,
		"unknown day no trace":    unknownDay,
	})
}

// each runs the tests with a tenant and yesterday, each on a catalog of its own.
func each(t *testing.T, open func(t *testing.T) *catalog.Catalog, tests map[string]func(*fixture)) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := &fixture{T: t, c: open(t), ctx: t.Context(), tenant: "acme"}
			f.newTenant("acme", 3)
			f.day = domain.DayOf(f.now()).Add(-1)
			test(f)
		})
	}
}

func applications(f *fixture) {
	_, _, err := f.c.CreateApplication(f.ctx, "nobody", "x", nil, audit.Origin{})
	f.wantKind(err, domain.KindNotFound)
	app, secret, err := f.c.CreateApplication(f.ctx, "acme", "billing", []string{"one", "two"}, audit.Origin{})
	f.must(err)
	equal(f, "secret length", len(secret), len("cvs_")+43)
	got, err := f.c.AuthenticateApplication(f.ctx, app.ID, secret)
	f.must(err)
	equal(f, "application", fmt.Sprint(got.ID, got.Tenant, got.Name, got.Scopes), fmt.Sprint(app.ID, "acme", "billing", []string{"one", "two"}))
	for _, wrong := range [][2]string{{app.ID, secret + "x"}, {app.ID, ""}, {"app_x", secret}, {"", ""}} {
		_, err := f.c.AuthenticateApplication(f.ctx, wrong[0], wrong[1])
		f.wantKind(err, domain.KindUnauthorized)
	}
	fresh, err := f.c.RotateCredential(f.ctx, catalog.CredentialApp, app.ID, audit.Origin{})
	f.must(err)
	_, err = f.c.AuthenticateApplication(f.ctx, app.ID, secret)
	f.wantKind(err, domain.KindUnauthorized)
	f.must(f.c.DisableCredential(f.ctx, catalog.CredentialApp, app.ID, true, audit.Origin{}))
	_, err = f.c.AuthenticateApplication(f.ctx, app.ID, fresh)
	f.wantKind(err, domain.KindUnauthorized)
	f.must(f.c.DisableCredential(f.ctx, catalog.CredentialApp, app.ID, false, audit.Origin{}))
	_, err = f.c.AuthenticateApplication(f.ctx, app.ID, fresh)
	f.must(err)
	second, _, err := f.c.CreateApplication(f.ctx, "acme", "other", nil, audit.Origin{})
	f.must(err)
	all, err := f.c.Credentials(f.ctx, catalog.CredentialApp, "acme", "", 10)
	f.must(err)
	equal(f, "applications", len(all), 2)
	rest, err := f.c.Credentials(f.ctx, catalog.CredentialApp, "acme", all[0].ID, 10)
	f.must(err)
	equal(f, "applications after the first", rest[0].ID, all[1].ID)
	f.must(f.c.DeleteCredential(f.ctx, catalog.CredentialApp, second.ID, audit.Origin{}))
	_, err = f.c.Application(f.ctx, second.ID)
	f.wantKind(err, domain.KindNotFound)
	f.wantKind(f.c.DeleteCredential(f.ctx, catalog.CredentialApp, second.ID, audit.Origin{}), domain.KindNotFound)
	f.wantKind(f.c.DisableCredential(f.ctx, catalog.CredentialApp, second.ID, true, audit.Origin{}), domain.KindNotFound)
	_, err = f.c.RotateCredential(f.ctx, catalog.CredentialApp, second.ID, audit.Origin{})
	f.wantKind(err, domain.KindNotFound)
}

// lastUsed checks that a last-used time is written at most once a minute.
func lastUsed(f *fixture) {
	app, secret, err := f.c.CreateApplication(f.ctx, "acme", "x", nil, audit.Origin{})
	f.must(err)
	use := func() time.Time {
		f.Helper()
		_, err := f.c.AuthenticateApplication(f.ctx, app.ID, secret)
		f.must(err)
		a, err := f.c.Application(f.ctx, app.ID)
		f.must(err)
		return a.LastUsed
	}
	first := use()
	equal(f, "used now", f.now().Sub(first) < time.Minute, true)
	f.pass(30 * time.Second)
	equal(f, "half a minute later", use(), first)
	f.pass(time.Minute)
	equal(f, "a minute later", use().After(first), true)
}

// credentialsAudited checks that each change of a credential leaves one line, and a refused one
// none.
func credentialsAudited(f *fixture) {
	o := audit.Origin{Actor: "command"}
	app, _, err := f.c.CreateApplication(f.ctx, "acme", "billing", nil, o)
	f.must(err)
	f.must(f.c.DisableCredential(f.ctx, catalog.CredentialApp, app.ID, true, o))
	f.must(f.c.DisableCredential(f.ctx, catalog.CredentialApp, app.ID, false, o))
	_, err = f.c.RotateCredential(f.ctx, catalog.CredentialApp, app.ID, o)
	f.must(err)
	f.must(f.c.DeleteCredential(f.ctx, catalog.CredentialApp, app.ID, o))
	f.wantKind(f.c.DeleteCredential(f.ctx, catalog.CredentialApp, app.ID, o), domain.KindNotFound)
	key, _, err := f.c.CreateAPIKey(f.ctx, "acme", "analytics", o)
	f.must(err)
	f.must(f.c.DisableCredential(f.ctx, catalog.CredentialKey, key.ID, true, o))
	f.must(f.c.DisableCredential(f.ctx, catalog.CredentialKey, key.ID, false, o))
	_, err = f.c.RotateCredential(f.ctx, catalog.CredentialKey, key.ID, o)
	f.must(err)
	f.must(f.c.DeleteCredential(f.ctx, catalog.CredentialKey, key.ID, o))
	_, _, err = f.c.CreateAPIKey(f.ctx, "nobody", "analytics", o)
	f.wantKind(err, domain.KindNotFound)
	var lines []string
	f.must(f.c.Audit(f.ctx, "acme", f.now().Add(-time.Hour), f.now().Add(time.Hour), func(e audit.Entry) error {
		if e.Actor != fixtureActor {
			lines = append(lines, e.Actor+" "+e.Action+" "+string(e.Detail))
		}
		return nil
	}))
	id, named := `{"id":"`+app.ID+`"`, `{"id":"`+key.ID+`"`
	equal(f, "lines", strings.Join(lines, "\n"), strings.Join([]string{
		"command app.create " + id + `,"name":"billing"}`, "command app.disable " + id + "}", "command app.enable " + id + "}",
		"command app.rotate " + id + "}", "command app.delete " + id + "}",
		"command key.create " + named + `,"name":"analytics"}`, "command key.disable " + named + "}", "command key.enable " + named + "}",
		"command key.rotate " + named + "}", "command key.delete " + named + "}",
	}, "\n"))
}

func apiKeys(f *fixture) {
	key, secret, err := f.c.CreateAPIKey(f.ctx, "acme", "exports", audit.Origin{})
	f.must(err)
	got, tenant, err := f.c.AuthenticateAPIKey(f.ctx, secret)
	f.must(err)
	equal(f, "key and tenant", got.ID+tenant.ID, key.ID+"acme")
	for _, wrong := range []string{"", "x", secret + "x", secret[1:]} {
		_, _, err := f.c.AuthenticateAPIKey(f.ctx, wrong)
		f.wantKind(err, domain.KindUnauthorized)
	}
	fresh, err := f.c.RotateCredential(f.ctx, catalog.CredentialKey, key.ID, audit.Origin{})
	f.must(err)
	_, _, err = f.c.AuthenticateAPIKey(f.ctx, secret)
	f.wantKind(err, domain.KindUnauthorized)
	f.must(f.c.DisableCredential(f.ctx, catalog.CredentialKey, key.ID, true, audit.Origin{}))
	_, _, err = f.c.AuthenticateAPIKey(f.ctx, fresh)
	f.wantKind(err, domain.KindUnauthorized)
	f.must(f.c.DisableCredential(f.ctx, catalog.CredentialKey, key.ID, false, audit.Origin{}))
	_, _, err = f.c.AuthenticateAPIKey(f.ctx, fresh)
	f.must(err)
	all, err := f.c.Credentials(f.ctx, catalog.CredentialKey, "acme", "", 10)
	f.must(err)
	equal(f, "keys", len(all), 1)
	equal(f, "used", all[0].LastUsed.IsZero(), false)
	f.must(f.c.DeleteCredential(f.ctx, catalog.CredentialKey, key.ID, audit.Origin{}))
	f.wantKind(f.c.DeleteCredential(f.ctx, catalog.CredentialKey, key.ID, audit.Origin{}), domain.KindNotFound)
}

func publishedKey(f *fixture) {
	first, err := f.c.PutAPIKey(f.ctx, "acme", "demo", "ak_demo", audit.Origin{})
	f.must(err)
	again, err := f.c.PutAPIKey(f.ctx, "acme", "demo", "ak_demo", audit.Origin{})
	f.must(err)
	equal(f, "the same key", again.ID, first.ID)
	f.newTenant("other", 3)
	_, err = f.c.PutAPIKey(f.ctx, "other", "demo", "ak_demo", audit.Origin{})
	f.wantKind(err, domain.KindConflict)
}

// signingKeys adds keys several times at once, and checks that each purpose has one current key.
func signingKeys(f *fixture) {
	key := func(id string) catalog.SigningKey {
		return catalog.SigningKey{ID: id, Purpose: "link", Algorithm: "HS256", Material: []byte(id)}
	}
	var begin sync.WaitGroup
	results := make(chan error, 4)
	for i := range 4 {
		begin.Go(func() {
			_, err := f.c.AddSigningKeys(f.ctx, []catalog.SigningKey{key(fmt.Sprint("first", i))}, time.Hour)
			results <- err
		})
	}
	begin.Wait()
	close(results)
	for err := range results {
		f.must(err)
	}
	keys, err := f.c.SigningKeys(f.ctx)
	f.must(err)
	equal(f, "keys", len(keys), 1)
	f.must(f.c.RotateSigningKeys(f.ctx, []catalog.SigningKey{key("second")}, time.Hour, audit.Origin{Actor: "command"}))
	keys, err = f.c.SigningKeys(f.ctx)
	f.must(err)
	equal(f, "the current one", keys[0].ID, "second")
	equal(f, "the other one is retired", keys[1].Retired.IsZero(), false)
	f.must(f.c.EncryptSigningKey(f.ctx, "second", []byte("sealed")))
	f.must(f.c.EncryptSigningKey(f.ctx, "second", []byte("twice")))
	keys, err = f.c.SigningKeys(f.ctx)
	f.must(err)
	equal(f, "encrypted once", fmt.Sprint(string(keys[0].Material), keys[0].Encrypted), "sealedtrue")
	f.pass(2 * time.Hour)
	_, err = f.c.AddSigningKeys(f.ctx, nil, time.Hour)
	f.must(err)
	keys, err = f.c.SigningKeys(f.ctx)
	f.must(err)
	equal(f, "keys after the retired one's time", len(keys), 1)
}

// dayRequest asks for the fixture's day on behalf of a tenant.
func (f *fixture) dayRequest(tenant string) catalog.DayRequest {
	return catalog.DayRequest{TokenClaims: catalog.TokenClaims{Tenant: tenant, Scopes: []string{"days"}}, Scope: "days", Day: f.day, LinkTTL: time.Hour,
		Origin: audit.Origin{Actor: "app:x", Remote: "192.0.2.1", Request: "r1"}}
}

// issue asks for the fixture's day.
func (f *fixture) issue() (catalog.IssuedDay, error) {
	return f.c.IssueDay(f.ctx, f.dayRequest(f.tenant))
}

func dayWindow(f *fixture) {
	for want := 4; want >= 0; want-- {
		issued, err := f.issue()
		f.must(err)
		equal(f, "remaining", issued.Window.Remaining(), want)
		f.pass(time.Minute)
	}
	for range 3 {
		issued, err := f.issue()
		f.wantKind(err, domain.KindLimited)
		equal(f, "used", issued.Window.Used, 5)
		equal(f, "reset", issued.Window.Reset.Round(time.Minute), 55*time.Minute)
	}
	f.pass(54*time.Minute + 30*time.Second)
	_, err := f.issue()
	f.wantKind(err, domain.KindLimited)
	f.pass(30 * time.Second)
	_, err = f.issue()
	f.must(err)
	_, err = f.issue()
	f.wantKind(err, domain.KindLimited)
	w, err := f.c.CheckDay(f.ctx, f.dayRequest("acme"))
	f.wantKind(err, domain.KindLimited)
	equal(f, "as read", w.Used, 5)
	_, err = f.c.CheckDay(f.ctx, f.dayRequest("nobody"))
	f.wantKind(err, domain.KindNotFound)
	f.pass(4 * 24 * time.Hour)
	_, err = f.issue()
	f.wantKind(err, domain.KindExpired)
}

func downloads(f *fixture) {
	begin := func(hour int, continues bool) (catalog.Window, error) {
		begun, err := f.c.BeginDownload(f.ctx, catalog.Download{HourKey: f.key(hour), Token: "t", Continues: continues, Origin: audit.Origin{Actor: "link"}})
		return begun.Window, err
	}
	w, err := begin(1, true) // continues a download that was not counted
	f.must(err)
	equal(f, "used", w.Used, 1)
	for range 4 {
		_, err = begin(1, false)
		f.must(err)
	}
	w, err = begin(1, true)
	f.must(err)
	equal(f, "used after a continuation", w.Used, 5)
	_, err = begin(1, false)
	f.wantKind(err, domain.KindLimited)
	w, err = begin(2, false) // another hour has its own limit
	f.must(err)
	equal(f, "used of the other hour", w.Used, 1)
	f.pass(time.Hour + time.Millisecond) // uses of one instant stand a microsecond apart
	w, err = begin(1, true)
	f.must(err)
	equal(f, "used an hour later", w.Used, 1)
}

// continuations spends the allowance of counted downloads.
func continuations(f *fixture) {
	d := catalog.Download{HourKey: f.key(1), Token: "t", Allowance: 100, Origin: audit.Origin{Actor: "link", Remote: "192.0.2.1"}}
	_, err := f.c.BeginDownload(f.ctx, d)
	f.must(err)
	spend := func(bytes int64, used int) catalog.BegunDownload {
		f.Helper()
		d.Continues, d.Spend = true, bytes
		begun, err := f.c.BeginDownload(f.ctx, d)
		f.must(err)
		equal(f, fmt.Sprint("used after ", bytes, " more bytes"), begun.Window.Used, used)
		return begun
	}
	spend(60, 1)
	spend(41, 2) // more than is left, so it is counted
	spend(100, 2)
	half := spend(40, 2)
	spend(1, 3)
	f.must(f.c.ReturnUnsent(f.ctx, d, half, 30))
	spend(100, 3)
	spend(30, 3)
	spend(1, 4)
	d.Origin.Remote = "192.0.2.2"
	spend(100, 4)
	spend(1, 5)
	spend(100, 5)
	_, err = f.c.BeginDownload(f.ctx, d)
	f.wantKind(err, domain.KindLimited)
	equal(f, "counted downloads in the audit log", f.told(catalog.ActionDownload), 5)
	equal(f, "addresses that continued them", f.told(catalog.ActionContinued), 2)
	f.pass(time.Hour)
	f.must(f.c.PurgeOnce(f.ctx, 10))
	d.Spend = 0
	spend(1, 1)
	spend(1, 1)
	equal(f, "addresses in the next hour, too", f.told(catalog.ActionContinued), 3)
	d.Until = f.now()
	spend(1, 1)
	equal(f, "the link of another application, too", f.told(catalog.ActionContinued), 4)
	d.Object = "another revision"
	spend(1, 1)
	equal(f, "another revision, too", f.told(catalog.ActionContinued), 5)
}

// told is how many lines of an action the audit log has.
func (f *fixture) told(action string) (n int) {
	f.Helper()
	f.must(f.c.Audit(f.ctx, f.tenant, f.now().Add(-24*time.Hour), f.now().Add(time.Hour), func(e audit.Entry) error {
		if e.Action == action {
			n++
		}
		return nil
	}))
	return n
}

func purgeWindows(f *fixture) {
	_, err := f.issue()
	f.must(err)
	n, err := f.c.PurgeWindows(f.ctx, 10)
	f.must(err)
	equal(f, "purged at once", n, 0)
	f.pass(2*time.Hour + time.Second)
	n, err = f.c.PurgeWindows(f.ctx, 10)
	f.must(err)
	equal(f, "purged later", n, 1)
	issued, err := f.issue()
	f.must(err)
	equal(f, "used", issued.Window.Used, 1)
}

// largeWindow counts so many uses that old ones are deleted.
func largeWindow(f *fixture) {
	_, err := f.c.SetTenant(f.ctx, "acme", func(t *domain.Tenant) { t.DayLimit = 150 }, audit.Origin{})
	f.must(err)
	for i := range 300 {
		if i == 150 {
			_, err := f.issue()
			f.wantKind(err, domain.KindLimited)
			f.pass(time.Hour + time.Second)
		}
		issued, err := f.issue()
		f.must(err)
		equal(f, "used", issued.Window.Used, i%150+1)
	}
	_, err = f.issue()
	f.wantKind(err, domain.KindLimited)
}

// issueUndone checks that the request of a caller that gave up is not counted.
func issueUndone(f *fixture) {
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	_, err := f.c.IssueDay(ctx, f.dayRequest("acme"))
	equal(f, "cancelled", errors.Is(err, context.Canceled), true)
	w, err := f.c.CheckDay(f.ctx, f.dayRequest("acme"))
	f.must(err)
	equal(f, "used", w.Used, 0)
}

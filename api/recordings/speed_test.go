package recordings_test

import (
	"context"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/api/recordings"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// memory is a catalog that counts in memory and writes nothing down: what the durable one is
// measured against.
type memory struct {
	recordings.Catalog
	mu     sync.Mutex
	access catalog.DayAccess
	issued catalog.IssuedDay
}

func (m *memory) DayAccess(context.Context, string, domain.Day) (catalog.DayAccess, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.access, nil
}

func (m *memory) IssueDay(context.Context, catalog.DayRequest) (catalog.IssuedDay, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.issued.Window.Used++
	return m.issued, nil
}

func (m *memory) Application(context.Context, string) (catalog.Application, error) {
	return catalog.Application{ID: "app_1", Tenant: "acme", Scopes: auth.Scopes()}, nil
}

func (m *memory) Tenant(context.Context, string) (domain.Tenant, error) { return m.access.Tenant, nil }

// BenchmarkDay answers days with 24 links, every one of them counted and in the audit log.
func BenchmarkDay(b *testing.B) {
	for name, open := range apitest.Databases() {
		b.Run(name, func(b *testing.B) { benchmarkDay(b, open(b), false) })
	}
	b.Run("memory", func(b *testing.B) { benchmarkDay(b, apitest.SQLite(b), true) })
}

func benchmarkDay(b *testing.B, url string, inMemory bool) {
	ctx := context.Background()
	c := apitest.Open(b, url)
	check := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	_, err := c.CreateTenant(ctx, domain.Tenant{ID: "acme", Recordings: true, RetentionDays: 3, DayLimit: 100_000, DownloadLimit: 5})
	check(err)
	app, _, err := c.CreateApplication(ctx, "acme", "speed", auth.Scopes())
	check(err)
	now, err := c.Now(ctx)
	check(err)
	store := &apitest.Archives{}
	key := domain.HourKey{Tenant: "acme", Day: domain.DayOf(now).Add(-1)}
	for key.Hour = range 24 {
		apitest.Build(b, c, store, key, []byte("zip"))
	}
	keys, err := auth.OpenKeyring(ctx, c, "", time.Now)
	check(err)
	deps := recordings.Deps{Catalog: c, Links: keys, Store: store, Log: zap.NewNop()}
	apps := auth.Applications(c)
	if inMemory {
		m := &memory{}
		m.access, err = c.DayAccess(ctx, "acme", key.Day)
		check(err)
		m.issued, err = c.IssueDay(ctx, catalog.DayRequest{Tenant: "acme", Day: key.Day, LinkTTL: time.Hour})
		check(err)
		deps.Catalog, apps = m, m
	}
	tokens := auth.NewTokens(auth.Config{Issuer: publicURL}, keys, apps, time.Now)
	deps.Tokens = tokens
	handler := api.New(api.Config{}, api.Deps{Log: zap.NewNop(), Now: time.Now,
		Families: []api.Family{recordings.New(recordings.Config{PublicURL: publicURL, LinkTTL: time.Hour}, deps)}})
	token, _, err := tokens.Issue(ctx, app, auth.Scopes())
	check(err)
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := httptest.NewRequest("GET", dayURL+string(key.Day), nil)
			r.Header.Set("Authorization", "Bearer "+token)
			if a := apitest.Do(handler, r); a.Status != 200 {
				b.Errorf("%d %s", a.Status, a.Body)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
}

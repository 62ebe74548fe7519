package recordings_test

import (
	"database/sql"
	"strconv"
	"strings"
	"testing"

	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/domain"
)

const (
	tenantCount = 1000
	dayCount    = 3
)

// manyTenants is a catalog with many tenants, each with an application and days of 24 archives.
type manyTenants struct {
	testing.TB
	cat  *catalog.Catalog
	db   *sql.DB
	apps []catalog.Application
	days []domain.Day
}

// copyTenant gives the statements that make 999 copies of the tenant acme.
func copyTenant() []string {
	const all = ` CROSS JOIN (WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 999)
		SELECT n, 'acme-' || n AS id FROM s) c `
	return []string{
		`INSERT INTO tenants (id, name, recordings, export, retention_days, day_limit, download_limit, created_us)
			SELECT c.id, t.name, recordings, export, retention_days, day_limit, download_limit, created_us FROM tenants t` + all + `WHERE t.id = 'acme'`,
		`INSERT INTO applications (id, tenant, name, secret_hash, scopes, created_us)
			SELECT t.id || '-' || n, c.id, name, secret_hash, scopes, created_us FROM applications t` + all + `WHERE tenant = 'acme'`,
		`INSERT INTO days (tenant, day, closes_us, locked, planned_us, completed_us, total_sessions, total_files, total_bytes, n_available)
			SELECT c.id, day, closes_us, locked, planned_us, completed_us, total_sessions, total_files, total_bytes, n_available
			FROM days t` + all + `WHERE tenant = 'acme'`,
		`INSERT INTO hours (tenant, day, hour, state, revision, archive, planned, wanted, built)
			SELECT c.id, day, hour, state, revision, replace(archive, 'acme', c.id), planned, wanted, built FROM hours t` + all + `WHERE tenant = 'acme'`,
		`INSERT INTO archives (object_key, tenant, day, hour, revision, token, state, size, file_count, session_count,
				manifest_sha256, etag, created_us, published_us, checked_us)
			SELECT replace(object_key, 'acme', c.id), c.id, day, hour, revision, token || n, state, size, file_count, session_count,
				manifest_sha256, etag, created_us, published_us, checked_us FROM archives t` + all + `WHERE tenant = 'acme'`,
	}
}

// newManyTenants builds one tenant's days as a worker would and copies them.
func newManyTenants(t testing.TB, url string) *manyTenants {
	t.Helper()
	c := &manyTenants{TB: t, cat: catalogtest.Open(t, url)}
	_, err := c.cat.CreateTenant(t.Context(), domain.Tenant{ID: "acme", Recordings: true, RetentionDays: 30, DayLimit: 100_000, DownloadLimit: 5}, audit.Origin{})
	c.must(err)
	app, _, err := c.cat.CreateApplication(t.Context(), "acme", "speed", auth.Scopes(), audit.Origin{})
	c.must(err)
	c.apps = append(c.apps, app)
	now, err := c.cat.Now(t.Context())
	c.must(err)
	for i := range dayCount {
		key := domain.HourKey{Tenant: "acme", Day: domain.DayOf(now).Add(-1 - i)}
		c.days = append(c.days, key.Day)
		for key.Hour = range 24 {
			apitest.BuildHour(t, c.cat, &apitest.Store{}, key, []byte("zip"))
		}
	}
	driver, source := "sqlite", "file:"+strings.TrimPrefix(url, "sqlite://")+"?_pragma=busy_timeout(10000)"
	if c.cat.DB().Postgres() {
		driver, source = "pgx", url
	}
	c.db, err = sql.Open(driver, source)
	c.must(err)
	t.Cleanup(func() { _ = c.db.Close() }) // the test's own connection
	for _, statement := range copyTenant() {
		_, err := c.db.ExecContext(t.Context(), statement)
		c.must(err)
	}
	for n := 1; n < tenantCount; n++ {
		app := c.apps[0]
		app.ID, app.Tenant = app.ID+"-"+strconv.Itoa(n), "acme-"+strconv.Itoa(n)
		c.apps = append(c.apps, app)
	}
	return c
}

func (c *manyTenants) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// audited counts the day requests in the audit log.
func (c *manyTenants) audited() (n int) {
	c.Helper()
	c.must(c.db.QueryRowContext(c.Context(), `SELECT count(*) FROM audit WHERE action = $1`, catalog.ActionDay).Scan(&n))
	return n
}

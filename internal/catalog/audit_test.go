package catalog

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// TestFormerLines reads lines as programs before wrote them: their hours come out in two digits,
// and what is stored stays as it was.
func TestFormerLines(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			c := OpenMigrated(t, url)
			at, err := c.Now(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			const links = `[{"hour":0,"revision":1,"object":"k0"},{"hour":19,"revision":2,"object":"k19"}]`
			for _, line := range []struct {
				query string
				args  []any
			}{
				{`INSERT INTO audit_links (sum, links) VALUES ($1, $2)`, []any{[]byte("s"), links}},
				{`INSERT INTO audit (at_us, tenant, actor, action, detail, links) VALUES ($1, 'acme', 'app:x', 'day.links', $2, $3)`,
					[]any{db.Micros(at), `{"day":"2025-12-12","request":"\"hour\":5"}`, []byte("s")}},
				{`INSERT INTO audit (at_us, tenant, actor, action, detail) VALUES ($1, 'acme', 'admin', 'archive', $2)`,
					[]any{db.Micros(at), `{"day":"2025-12-12","hour":8,"force":false}`}},
				{`INSERT INTO audit (at_us, tenant, actor, action, detail) VALUES ($1, 'acme', 'link', 'download.begun', $2)`,
					[]any{db.Micros(at), `{"day":"2025-12-12","hour":"08","revision":1}`}},
			} {
				if _, err := c.db.ExecContext(t.Context(), line.query, line.args...); err != nil {
					t.Fatal(err)
				}
			}
			want := []string{
				`{"day":"2025-12-12","request":"\"hour\":5","links":[{"hour":"00","revision":1,"object":"k0"},{"hour":"19","revision":2,"object":"k19"}]}`,
				`{"day":"2025-12-12","hour":"08","force":false}`,
				`{"day":"2025-12-12","hour":"08","revision":1}`,
			}
			var got []string
			err = c.Audit(t.Context(), "acme", at.Add(-time.Hour), at.Add(time.Hour), func(e audit.Entry) error {
				if !json.Valid(e.Detail) {
					t.Errorf("not JSON: %s", e.Detail)
				}
				got = append(got, string(e.Detail))
				return nil
			})
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%q, want %q; error %v", got, want, err)
			}
			var stored string
			if err := c.db.QueryRowContext(t.Context(), `SELECT links FROM audit_links`).Scan(&stored); err != nil || stored != links {
				t.Errorf("%q is stored, error %v", stored, err)
			}
			for hour, n := range map[int]int{0: 1, 8: 2, 19: 1, 5: 0} {
				if list, err := c.LatestAudit(t.Context(), "acme", domain.Day("2025-12-12"), hour, 9); err != nil || len(list) != n {
					t.Errorf("%d lines are about hour %d, want %d; error %v", len(list), hour, n, err)
				}
			}
		})
	}
}

// TestAuditStands tries to change, replace and empty the audit log. The database refuses each
// statement, and new lines can be added afterwards.
func TestAuditStands(t *testing.T) {
	both := []string{
		`UPDATE audit SET actor = 'x'`, `DELETE FROM audit`, `DELETE FROM audit WHERE seq = 1`,
		`UPDATE audit_links SET links = '[]'`, `DELETE FROM audit_links`,
		`INSERT INTO audit_links (sum, links) VALUES ($1, '[1]') ON CONFLICT (sum) DO UPDATE SET links = '[1]'`,
	}
	own := map[string][]string{
		"postgres": {
			`INSERT INTO log_records (id, kind, data) VALUES (-1, 'seal', '{}')`,
			`TRUNCATE audit`, `TRUNCATE audit_links`, `TRUNCATE audit, audit_links, windows CASCADE`,
			`INSERT INTO audit (seq, at_us, tenant, actor, action, detail) VALUES (1, 1, 't', 'x', 'a', '{}')`,
			`INSERT INTO audit (seq, at_us, tenant, actor, action, detail) OVERRIDING SYSTEM VALUE VALUES (1, 1, 't', 'x', 'a', '{}')
				ON CONFLICT (seq) DO UPDATE SET actor = 'x'`,
		},
		"sqlite": {
			`INSERT OR REPLACE INTO audit (seq, at_us, tenant, actor, action, detail) VALUES (1, 1, 't', 'x', 'a', '{}')`,
			`REPLACE INTO audit (rowid, at_us, tenant, actor, action, detail) VALUES (1, 1, 't', 'x', 'a', '{}')`,
			`INSERT OR REPLACE INTO audit SELECT seq, at_us, tenant, 'x', action, detail, links FROM audit`,
			`INSERT INTO audit (seq, at_us, tenant, actor, action, detail) VALUES (77, 1, 't', 'x', 'a', '{}')`,
			`INSERT INTO audit (seq, at_us, tenant, actor, action, detail) VALUES (-1, 1, 't', 'x', 'a', '{}')`,
			`UPDATE OR REPLACE audit SET seq = 1`, `UPDATE OR IGNORE audit SET actor = 'x'`,
			`INSERT OR REPLACE INTO audit_links (sum, links) VALUES ($1, '[1]')`,
			`INSERT OR REPLACE INTO audit_links (rowid, sum, links) VALUES (1, $1, '[1]')`,
			`INSERT INTO audit_links (rowid, sum, links) VALUES (-1, x'01', '[1]')`,
			`UPDATE OR REPLACE audit_links SET sum = $1`,
			`INSERT INTO log_records (id, kind, data) VALUES (-1, 'seal', '{}')`, `INSERT INTO log_records (id, kind, data) VALUES (7, 'seal', '{}')`,
		},
	}
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			c := OpenMigrated(t, url)
			sum := []byte("s")
			stored := func() (text string) {
				for _, query := range []string{`SELECT count(*), coalesce(min(actor), ''), coalesce(max(detail), '') FROM audit`,
					`SELECT count(*), coalesce(min(links), ''), coalesce(max(links), '') FROM audit_links`} {
					var n int
					var least, most string
					if err := c.db.QueryRowContext(t.Context(), query).Scan(&n, &least, &most); err != nil {
						t.Fatal(err)
					}
					text += fmt.Sprintln(n, least, most)
				}
				return text
			}
			add := func() {
				for range 2 {
					if err := c.AppendAudit(t.Context(), audit.Origin{Actor: "admin"}, "acme", "a", map[string]int{"n": 1}); err != nil {
						t.Fatal(err)
					}
					_, err := c.db.ExecContext(t.Context(), `INSERT INTO audit_links (sum, links) VALUES ($1, '[]') ON CONFLICT (sum) DO NOTHING`, sum)
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			add()
			before := stored()
			for _, query := range slices.Concat(both, own[name]) {
				var args []any
				if strings.Contains(query, "$1") {
					args = append(args, sum)
				}
				if _, err := c.db.ExecContext(t.Context(), query, args...); err == nil || stored() != before {
					t.Errorf("%s: error %v, stored %q", query, err, stored())
				}
			}
			add()
			if want := strings.Replace(before, "2 admin", "4 admin", 1); stored() != want {
				t.Errorf("stored %q, want %q", stored(), want)
			}
		})
	}
}

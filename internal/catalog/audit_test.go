package catalog

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// TestFormerLines reads lines as programs before wrote them: their hours come out in two digits, and
// what is stored stays as it was.
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
					[]any{micros(at), `{"day":"2025-12-12","request":"\"hour\":5"}`, []byte("s")}},
				{`INSERT INTO audit (at_us, tenant, actor, action, detail) VALUES ($1, 'acme', 'admin', 'archive', $2)`,
					[]any{micros(at), `{"day":"2025-12-12","hour":8,"force":false}`}},
				{`INSERT INTO audit (at_us, tenant, actor, action, detail) VALUES ($1, 'acme', 'link', 'download.begun', $2)`,
					[]any{micros(at), `{"day":"2025-12-12","hour":"08","revision":1}`}},
			} {
				if _, err := c.write.ExecContext(t.Context(), line.query, line.args...); err != nil {
					t.Fatal(err)
				}
			}
			want := []string{
				`{"day":"2025-12-12","request":"\"hour\":5","links":[{"hour":"00","revision":1,"object":"k0"},{"hour":"19","revision":2,"object":"k19"}]}`,
				`{"day":"2025-12-12","hour":"08","force":false}`,
				`{"day":"2025-12-12","hour":"08","revision":1}`,
			}
			var got []string
			err = c.Audit(t.Context(), "acme", at.Add(-time.Hour), at.Add(time.Hour), func(e AuditEntry) error {
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
			if err := c.read.QueryRowContext(t.Context(), `SELECT links FROM audit_links`).Scan(&stored); err != nil || stored != links {
				t.Errorf("%q is stored, error %v", stored, err)
			}
			for hour, n := range map[int]int{0: 1, 8: 2, 19: 1, 5: 0} {
				if list, err := c.Events(t.Context(), "acme", domain.Day("2025-12-12"), hour, 9); err != nil || len(list) != n {
					t.Errorf("%d lines are about hour %d, want %d; error %v", len(list), hour, n, err)
				}
			}
		})
	}
}

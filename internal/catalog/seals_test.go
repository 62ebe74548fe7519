package catalog

import (
	"testing"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// TestSealsAfterFormerPrograms changes days as programs do that know no seals.
func TestSealsAfterFormerPrograms(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			c := OpenMigrated(t, url)
			ctx := t.Context()
			if _, err := c.CreateTenant(ctx, domain.NewTenant("acme", 3), audit.Origin{Actor: "test"}); err != nil {
				t.Fatal(err)
			}
			at, err := c.Now(ctx)
			if err != nil {
				t.Fatal(err)
			}
			day := domain.DayOf(at).Add(-1)
			if _, err := c.PlanDay(ctx, "acme", day); err != nil {
				t.Fatal(err)
			}
			seal := func(want int) {
				t.Helper()
				if n, err := c.SealDays(ctx, 10); err != nil || n != want {
					t.Fatalf("%d days sealed, want %d: %v", n, want, err)
				}
			}
			seal(0)
			for _, statement := range []string{
				`UPDATE days SET seal = NULL`,
				`UPDATE hours SET revision = revision + 1 WHERE hour = 7`,
			} {
				if _, err := c.db.ExecContext(ctx, statement); err != nil {
					t.Fatal(err)
				}
				seal(1)
				seal(0)
			}
			var n int
			if err := c.db.QueryRowContext(ctx, `SELECT count(*) FROM day_seals`).Scan(&n); err != nil || n != 2 {
				t.Errorf("%d seals, want those of the plan and of the revision: %v", n, err)
			}
		})
	}
}

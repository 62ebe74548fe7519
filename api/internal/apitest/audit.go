package apitest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
)

// Audited gives a tenant's audit lines of some actions, oldest first, each as the kind of its
// actor, its action and its detail.
func Audited(t testing.TB, c *catalog.Catalog, tenant string, actions ...string) (lines []string) {
	t.Helper()
	err := c.Audit(t.Context(), tenant, time.Unix(0, 0), time.Now().AddDate(1, 0, 0), func(e audit.Entry) error {
		if slices.Contains(actions, e.Action) {
			actor, _, _ := strings.Cut(e.Actor, ":")
			lines = append(lines, actor+" "+e.Action+" "+string(e.Detail))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

package recordings

import (
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
)

// FuzzUTCDay checks the path's day against the documented rule: YYYY-MM-DD in ASCII, a real date
// from year 1 on.
func FuzzUTCDay(f *testing.F) {
	for _, seed := range []string{"2025-12-12", "2024-02-29", "2025-02-30", "2025-1-2", "20250102", "0000-01-01", "2025%2D12-12",
		"2025-12-12%00", "%zz", "٢٠٢٥-01-02", "+025-01-02", "2025-12-12T00:00:00Z", ""} {
		f.Add(seed)
	}
	form := regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)
	f.Fuzz(func(t *testing.T, segment string) {
		route := chi.NewRouteContext()
		route.URLParams.Add("utcDay", segment)
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		day, err := dayParam(r.WithContext(context.WithValue(r.Context(), chi.RouteCtxKey, route)))
		if err != nil {
			if at, wrong := time.Parse(time.DateOnly, segment); wrong == nil && form.MatchString(segment) && at.Year() > 0 {
				t.Fatalf("%q is refused: %v", segment, err)
			}
			return
		}
		at, wrong := time.Parse(time.DateOnly, string(day))
		if wrong != nil || !form.MatchString(string(day)) || at.Year() < 1 || !day.Start().Equal(at) || !day.End().Equal(at.AddDate(0, 0, 1)) {
			t.Fatalf("%q gives %q", segment, day)
		}
	})
}

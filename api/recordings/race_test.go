package recordings_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
)

// burst sends n requests at once, spread over the replicas, and counts the answers by status.
func (f *fixture) burst(n int, replicas []http.Handler, target string, headers ...string) map[int]int {
	f.Helper()
	var counts [600]atomic.Int64
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			r := httptest.NewRequest("GET", target, nil)
			for j := 0; j < len(headers); j += 2 {
				r.Header.Set(headers[j], headers[j+1])
			}
			<-start
			counts[apitest.Do(replicas[i%len(replicas)], r).Status].Add(1)
		})
	}
	close(start)
	all.Wait()
	got := map[int]int{}
	for status := range counts {
		if c := counts[status].Load(); c > 0 {
			got[status] = int(c)
		}
	}
	return got
}

// TestNeverMoreThanTheLimit sends 200 requests at once to three replicas, for both windows.
func TestNeverMoreThanTheLimit(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.build(14, zipText)
		link := f.link(14)
		replicas := []http.Handler{f.replica(catalogtest.Open(f, f.url)), f.replica(catalogtest.Open(f, f.url)), f.replica(catalogtest.Open(f, f.url))}
		check := func(what string, got map[int]int, passed int) {
			f.Helper()
			if got[200] != passed || got[429] != 200-passed {
				f.Fatalf("%s: got %v, want %d answers of 200 and the rest 429", what, got, passed)
			}
		}
		bearer := []string{"Authorization", "Bearer " + f.token}
		check("days", f.burst(200, replicas, dayURL+string(f.day), bearer...), 4) // one was used for the link
		check("downloads", f.burst(200, replicas, link), 5)
		f.pass(59 * time.Minute)
		check("days again", f.burst(200, replicas, dayURL+string(f.day), bearer...), 0)
		check("downloads again", f.burst(200, replicas, link), 0)
		f.pass(2 * time.Minute)
		check("the next hour's days", f.burst(200, replicas, dayURL+string(f.day), bearer...), 5)
		check("the next hour's downloads", f.burst(200, replicas, link), 5)
	})
}

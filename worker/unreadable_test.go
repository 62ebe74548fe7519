package worker_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/testenv"
	"github.com/callvault/callvault/worker"
)

// denyingStore answers GETs of some keys itself, in front of the store.
type denyingStore struct {
	mu      sync.Mutex
	answers map[string]string // by a part of the path: status and error code
	once    string            // the part that is answered one more time only
}

func (g *denyingStore) set(part, answer string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answers[part] = answer
}

func (g *denyingStore) answer(w http.ResponseWriter, r *http.Request) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for part, answer := range g.answers {
		var status int
		var code string
		if _, err := fmt.Sscan(answer, &status, &code); err != nil || r.Method != http.MethodGet || !strings.Contains(r.URL.Path, part) {
			continue
		}
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `<Error><Code>%s</Code></Error>`, code)
		if part == g.once {
			delete(g.answers, part)
		}
		return true
	}
	return false
}

// denying makes a builder and a sweeper that use the store through a denyingStore.
func (f *fixture) denying() (*worker.Builder, *lifecycle.Sweeper, *denyingStore) {
	f.Helper()
	g, s3 := &denyingStore{answers: map[string]string{}}, testenv.MinIO(f)
	store, err := objstore.New(objstore.Config{
		Endpoint: testenv.HTTPProxy(f, s3.Endpoint, g.answer, nil), Region: s3.Region, AccessKey: s3.AccessKey, SecretKey: s3.SecretKey,
		Recordings: f.store.Recordings().Name(), Archives: f.store.Archives().Name(),
	})
	f.must(err)
	f.Cleanup(store.Close)
	return worker.NewBuilder(config(), f.catalog, store.Recordings(), store.Archives(), time.Now, f.log),
		lifecycle.NewSweeper(lifecycle.SweepConfig{}, f.catalog, store.Recordings(), store.Archives(), time.Now, f.log), g
}

// missing gives the reasons in the metadata.json of an hour's archive.
func (f *fixture) missing(n int) (reasons []string) {
	f.Helper()
	var metadata struct{ MissingFiles []struct{ Reason string } }
	file, err := f.served(n).Open("metadata.json")
	f.must(err)
	f.must(json.NewDecoder(file).Decode(&metadata))
	for _, m := range metadata.MissingFiles {
		reasons = append(reasons, m.Reason)
	}
	return reasons
}

// A recording that the store does not give is missing. A store that gives no recording at all is
// unavailable. A request that the store will never serve fails the build at once.
func TestUnreadableRecordings(t *testing.T) {
	f := newFixture(t)
	b, sweeper, g := f.denying()
	for n := range 6 {
		f.add(hour(n), 100)
	}
	g.set(f.add(hour(0), 100), "403 InvalidObjectState")
	g.set(f.add(hour(1), 100), "403 AccessDenied")
	g.set(f.add(hour(5), 100), "403 Quarantined") // a code of one store's own
	g.set("/02/", "403 InvalidObjectState")
	g.set("/04/", "501 NotImplemented")
	f.plan()
	for _, n := range []int{0, 1, 5} {
		f.must(b.BuildHour(f.ctx, task(n)))
		if got := f.missing(n); len(got) != 1 || got[0] != "unreadable" {
			t.Errorf("hour %d lacks %v", n, got)
		}
	}
	for n, kind := range map[int]domain.Kind{2: domain.KindUnreadable, 4: domain.KindRefused} {
		f.expectKind(b.BuildHour(f.ctx, task(n)), kind)
		if v := f.view(n); v.State != catalog.StateFailed || v.LastKind != string(kind) {
			t.Errorf("hour %d: %s %s %q", n, v.State, v.LastKind, v.LastError)
		}
	}
	g.set("calls/", "403 AccessDenied")
	f.expectKind(b.BuildHour(f.ctx, task(3)), domain.KindUnavailable)
	if v := f.view(3); v.State != catalog.StatePending || !strings.Contains(v.LastError, "policy") {
		t.Errorf("an outage: %s %s %q", v.State, v.LastKind, v.LastError)
	}

	g.set("calls/", "")
	_, err := f.catalog.Register(f.ctx, tenant, catalog.Batch{Recordings: []catalog.Line[domain.Recording]{{Number: 1, Value: domain.Recording{
		ObjectKey: "calls/" + strings.Repeat("x", 300), ConversationID: "c", SessionID: "s", MessageID: 99, Type: "t", Timestamp: day.Start().Add(3 * time.Hour),
	}}}}) // MinIO refuses key parts longer than 255 bytes
	f.must(err)
	f.at(night().Add(time.Hour))
	f.must(b.BuildHour(f.ctx, task(3)))
	if got := f.missing(3); len(got) != 1 || got[0] != "not_found" {
		t.Errorf("beside a key that the store does not take: %v", got)
	}
	for _, c := range []struct {
		after time.Duration
		back  int
	}{{5 * time.Hour, 0}, {7 * time.Hour, 0}, {14 * time.Hour, 0}, {21 * time.Hour, 0}, {28 * time.Hour, 0}, {35 * time.Hour, 3}} {
		if c.back > 0 {
			g.mu.Lock()
			clear(g.answers)
			g.mu.Unlock()
		}
		f.at(night().Add(c.after))
		if r, err := sweeper.Sweep(f.ctx); err != nil || r.Back != c.back {
			t.Errorf("after %s: %+v, %v", c.after, r, err)
		}
	}
	f.must(b.BuildHour(f.ctx, task(0)))
	if got := f.missing(0); len(got) != 0 {
		t.Errorf("what came back is missing still: %v", got)
	}
}

// A recording is not left out when its denial has ended before another recording was tried.
func TestPassingDenial(t *testing.T) {
	f := newFixture(t)
	b, _, g := f.denying()
	f.add(hour(0), 100)
	key := f.add(hour(0), 100)
	g.set(key, "403 AccessDenied")
	g.once = key
	f.plan()
	f.must(b.BuildHour(f.ctx, task(0)))
	if got := f.missing(0); len(got) != 0 {
		t.Errorf("missing: %v", got)
	}
}

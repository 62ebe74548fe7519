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
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/testenv"
	"github.com/callvault/callvault/worker"
)

// guarded is the store with an answer of its own for some keys' bytes.
type guarded struct {
	mu      sync.Mutex
	answers map[string]string // by a part of the path; an answer is a status and a code
	once    string            // the part of which the next answer is the last
}

func (g *guarded) set(part, answer string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answers[part] = answer
}

func (g *guarded) answer(w http.ResponseWriter, r *http.Request) bool {
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

// guard has recordings read through a store that does not give all of them.
func (f *fixture) guard() (*worker.Builder, *worker.Sweeper, *guarded) {
	f.Helper()
	g, s3 := &guarded{answers: map[string]string{}}, testenv.MinIO(f)
	store, err := objstore.New(objstore.Config{
		Endpoint: testenv.Between(f, s3.Endpoint, g.answer, nil), Region: s3.Region, AccessKey: s3.AccessKey, SecretKey: s3.SecretKey,
		Recordings: f.store.Recordings().Name(), Archives: f.store.Archives().Name(),
	})
	f.must(err)
	f.Cleanup(store.Close)
	return worker.NewBuilder(config(), f.catalog, store.Recordings(), store.Archives(), time.Now, f.log),
		worker.NewSweeper(worker.SweepConfig{}, f.catalog, f.catalog, store.Recordings(), store.Archives(), f.log), g
}

// missing gives the reasons of an archive's metadata.json.
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

// What the store does not give of one recording is missing, what it gives of none is an outage, and
// what it will never do fails at once.
func TestUnreadableRecordings(t *testing.T) {
	f := newFixture(t)
	b, sweeper, g := f.guard()
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
		f.must(b.Hour(f.ctx, task(n)))
		if got := f.missing(n); len(got) != 1 || got[0] != "unreadable" {
			t.Errorf("hour %d lacks %v", n, got)
		}
	}
	for n, kind := range map[int]domain.Kind{2: domain.KindUnreadable, 4: domain.KindRefused} {
		f.expectKind(b.Hour(f.ctx, task(n)), kind)
		if v := f.view(n); v.State != catalog.StateFailed || v.LastKind != string(kind) {
			t.Errorf("hour %d: %s %s %q", n, v.State, v.LastKind, v.LastError)
		}
	}
	g.set("calls/", "403 AccessDenied")
	f.expectKind(b.Hour(f.ctx, task(3)), domain.KindUnavailable)
	if v := f.view(3); v.State != catalog.StatePending || !strings.Contains(v.LastError, "policy") {
		t.Errorf("an outage: %s %s %q", v.State, v.LastKind, v.LastError)
	}

	g.set("calls/", "")
	_, err := f.catalog.Register(f.ctx, tenant, catalog.Batch{Recordings: []catalog.Line[domain.Recording]{{Number: 1, Value: domain.Recording{
		ObjectKey: "calls/" + strings.Repeat("x", 300), ConversationID: "c", SessionID: "s", MessageID: 99, Type: "t", Timestamp: day.Start().Add(3 * time.Hour),
	}}}}) // MinIO keeps parts of keys as files
	f.must(err)
	f.at(night().Add(time.Hour))
	f.must(b.Hour(f.ctx, task(3)))
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
	f.must(b.Hour(f.ctx, task(0)))
	if got := f.missing(0); len(got) != 0 {
		t.Errorf("what came back is missing still: %v", got)
	}
}

// A denial that has passed when other recordings are tried leaves nothing out.
func TestPassingDenial(t *testing.T) {
	f := newFixture(t)
	b, _, g := f.guard()
	f.add(hour(0), 100)
	key := f.add(hour(0), 100)
	g.set(key, "403 AccessDenied")
	g.once = key
	f.plan()
	f.must(b.Hour(f.ctx, task(0)))
	if got := f.missing(0); len(got) != 0 {
		t.Errorf("missing: %v", got)
	}
}

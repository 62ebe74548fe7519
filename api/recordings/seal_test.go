package recordings_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/client/dayseal"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/evidence"
	"github.com/callvault/callvault/internal/objstore/dir"
)

const textNotSealed = "The day is not sealed yet."

// getSeal requests the seal of a day with the fixture's token.
func (f *fixture) getSeal(method string, day domain.Day) apitest.Answer {
	f.Helper()
	return f.ask(method, dayURL+string(day)+"/seal", "Authorization", "Bearer "+f.token)
}

// checkpoint returns a function that makes the log's next checkpoint, and the log's public keys.
func (f *fixture) checkpoints() (func(), dayseal.Keys) {
	f.Helper()
	bucket, err := dir.Open(dir.Config{Path: f.TempDir(), Alone: true})
	f.must(err)
	f.Cleanup(func() { f.must(bucket.Close()) })
	id, err := f.cat.EnsureInstallation(f.Context())
	f.must(err)
	_, err = auth.EnsureLogKeys(f.Context(), f.cat, "", evidence.Origin(id), audit.Origin{Actor: "command"})
	f.must(err)
	open := func(ctx context.Context) (evidence.Keys, error) {
		return auth.OpenLogKeys(ctx, f.cat, "", evidence.Origin(id))
	}
	keys, err := open(f.Context())
	f.must(err)
	public, err := dayseal.ParseKeys([]byte(strings.Join(keys.Verifiers, "\n")))
	f.must(err)
	sealer := evidence.NewSealer(evidence.Config{Prefix: "callvault"}, f.cat.Merkle(), bucket, open, zap.NewNop())
	return func() { f.Helper(); f.must(sealer.Pass(f.Context())) }, public
}

// proven requests the day's seal, and checks its proof as tenants do.
func (f *fixture) proven(keys dayseal.Keys) *dayseal.Seal {
	f.Helper()
	a := f.getSeal("GET", f.day)
	f.want(a, 200, "")
	s, err := dayseal.Parse(a.Body)
	f.must(err)
	f.must(keys.VerifyProof(s.Data(), s.Proof))
	return s
}

func TestSeal(t *testing.T) {
	onBoth(t, func(f *fixture) {
		checkpoint, keys := f.checkpoints()
		apitest.Register(f, f.cat, domain.HourKey{Tenant: "acme", Day: f.day, Hour: 14})
		a := f.getSeal("GET", f.day)
		f.want(a, 404, textNotSealed)
		f.header(a, "Retry-After", "900")
		f.build(14, "first")
		a = f.getSeal("GET", f.day)
		f.want(a, 404, textNotSealed)
		f.header(a, "Retry-After", "30")
		f.want(f.getSeal("HEAD", f.day), 404, "")

		checkpoint()
		day := f.issued(f.day)
		s := f.proven(keys)
		if h := s.Hours[14]; h.State != dayseal.Available || *h.ManifestSHA256 != *day.Links[14].ManifestSHA256 || h.Revision != 1 || s.NoDataHours != 23 || s.TotalSizeBytes != day.TotalSizeBytes || s.TotalSessions != day.TotalSessions {
			f.Fatalf("seal %+v of the day %+v", s, day)
		}
		for range 10 { // it is not counted
			f.proven(keys)
		}
		f.want(f.getSeal("HEAD", f.day), 200, "")
		f.header(f.getSeal("HEAD", f.day), "X-RateLimit-Limit", "")

		f.build(14, "second")
		if s := f.proven(keys); s.Hours[14].Revision != 1 {
			f.Fatalf("a seal without a proof was given: %+v", s)
		}
		checkpoint()
		if s := f.proven(keys); s.Hours[14].Revision != 2 {
			f.Fatalf("the newest seal is of revision %d", s.Hours[14].Revision)
		}
		apitest.Register(f, f.cat, domain.HourKey{Tenant: "acme", Day: f.day, Hour: 15})
		a = f.getSeal("GET", f.day) // an hour that had no data is pending again
		f.want(a, 404, textNotSealed)
		f.header(a, "Retry-After", "900")
		f.build(15, "late")
		checkpoint()
		if s := f.proven(keys); s.Hours[15].Revision != 1 || s.AvailableHours != 2 {
			f.Fatalf("the newest seal is %+v", s)
		}
		f.pass(80 * time.Hour)
		f.token = f.issue(f.app, auth.ScopeDataService)
		f.want(f.getSeal("GET", f.day), 404, textRetention)
	})
}

// TestOrderOfChecksOfASeal is the order of a day's request.
func TestOrderOfChecksOfASeal(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.set(func(t *domain.Tenant) { t.Recordings = false })
		ask := func(day, token string) apitest.Answer {
			return f.ask("GET", dayURL+day+"/seal", "Authorization", "Bearer "+token)
		}
		f.want(f.ask("GET", dayURL+"2025-1-2/seal"), 401, textUnauthorized)
		f.want(ask("2025-1-2", "nonsense"), 401, textUnauthorized)
		f.want(ask("2025-1-2", f.issue(f.app, "other")), 403, textScope)
		f.want(ask("2025-1-2", f.token), 403, textFeature)
		f.set(func(t *domain.Tenant) { t.Recordings = true })
		f.want(ask("2025-1-2", f.token), 400, textFormat)
		f.want(ask(string(domain.DayOf(f.now()).Add(1)), f.token), 400, textFuture)
		f.want(ask(string(f.day.Add(-30)), f.token), 404, textRetention)
		f.want(ask(string(domain.DayOf(f.now())), f.token), 404, textNotSealed)
		f.want(f.getSeal("POST", f.day), 405, "")
	})
}

// TestSealOnTheWire compares the answer with its golden file, byte for byte.
func TestSealOnTheWire(t *testing.T) {
	onBoth(t, func(f *fixture) {
		checkpoint, _ := f.checkpoints()
		f.build(0, "first")
		f.build(14, "second")
		checkpoint()
		a := f.getSeal("GET", f.day)
		f.want(a, 200, "")
		body := strings.ReplaceAll(string(a.Body), string(f.day), "2025-12-12")
		body = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`).ReplaceAllString(body, "2025-12-13T02:15:32Z")
		body = regexp.MustCompile(`"salt":"[0-9a-f]{32}"`).ReplaceAllString(body, `"salt":"…"`)
		body = regexp.MustCompile(`(c2sp\.org/tlog-proof@v1\\nindex )\d+(\\n[^"]*\\n)"}`).ReplaceAllString(body, `${1}…"}`)
		apitest.Golden(f, "seal.json", []byte(strings.ReplaceAll(body, "},{", "},\n{")))
	})
}

package recordings_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/api/recordings"
	"github.com/callvault/callvault/internal/auth"
)

const (
	speedRounds = 5    // their medians count
	speedAsks   = 3000 // requests of a round: every day of every tenant once
)

// BenchmarkDay requests days with 24 links over HTTP. Each answer is counted and in the audit log.
// In turns with that it requests the same bytes from a handler that has them in memory. It does
// both over a few connections and over many.
//
// It reports answers per second, the 99th percentile of their latency, the processor time of an
// answer with its client and, as x-memory, the ratio of the two rates.
func BenchmarkDay(b *testing.B) {
	for name, open := range apitest.Databases() {
		b.Run(name, func(b *testing.B) {
			url := open(b)
			tenants := newManyTenants(b, url)
			for _, clients := range []int{32, 128} {
				b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) { benchmarkDay(b, tenants, clients) })
			}
		})
	}
}

func benchmarkDay(b *testing.B, full *manyTenants, clients int) {
	ctx := b.Context()
	tenants := *full
	tenants.TB = b
	keys, err := auth.OpenKeyring(ctx, tenants.cat, "", time.Now)
	tenants.must(err)
	tokens := auth.NewTokens(auth.Config{Issuer: publicURL}, keys, tenants.cat, time.Now)
	family := recordings.New(recordings.Config{PublicURL: publicURL, LinkTTL: time.Hour},
		recordings.Deps{Catalog: tenants.cat, Tokens: tokens, Links: keys, Store: &apitest.Store{}, Log: zap.NewNop()})
	vault := httptest.NewServer(api.New(api.Config{}, api.Deps{Families: []api.Family{family}, Log: zap.NewNop(), Now: time.Now}))
	defer vault.Close()
	asks := tenants.asks(tokens)

	load := newLoad(b, asks, clients)
	warm := load.run(vault.URL) // fills the caches
	bare := httptest.NewServer(answerFrom(warm.answer))
	defer bare.Close()
	load.run(bare.URL)
	before := tenants.audited()
	var days, memory []round
	b.ResetTimer()
	for b.Loop() {
		for range speedRounds {
			days = append(days, load.run(vault.URL))
			memory = append(memory, load.run(bare.URL))
		}
	}
	b.StopTimer()
	if got, want := tenants.audited()-before, len(days)*speedAsks; got != want {
		b.Fatalf("%d answers are in the audit log, want %d", got, want)
	}
	var ratios []float64
	for i := range days {
		ratios = append(ratios, days[i].rate/memory[i].rate)
		b.Logf("round %d: %.0f answers/s (p99 %s, cpu %s), from memory %.0f/s (p99 %s, cpu %s)", i,
			days[i].rate, days[i].p99, days[i].cpu, memory[i].rate, memory[i].p99, memory[i].cpu)
	}
	b.ReportMetric(median(days, func(r round) float64 { return r.rate }), "answers/s")
	b.ReportMetric(median(days, func(r round) float64 { return float64(r.p99) / float64(time.Millisecond) }), "p99-ms")
	b.ReportMetric(median(days, func(r round) float64 { return float64(r.cpu) / float64(time.Microsecond) }), "cpu-us/answer")
	b.ReportMetric(median(memory, func(r round) float64 { return r.rate }), "memory/s")
	b.ReportMetric(median(memory, func(r round) float64 { return float64(r.p99) / float64(time.Millisecond) }), "memory-p99-ms")
	b.ReportMetric(median(ratios, func(r float64) float64 { return r }), "x-memory")
	b.ReportMetric(0, "ns/op")
}

// answerFrom is a handler that always gives the same answer, with its headers.
func answerFrom(a apitest.Answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		for name, values := range a.Header {
			if name != "Date" {
				h[name] = values
			}
		}
		_, _ = w.Write(a.Body) // the client reports a broken connection
	})
}

func median[T any](of []T, value func(T) float64) float64 {
	values := make([]float64, 0, len(of))
	for _, v := range of {
		values = append(values, value(v))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// ask is one request of a load.
type ask struct {
	path, token string
}

// load sends requests over connections that stay open.
type load struct {
	testing.TB
	asks    []ask
	clients int // that ask at the same time
	client  *http.Client
}

// round is the result of a run.
type round struct {
	rate   float64 // answers per second
	p99    time.Duration
	cpu    time.Duration  // processor time of the process, clients included, for each answer
	answer apitest.Answer // the last one
}

func newLoad(t testing.TB, asks []ask, clients int) *load {
	transport := &http.Transport{MaxIdleConns: 2 * clients, MaxIdleConnsPerHost: clients}
	t.Cleanup(transport.CloseIdleConnections)
	return &load{t, asks, clients, &http.Client{Transport: transport}}
}

// run sends every request once, one at a time for each client.
func (l *load) run(server string) round {
	l.Helper()
	var next atomic.Int64
	var all sync.WaitGroup
	took := make([]time.Duration, len(l.asks))
	var last atomic.Pointer[apitest.Answer]
	start, busy := time.Now(), processorTime(l)
	for range l.clients {
		all.Go(func() {
			var body bytes.Buffer
			for i := next.Add(1) - 1; i < int64(len(l.asks)); i = next.Add(1) - 1 {
				began := time.Now()
				header, err := l.send(server, l.asks[i], &body)
				if err != nil {
					l.Error(err)
					return
				}
				took[i] = time.Since(began)
				if i == int64(len(l.asks)-1) {
					last.Store(&apitest.Answer{Status: http.StatusOK, Header: header, Body: bytes.Clone(body.Bytes())})
				}
			}
		})
	}
	all.Wait()
	elapsed, cpu := time.Since(start), (processorTime(l)-busy)/time.Duration(len(l.asks))
	if l.Failed() {
		l.FailNow()
	}
	slices.Sort(took)
	return round{rate: float64(len(l.asks)) / elapsed.Seconds(), p99: took[len(took)*99/100], cpu: cpu, answer: *last.Load()}
}

// processorTime is the processor time that the process has used so far.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// send gives the header of an answer, which must be 200, and writes its body into body.
func (l *load) send(server string, a ask, body *bytes.Buffer) (http.Header, error) {
	r, err := http.NewRequestWithContext(l.Context(), http.MethodGet, server+a.path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+a.token)
	resp, err := l.client.Do(r)
	if err != nil {
		return nil, err
	}
	body.Reset()
	_, err = io.Copy(body, resp.Body)
	_ = resp.Body.Close()
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %d %s", a.path, resp.StatusCode, body)
	}
	return resp.Header, err
}

// asks gives a request for every day of every tenant, tenants in turns.
func (c *manyTenants) asks(tokens *auth.Tokens) []ask {
	c.Helper()
	var out []ask
	issued := make([]string, len(c.apps))
	for i, app := range c.apps {
		var err error
		issued[i], _, err = tokens.Issue(c.Context(), app, auth.Scopes())
		c.must(err)
	}
	for _, day := range c.days {
		for _, token := range issued {
			out = append(out, ask{dayURL + string(day), token})
		}
	}
	if len(out) != speedAsks {
		c.Fatalf("%d days, want %d", len(out), speedAsks)
	}
	return out
}

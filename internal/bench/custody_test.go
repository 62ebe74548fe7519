package bench_test

import (
	"context"
	"io"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/worker"
)

// careless is a catalog that knows no sums and learns none.
type careless struct{ worker.Builds }

func (c careless) BuildInput(ctx context.Context, claim catalog.Claim) (catalog.BuildInput, error) {
	in, err := c.Builds.BuildInput(ctx, claim)
	for i := range in.Recordings {
		in.Recordings[i].SHA256, in.Recordings[i].ETag = nil, ""
	}
	return in, err
}

func (careless) LearnSums(context.Context, string, domain.Day, string, []catalog.LearntSum) error {
	return nil
}

// BenchmarkCustody builds an hour in turns: without the recordings' sums, with sums that it
// compares, and with sums that it learns. A directory is the fastest store, so the share of the
// sums is largest there.
func BenchmarkCustody(b *testing.B) {
	const files, size = 1500, 50_000
	for name, database := range map[string]func(testing.TB) string{
		"sqlite":   func(t testing.TB) string { return "sqlite://" + filepath.Join(t.TempDir(), "catalog.db") },
		"postgres": catalogtest.Postgres,
	} {
		b.Run(name, func(b *testing.B) {
			f := &fixture{TB: b, ctx: b.Context(), day: yesterday()}
			f.catalog = catalogtest.Open(b, database(b))
			addTenant(b, f.catalog, tenant)
			recordings, archives := f.directory("recordings"), f.directory("archives")
			for n := range files {
				_, err := recordings.PutStream(f.ctx, objectKey(n), io.LimitReader(noise(n), size), size, "audio/ogg")
				f.must(err)
			}
			f.register(f.day, 0, files, size)
			_, err := f.catalog.PlanDay(f.ctx, tenant, f.day)
			f.must(err)
			build := func(c worker.Builds) outcome {
				cpu, started := cpuTime(), time.Now()
				builder := worker.NewBuilder(worker.Config{Name: "bench"}, c, recordings, archives, time.Now, zap.NewNop())
				f.must(builder.BuildHour(f.ctx, queue.Task{Key: domain.HourKey{Tenant: tenant, Day: f.day}}))
				o := outcome{Wall: time.Since(started), CPU: cpuTime() - cpu}
				_, err := f.catalog.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: tenant, Day: f.day, Hour: 0, Force: true})
				f.must(err)
				return o
			}
			build(careless{f.catalog})
			var without, known, learnt []outcome
			for b.Loop() {
				for range 5 * rounds {
					_, err := f.catalog.DB().ExecContext(f.ctx, `UPDATE recordings SET sha256 = NULL, sha256_origin = NULL, etag = NULL`)
					f.must(err)
					without = append(without, build(careless{f.catalog}))
					learnt = append(learnt, build(f.catalog))
					known = append(known, build(f.catalog))
				}
			}
			wall := func(o outcome) time.Duration { return o.Wall }
			b.ReportMetric(median(without, wall).Seconds(), "wall-s")
			b.ReportMetric(median(known, wall).Seconds()/median(without, wall).Seconds(), "x-known")
			b.ReportMetric(median(learnt, wall).Seconds()/median(without, wall).Seconds(), "x-learnt")
			b.ReportMetric(0, "ns/op")
		})
	}
}

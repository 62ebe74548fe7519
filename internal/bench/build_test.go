package bench_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
)

// rounds is how often everything is measured. The benchmark reports medians.
const rounds = 5

// BenchmarkArchive builds an hour of many small recordings and one of few large ones. Each round
// also measures the machine's limit (the same bytes read, then as many written) and rclone, where
// it is installed. Ratios are of wall times. Smaller is better for x-limit, larger for x-rclone.
func BenchmarkArchive(b *testing.B) {
	for _, bb := range []struct {
		name  string
		files int
		size  int64
	}{{"1500x50KB", 1500, 50_000}, {"60x8MB", 60, 8_000_000}} {
		b.Run(bb.name, func(b *testing.B) {
			f := newFixture(b)
			f.fill(0, bb.files, bb.size)
			f.register(f.day, 0, bb.files, bb.size)
			_, err := f.catalog.PlanDay(b.Context(), tenant, f.day)
			f.must(err)
			build := job{
				S3: f.s3, Recordings: f.recordings, Archives: f.archives, Database: f.database,
				Tenant: tenant, Day: f.day, Files: bb.files, Size: bb.size,
			}
			inChild(b, build)
			archived, err := f.catalog.Day(b.Context(), tenant, f.day)
			f.must(err)
			limit := build
			limit.Upload = archived.Hours[0].Archive.Size
			rclone, compared := installed("rclone")
			for b.Loop() {
				var r results
				for n := range rounds {
					f.round(n, build, limit, rclone, compared, &r)
				}
				r.report(b, compared)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// results are the measurements of all rounds. wholes are the times of the builder's process from
// start to end, as rclone is measured.
type results struct {
	builds, limits, rclones []outcome
	wholes                  []time.Duration
}

// round measures everything once. The order changes from round to round.
func (f *fixture) round(n int, build, limit job, rclone string, compared bool, r *results) {
	f.Helper()
	steps := []func(){
		func() {
			_, err := f.catalog.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: tenant, Day: f.day, Hour: 0, Force: true})
			f.must(err)
			o, whole := inChild(f, build)
			r.builds, r.wholes = append(r.builds, o), append(r.wholes, whole)
		},
		func() {
			o, _ := inChild(f, limit)
			r.limits = append(r.limits, o)
		},
		func() {
			if compared {
				r.rclones = append(r.rclones, watched(f, f.rclone(rclone, n)))
			}
		},
	}
	for i := range steps {
		steps[(n+i)%len(steps)]()
	}
}

// rclone makes a ZIP of the same recordings in the same store.
func (f *fixture) rclone(path string, n int) *exec.Cmd {
	cmd := exec.CommandContext(f.ctx, path, "archive", "create", "--format", "zip", "--config", os.DevNull,
		"bench:"+f.recordings+"/knovvu-va", fmt.Sprintf("bench:%s/rclone-%d.zip", f.archives, n))
	cmd.Env = append(os.Environ(), "RCLONE_CONFIG_BENCH_TYPE=s3", "RCLONE_CONFIG_BENCH_PROVIDER=Minio",
		"RCLONE_CONFIG_BENCH_ENDPOINT="+f.s3.Endpoint, "RCLONE_CONFIG_BENCH_REGION="+f.s3.Region,
		"RCLONE_CONFIG_BENCH_ACCESS_KEY_ID="+f.s3.AccessKey, "RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY="+f.s3.SecretKey)
	return cmd
}

func (r results) report(b *testing.B, compared bool) {
	wall := func(o outcome) time.Duration { return o.Wall }
	cpu := func(o outcome) time.Duration { return o.CPU }
	peak := func(o outcome) int64 { return o.Peak }
	b.ReportMetric(median(r.builds, wall).Seconds(), "wall-s")
	b.ReportMetric(median(r.builds, cpu).Seconds(), "cpu-s")
	b.ReportMetric(float64(median(r.builds, peak))/(1<<20), "peak-MiB")
	b.ReportMetric(median(r.builds, wall).Seconds()/median(r.limits, wall).Seconds(), "x-limit")
	b.Log(line("builder", r.builds))
	b.Log(line("limit", r.limits))
	if !compared {
		b.Log("rclone is not installed: nothing to compare with")
		return
	}
	b.Log(line("rclone", r.rclones))
	whole := median(r.wholes, func(d time.Duration) time.Duration { return d })
	b.ReportMetric(median(r.rclones, wall).Seconds()/whole.Seconds(), "x-rclone")
}

func line(name string, all []outcome) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s: wall, cpu, peak of each round:", name)
	for _, o := range all {
		fmt.Fprintf(&text, "  %.2f s %.2f s %s", o.Wall.Seconds(), o.CPU.Seconds(), mebi(o.Peak))
	}
	return text.String()
}

func median[T any, V int64 | time.Duration](all []T, of func(T) V) V {
	values := make([]V, len(all))
	for i := range all {
		values[i] = of(all[i])
	}
	slices.Sort(values)
	return values[len(values)/2]
}

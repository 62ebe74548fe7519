package bench_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// rounds is how often everything is measured; the medians count.
const rounds = 5

// BenchmarkArchive builds an hour of many small recordings and one of few
// large ones, each round beside the limit of the machine (the same bytes read
// and thrown away, then as many written) and beside rclone, where it is
// installed. Ratios are of wall times, smaller is better for x-limit, larger
// for x-rclone.
func BenchmarkArchive(b *testing.B) {
	for _, bb := range []struct {
		name  string
		files int
		size  int64
	}{{"1500x50KB", 1500, 50_000}, {"60x8MB", 60, 8_000_000}} {
		b.Run(bb.name, func(b *testing.B) {
			s := newStage(b)
			s.fill(0, bb.files, bb.size)
			s.register(s.day, 0, bb.files, bb.size)
			_, err := s.catalog.PlanDay(b.Context(), tenant, s.day)
			s.must(err)
			build := job{
				S3: s.s3, Recordings: s.recordings, Archives: s.archives, Database: s.database,
				Tenant: tenant, Day: s.day, Files: bb.files, Size: bb.size,
			}
			inChild(b, build)
			archived, err := s.catalog.Day(b.Context(), tenant, s.day)
			s.must(err)
			limit := build
			limit.Upload = archived.Hours[0].Archive.Size
			rclone, compared := installed("rclone")
			for b.Loop() {
				var r results
				for n := range rounds {
					s.round(n, build, limit, rclone, compared, &r)
				}
				r.report(b, compared)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// results are what the rounds took. wholes are the builder's processes from
// start to end, as rclone's are measured.
type results struct {
	builds, limits, rclones []outcome
	wholes                  []time.Duration
}

// round measures everything once, in an order that changes.
func (s *stage) round(n int, build, limit job, rclone string, compared bool, r *results) {
	s.Helper()
	steps := []func(){
		func() {
			_, err := s.catalog.Rebuild(s.ctx, tenant, s.day, 0, true)
			s.must(err)
			o, whole := inChild(s, build)
			r.builds, r.wholes = append(r.builds, o), append(r.wholes, whole)
		},
		func() {
			o, _ := inChild(s, limit)
			r.limits = append(r.limits, o)
		},
		func() {
			if compared {
				r.rclones = append(r.rclones, watched(s, s.rclone(rclone, n)))
			}
		},
	}
	for i := range steps {
		steps[(n+i)%len(steps)]()
	}
}

// rclone makes a ZIP of the same recordings in the same store.
func (s *stage) rclone(path string, n int) *exec.Cmd {
	cmd := exec.CommandContext(s.ctx, path, "archive", "create", "--format", "zip", "--config", os.DevNull,
		"bench:"+s.recordings+"/knovvu-va", fmt.Sprintf("bench:%s/rclone-%d.zip", s.archives, n))
	cmd.Env = append(os.Environ(), "RCLONE_CONFIG_BENCH_TYPE=s3", "RCLONE_CONFIG_BENCH_PROVIDER=Minio",
		"RCLONE_CONFIG_BENCH_ENDPOINT="+s.s3.Endpoint, "RCLONE_CONFIG_BENCH_REGION="+s.s3.Region,
		"RCLONE_CONFIG_BENCH_ACCESS_KEY_ID="+s.s3.AccessKey, "RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY="+s.s3.SecretKey)
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

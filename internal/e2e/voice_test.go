package e2e_test

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/callvault/callvault/internal/domain"
)

const sounds = "/usr/share/asterisk/sounds/en_US_f_Allison"

// prompts reads telephone voice prompts of Debian packages, in three formats.
func prompts(t *testing.T, most int) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	for _, format := range []string{"wav", "gsm", "g722"} {
		n := 0
		err := filepath.WalkDir(sounds, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != "."+format || n == most {
				return err
			}
			n++
			body, err := os.ReadFile(path)
			found[strings.TrimPrefix(path, sounds+"/")] = body
			return err
		})
		if err != nil || n == 0 {
			t.Fatalf("no telephone voice of format %s below %s: %v; install asterisk-core-sounds-en-%s", format, sounds, err, format)
		}
	}
	return found
}

// TestVoice archives a day of real telephone voice: `import --audio`, the night's plan, the API,
// the download.
func TestVoice(t *testing.T) {
	f := newFixture(t)
	tenants := []string{"acme", "beta-2", "gamma_3"}
	f.tenant(tenants...)
	yesterday := f.yesterday()
	var list []recording
	clips := prompts(t, 240)
	for i, name := range slices.Sorted(maps.Keys(clips)) {
		key := tenants[i%3] + "/" + string(yesterday) + "/" + name
		at := yesterday.Start().Add(time.Duration(i*7919%86400) * time.Second)
		list = append(list, say(tenants[i%3], key, at, clips[name]))
	}
	f.start("api,scheduler,worker")
	f.takeFiles(list)
	days := slices.Collect(maps.Keys(f.truth.days()))
	f.waitBuilt(days...)
	f.check(days...)
	f.clean()
	unpack(t, filepath.Join(f.dir, "downloads"))
	f.checkerSees(days)
}

// unpack reads every ZIP with other programs.
func unpack(t *testing.T, dir string) {
	t.Helper()
	zips, err := filepath.Glob(filepath.Join(dir, "*.zip"))
	if err != nil || len(zips) < 24 {
		t.Fatalf("%d ZIPs were downloaded: %v", len(zips), err)
	}
	for _, path := range zips {
		if output, err := exec.CommandContext(t.Context(), "unzip", "-tqq", path).CombinedOutput(); err != nil {
			t.Errorf("unzip -t %s: %v\n%s", filepath.Base(path), err, output)
		}
	}
}

// checkerSees tests the checker itself: it changes the expected recordings in every way that an
// archive could be wrong, and expects a complaint about each.
func (f *fixture) checkerSees(days []day) {
	f.t.Helper()
	good := f.truth.snapshot()
	key := slices.Sorted(maps.Keys(good))[0]
	held := map[day]map[string][]archived{}
	for _, d := range days {
		held[d], _ = f.fetch(d)
	}
	for what, lie := range map[string]func(all map[string]recording, r recording){
		"a file is left out":           func(all map[string]recording, r recording) { r.Key += "x"; all[r.Key] = r },
		"a file too many":              func(all map[string]recording, r recording) { delete(all, r.Key) },
		"another file's bytes":         func(all map[string]recording, r recording) { r.sum[0]++; all[r.Key] = r },
		"another hour":                 func(all map[string]recording, r recording) { r.At = flip(r.At); all[r.Key] = r },
		"another message":              func(all map[string]recording, r recording) { r.Message++; all[r.Key] = r },
		"a file not missing":           func(all map[string]recording, r recording) { r.missing = "not_found"; all[r.Key] = r },
		"a file of another tenant's":   func(all map[string]recording, r recording) { r.Tenant = other(r.Tenant); all[r.Key] = r },
		"a file shorter than recorded": func(all map[string]recording, r recording) { r.Size++; all[r.Key] = r },
	} {
		all := maps.Clone(good)
		lie(all, good[key])
		seen := 0
		for d, files := range held {
			seen += len(compare(files, of(all, d)))
		}
		if seen == 0 {
			f.t.Errorf("the checker does not see %s", what)
		}
	}
	f.leaves()
}

// leaves tests the checker itself: it leaves an object and an upload, and expects a complaint about
// each.
func (f *fixture) leaves() {
	f.t.Helper()
	ctx, bucket := f.t.Context(), f.env["CALLVAULT_ARCHIVES_BUCKET"]
	_, err := f.s3.PutObject(ctx, bucket, "acme/stray.zip", strings.NewReader("x"), 1, minio.PutObjectOptions{})
	f.must(err)
	if len(f.leftovers()) != 1 {
		f.t.Error("the checker does not see a stray object")
	}
	f.must(f.s3.RemoveObject(ctx, bucket, "acme/stray.zip", minio.RemoveObjectOptions{}))
	core := minio.Core{Client: f.s3}
	for key := range f.archiveRows() {
		_, err := core.NewMultipartUpload(ctx, bucket, key, minio.PutObjectOptions{})
		f.must(err)
		break
	}
	if len(f.leftovers()) != 1 {
		f.t.Error("the checker does not see a stray upload")
	}
}

// flip moves a time to another hour of the same day.
func flip(at time.Time) time.Time {
	if at.Hour() < 12 {
		return at.Add(12 * time.Hour)
	}
	return at.Add(-12 * time.Hour)
}

func other(tenant string) string {
	if tenant == "acme" {
		return "beta-2"
	}
	return "acme"
}

// TestTwoOfEach runs two workers and two schedulers at once: every hour is published once.
func TestTwoOfEach(t *testing.T) {
	f := newFixture(t)
	f.tenant("acme", "beta")
	yesterday := f.yesterday()
	var list []recording
	for hour := range 24 {
		list = append(list, spread(domain.HourKey{Tenant: "acme", Day: yesterday, Hour: hour}, "r", 6, 3000)...)
		list = append(list, spread(domain.HourKey{Tenant: "beta", Day: yesterday, Hour: hour}, "r", 2, 3000)...)
	}
	f.take(list)
	f.start("api")
	roles := []*process{f.start("scheduler"), f.start("worker"), f.start("scheduler"), f.start("worker")}
	days := []day{{"acme", yesterday}, {"beta", yesterday}}
	f.waitBuilt(days...)
	f.check(days...)
	for _, d := range days {
		revisions := f.revisions(d)
		if len(revisions) != 24 || slices.Max(revisions) != 1 {
			t.Errorf("%s has the revisions %v, want 24 times 1", d.tenant, revisions)
		}
	}
	if n := f.number(`SELECT count(*) FROM archives`); n != 48 {
		t.Errorf("%d archives were begun for 48 hours", n)
	}
	f.clean()
	for _, p := range roles {
		p.term()
	}
}

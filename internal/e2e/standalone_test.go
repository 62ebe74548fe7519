package e2e_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

// newStandalone makes an installation with embedded parts; nothing runs yet.
func newStandalone(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, began: time.Now(), bin: testenv.Program(t), dir: t.TempDir(), apps: map[string]application{}}
	f.env = map[string]string{
		"CALLVAULT_DATA": filepath.Join(f.dir, "data"), "CALLVAULT_RECORDINGS_BUCKET": "recordings", "CALLVAULT_ARCHIVES_BUCKET": "archives",
		"CALLVAULT_LISTEN": "127.0.0.1:0", "CALLVAULT_PUBLIC_URL": "http://" + publicHost, "CALLVAULT_INTERNAL_TOKEN": internalToken,
		"CALLVAULT_SCHEDULE": "0 0 * * *", "CALLVAULT_LEASE": "2s", "CALLVAULT_HEAL_INTERVAL": "1s", "CALLVAULT_LATE_DELAY": "200ms",
	}
	return f
}

// standalone starts the process and looks into its parts.
func (f *fixture) standalone() *process {
	f.t.Helper()
	p := f.startWith(nil, "standalone")
	file := filepath.Join(f.env["CALLVAULT_DATA"], "run.json")
	info, err := os.Stat(file)
	f.must(err)
	if info.Mode().Perm() != 0o600 {
		f.t.Errorf("the runtime file has mode %v", info.Mode())
	}
	text, err := os.ReadFile(file)
	f.must(err)
	var run struct {
		DatabaseURL string `json:"databaseUrl"`
	}
	f.must(json.Unmarshal(text, &run))
	if f.cat == nil {
		f.open(run.DatabaseURL)
	}
	return p
}

// TestStandalone runs commands beside a standalone process and without one.
func TestStandalone(t *testing.T) {
	f := newStandalone(t)
	p := f.standalone()
	f.tenant("acme") // commands beside the running process
	yesterday := f.yesterday()
	var list []recording
	for hour := range 24 {
		list = append(list, spread(domain.HourKey{Tenant: "acme", Day: yesterday, Hour: hour}, "r", 4, 50_000)...)
	}
	f.takeFiles(list)
	if out := f.ok("archive", "--tenant", "acme", "--day", string(yesterday), "--wait"); !strings.Contains(out, "0 pending, 0 failed") {
		t.Errorf("archive --wait says %q", out)
	}
	f.check(day{"acme", yesterday})
	second := f.run(nil, "standalone")
	if code := second.code(); code != 1 || !strings.Contains(second.log.String(), fmt.Sprintf("pid %d", p.cmd.Process.Pid)) ||
		!strings.Contains(second.log.String(), f.env["CALLVAULT_DATA"]) {
		t.Errorf("a second standalone exited with %d and says %s", code, second.log)
	}
	f.clean()
	p.term()
	p.alone()
	if _, err := os.Stat(filepath.Join(f.env["CALLVAULT_DATA"], "run.json")); err == nil {
		t.Error("the runtime file outlives the process")
	}
	// Without a running process, commands run the parts themselves.
	f.tenant("beta")
	late := spread(domain.HourKey{Tenant: "acme", Day: yesterday, Hour: 9}, "late", 2, 1000)
	late = append(late, spread(domain.HourKey{Tenant: "beta", Day: yesterday, Hour: 9}, "r", 2, 1000)...)
	f.takeFiles(late)
	for _, tenant := range []string{"acme", "beta"} {
		f.ok("archive", "--tenant", tenant, "--day", string(yesterday), "--wait")
	}
	p = f.standalone()
	f.check(day{"acme", yesterday}, day{"beta", yesterday})
	if _, answer := f.askDay("acme", yesterday); answer.Links[9].Revision != 2 || answer.Links[8].Revision != 1 {
		t.Errorf("hour 9 has revision %d and hour 8 has %d", answer.Links[9].Revision, answer.Links[8].Revision)
	}
	p.term()
	p.alone()
}

// TestStandaloneWithoutItsCatalog: an embedded object store has one user only, so a new catalog
// takes it over without a flag.
func TestStandaloneWithoutItsCatalog(t *testing.T) {
	f := newStandalone(t)
	f.ok("migrate", "up")
	lost, err := filepath.Glob(filepath.Join(f.env["CALLVAULT_DATA"], "catalog.db*"))
	f.must(err)
	for _, path := range lost {
		f.must(os.Remove(path))
	}
	if out := f.ok("migrate", "up"); !strings.Contains(out, "taken over from installation ") {
		t.Errorf("migrate up says %q", out)
	}
	if out := f.ok("audit", "--from", "today", "--to", "today"); len(lost) == 0 || strings.Count(out, `"bucket.adopt"`) != 1 {
		t.Errorf("%d files were lost, and the audit log says %s", len(lost), out)
	}
}

// TestKilledStandalone kills a standalone at random moments of ingest and builds: everything that
// was acknowledged is kept.
func TestKilledStandalone(t *testing.T) {
	const kills = 6
	f := newStandalone(t)
	p := f.standalone()
	f.tenant("acme")
	yesterday := f.yesterday()
	for n := range kills {
		for hour := range 24 {
			for _, r := range spread(domain.HourKey{Tenant: "acme", Day: yesterday, Hour: hour}, fmt.Sprintf("r%d", n), 1, 60_000) {
				f.upload("acme", r.Key, r.body)
				f.post("acme", r)
			}
		}
		// Right after the last acknowledgement, or within the builds that follow.
		if n%2 == 1 {
			time.Sleep(time.Duration(rand.IntN(800)) * time.Millisecond)
		}
		p.kill()
		p = f.standalone()
	}
	f.waitBuilt(day{"acme", yesterday})
	f.check(day{"acme", yesterday})
	f.clean()
	p.term()
	p.alone()
}

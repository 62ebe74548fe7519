package e2e_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/testenv"
)

// steps are the schema's steps of a made-up next version.
func steps() map[string]string {
	return map[string]string{
		"postgres/09000_next.sql": "-- +goose Up\nALTER TABLE days ADD COLUMN of_next INT NOT NULL DEFAULT 0;\n" +
			"ALTER TABLE hours ADD COLUMN of_next TEXT;\n-- +goose Down\nSELECT 1;\n",
		"postgres/09001_next_index.sql": "-- +goose NO TRANSACTION\n-- +goose Up\nSET lock_timeout = 0;\n" +
			"DROP INDEX CONCURRENTLY IF EXISTS recordings_next;\nCREATE INDEX CONCURRENTLY recordings_next ON recordings (registered_us);\n" +
			"-- +goose Down\nSELECT 1;\n",
	}
}

// nextVersion builds the next version's program: today's with further schema steps, without which
// it does not start.
func (f *fixture) nextVersion() string {
	f.t.Helper()
	root, err := filepath.Abs("../..")
	f.must(err)
	dir := f.t.TempDir()
	replace := map[string]string{}
	for name, text := range steps() {
		file := filepath.Join(dir, filepath.Base(name))
		f.must(os.WriteFile(file, []byte(text), 0o600))
		replace[filepath.Join(root, "internal/catalog/migrations", name)] = file
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	f.must(err)
	f.must(os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600))
	return testenv.Build(f.t, root, "-overlay="+filepath.Join(dir, "overlay.json"))
}

// TestUpgrade upgrades a running installation: the schema's steps are taken while replicas of this
// version serve and build, then the replicas are replaced one by one. No client sees an error.
func TestUpgrade(t *testing.T) {
	f := newFixture(t)
	next := f.nextVersion()
	f.step("the next version is built")
	days := f.smallNight()
	r := f.replicas(f.slowServing())
	f.waitBuilt(days...)
	load := f.load(days[0])
	load.moved()
	early := f.launch(next, nil, "run", "api")
	if code := early.code(); code != 1 || !strings.Contains(early.log.String(), "callvault migrate up") {
		t.Errorf("the next version on this schema exits with %d: %s", code, early.log)
	}
	// A long query blocks the first step, and two processes take the steps at once.
	reader, err := f.db.BeginTx(t.Context(), nil)
	f.must(err)
	_, err = reader.ExecContext(t.Context(), `SELECT count(*) FROM days`)
	f.must(err)
	up := []*process{f.launch(next, nil, "migrate", "up", "--json"), f.launch(next, nil, "migrate", "up", "--json")}
	eventually(t, "a step waits for its lock", func(context.Context) string {
		if f.number(`SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'days'::regclass`) == 0 {
			return "none does"
		}
		return ""
	})
	load.moved()
	f.must(reader.Rollback())
	taken := 0
	for _, p := range up {
		var done struct {
			Migrations int `json:"migrations"`
		}
		if code := p.code(); code != 0 || json.Unmarshal([]byte(p.out.String()), &done) != nil {
			t.Errorf("migrate up exits with %d: %s", code, p.log)
		}
		taken += done.Migrations
	}
	if taken != len(steps()) {
		t.Errorf("%d steps were taken, want %d", taken, len(steps()))
	}
	f.step("migrated")
	load.moved()
	// A process of this version can still start: a rollback needs no step back.
	back := f.launch(f.bin, nil, "run", "api")
	address := back.serving()
	eventually(t, "this version is ready on the next one's schema", func(ctx context.Context) string {
		if !readyAt(ctx, address) {
			return "it is not"
		}
		return ""
	})
	back.term()
	r.roll(next, load)
	f.step("replaced")
	r.endLoad(load, days...)
	f.step("checked")
}

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/testenv"
)

// More hours are due than are dispatched at a time, and the scheduler's next pass is far away: a
// command that waits dispatches the others itself.
func TestArchiveWaitDispatches(t *testing.T) {
	t.Setenv("CALLVAULT_HEAL_INTERVAL", "1h")
	t.Setenv("CALLVAULT_CONCURRENCY", "1")
	s := newPullServer(t)
	var list []recording
	for hour := range 12 {
		list = append(list, recording{fmt.Sprintf("%02d:00:00", hour), fmt.Sprintf("%d.opus", hour), 100 + hour})
	}
	s.record(list...)
	cmd := s.command("archive", "--tenant", "acme", "--day", s.day, "--wait", "--json")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var r archiveJSON
	if err := json.Unmarshal(out, &r); err != nil || r.Due < 12 || r.Waiting != 0 || r.Failed != 0 || r.Complete != 24 || r.Empty != 11 || !r.Enabled {
		t.Errorf("%+v, %v", r, err)
	}
}

// Hours are made due without the queue too, and the command says that they have to wait.
func TestArchiveWithoutQueue(t *testing.T) {
	store := testenv.MinIO(t)
	env := config.Env{"CALLVAULT_DATABASE_URL": testenv.Postgres(t), "CALLVAULT_REDIS_URL": "redis://127.0.0.1:1", "CALLVAULT_S3_ENDPOINT": store.Endpoint,
		"CALLVAULT_S3_ACCESS_KEY": store.AccessKey, "CALLVAULT_S3_SECRET_KEY": store.SecretKey,
		"CALLVAULT_RECORDINGS_BUCKET": testenv.BucketName("recordings"), "CALLVAULT_ARCHIVES_BUCKET": testenv.BucketName("archives")}
	for _, args := range [][]string{{"migrate", "up"}, {"tenant", "create", "acme"}} {
		if code, _, errs := callvault(t, env, args...); code != exitOK {
			t.Fatal(errs)
		}
	}
	file := save(t, t.TempDir(), "day.ndjson", []byte(line(1, "a.opus")))
	if code, _, errs := callvault(t, env, "import", "--tenant", "acme", file); code != exitOK {
		t.Fatal(errs)
	}
	code, out, errs := callvault(t, env, "archive", "--tenant", "acme", "--day", "yesterday")
	if code != exitOK || !strings.Contains(out, "1 hour was due") || !strings.Contains(errs, "callvault doctor") {
		t.Errorf("exit %d, printed %q and %q", code, out, errs)
	}
}

// A wait includes an hour that is tried again within minutes, but not one that is tried again
// later.
func TestStuckHours(t *testing.T) {
	started := time.Now()
	hour := func(n int, failed, retry time.Duration) catalog.HourView {
		return catalog.HourView{ServedHour: catalog.ServedHour{Hour: n, Rebuilding: true}, FailedAt: started.Add(failed), Due: started.Add(failed + retry)}
	}
	v := catalog.DayView{Hours: [24]catalog.HourView{hour(7, time.Second, time.Minute), hour(8, time.Second, time.Hour), hour(9, -time.Second, time.Hour)}}
	if got := stuckHours(v, -1, started); !slices.Equal(got, []int{8}) {
		t.Errorf("stuck: %v", got)
	}
}

// Of many missing recordings some are printed, and the others counted.
func TestPrintMissing(t *testing.T) {
	var out strings.Builder
	missing := make([]catalog.MissingFile, maxListed+2)
	for i := range missing {
		missing[i] = catalog.MissingFile{ObjectKey: fmt.Sprintf("k%d", i), Reason: catalog.ReasonNotFound}
	}
	if err := printMissing(&deps{stderr: &out}, missing); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "  not_found k19\n  and 2 more") || strings.Contains(text, "k20") {
		t.Error(text)
	}
}

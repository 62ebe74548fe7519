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

// A command that waits for a day does not depend on when the scheduler looks again: a tenant's
// hours are handed out a few at a time, and more are due here than that.
func TestArchiveWaitHandsOutItself(t *testing.T) {
	t.Setenv("CALLVAULT_HEAL_INTERVAL", "1h")
	t.Setenv("CALLVAULT_CONCURRENCY", "1")
	s := newPulled(t)
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
	var r archiveResult
	if err := json.Unmarshal(out, &r); err != nil || r.Due < 12 || r.Waiting != 0 || r.Failed != 0 || r.Complete != 13 || r.Empty != 11 || !r.Enabled {
		t.Errorf("%+v, %v", r, err)
	}
}

// Without the queue hours are made due all the same: the command says that they have to wait.
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

// An hour that is tried again within minutes is waited for, one whose next try is far off is not.
func TestStuckHours(t *testing.T) {
	begun := time.Now()
	hour := func(n int, failed, retry time.Duration) catalog.HourView {
		return catalog.HourView{Hour: n, Rebuilding: true, FailedAt: begun.Add(failed), Due: begun.Add(failed + retry)}
	}
	v := catalog.DayView{Hours: [24]catalog.HourView{hour(7, time.Second, time.Minute), hour(8, time.Second, time.Hour), hour(9, -time.Second, time.Hour)}}
	if got := stuckHours(v, -1, begun); !slices.Equal(got, []int{8}) {
		t.Errorf("stuck: %v", got)
	}
}

// Of an hour that lacks many recordings some are named, and the rest counted.
func TestNameMissing(t *testing.T) {
	var out strings.Builder
	missing := make([]catalog.MissingFile, maxNamed+2)
	for i := range missing {
		missing[i] = catalog.MissingFile{ObjectKey: fmt.Sprintf("k%d", i), Reason: catalog.ReasonNotFound}
	}
	if err := nameMissing(&deps{stderr: &out}, missing); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "  not_found k19\n  and 2 more") || strings.Contains(text, "k20") {
		t.Error(text)
	}
}

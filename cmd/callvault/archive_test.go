package main

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"
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
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := s.command("archive", "--tenant", "acme", "--day", s.day, "--wait", "--json")
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() }) // Output then fails
	defer stop()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var r archiveResult
	if err := json.Unmarshal(out, &r); err != nil || r.Due < 12 || r.Waiting != 0 || r.Failed != 0 || r.Complete != 13 || r.Empty != 11 || !r.Enabled {
		t.Errorf("%+v, %v", r, err)
	}
}

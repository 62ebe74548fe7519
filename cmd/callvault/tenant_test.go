package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

func TestTenantCreateRefusesNoRetention(t *testing.T) {
	data := "--data=" + t.TempDir()
	if code, _, errs := callvault(t, nil, "migrate", "up", data); code != exitOK {
		t.Fatal(errs)
	}
	code, out, errs := callvault(t, nil, "tenant", "create", "acme", "--retention-days=0", data)
	if code != exitFailed || out != "" || !strings.Contains(errs, "retention days must be 1 to 3650") {
		t.Errorf("exit %d, printed %q and %q", code, out, errs)
	}
	code, out, errs = callvault(t, nil, "tenant", "create", "acme", "--json", data)
	if code != exitOK || !strings.Contains(out, `"retentionDays": 3`) {
		t.Errorf("exit %d, printed %q and %q", code, out, errs)
	}
}

// auditLog returns the lines of a tenant's audit log with an action, each as "actor detail".
func auditLog(t *testing.T, tenant, action, data string) (lines []string) {
	t.Helper()
	code, out, errs := callvault(t, nil, "audit", "--tenant", tenant, "--from", "yesterday", "--to", "today", data)
	if code != exitOK {
		t.Fatal(errs)
	}
	for text := range strings.Lines(out) {
		var line struct {
			Actor, Action string
			Detail        json.RawMessage
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		if line.Action == action {
			lines = append(lines, line.Actor+" "+string(line.Detail))
		}
	}
	return lines
}

// TestTenantIsAudited checks that the audit log has the settings of a new tenant, and the old and
// new value of each change.
func TestTenantIsAudited(t *testing.T) {
	data := "--data=" + t.TempDir()
	for _, args := range [][]string{{"migrate", "up"},
		{"tenant", "create", "acme", "--name", "Acme", "--feature", "daily_audio_recordings"},
		{"tenant", "set", "acme", "--retention-days", "7", "--no-feature", "daily_audio_recordings"},
		{"tenant", "set", "acme", "--retention-days", "7"},
		{"tenant", "set", "acme", "--key-prefix", "acme/"},
		{"tenant", "set", "acme", "--key-prefix="},
	} {
		if code, _, errs := callvault(t, nil, append(args, data)...); code != exitOK {
			t.Fatal(errs)
		}
	}
	if code, _, _ := callvault(t, nil, "tenant", "set", "acme", "--retention-days", "0", data); code != exitFailed {
		t.Error("a retention of no days is taken")
	}
	for action, want := range map[string]string{
		"tenant.create": `[command {"settings":{"daily_audio_recordings":true,"dayLimit":5,"downloadLimit":5,"export_api":false,"keyPrefix":"","name":"Acme","retentionDays":3,"sourceRetentionDays":0}}]`,
		"tenant.set":    `[command {"changed":{"daily_audio_recordings":{"from":true,"to":false},"retentionDays":{"from":3,"to":7}}} command {"changed":{}} command {"changed":{"keyPrefix":{"from":"","to":"acme/"}}} command {"changed":{"keyPrefix":{"from":"acme/","to":""}}}]`,
	} {
		if got := fmt.Sprint(auditLog(t, "acme", action, data)); got != want {
			t.Errorf("%s: %s, want %s", action, got, want)
		}
	}
}

// TestShorterRetentionIsConfirmed checks that no day is ended by a command that did not say so.
func TestShorterRetentionIsConfirmed(t *testing.T) {
	dir, data := newCatalog(t, "--retention-days", "10")
	day := func(ago int) string { return time.Now().UTC().AddDate(0, 0, -ago).Format(time.DateOnly) }
	var lines strings.Builder
	for i, ago := range []int{3, 5, 7} {
		fmt.Fprintf(&lines, `{"kind":"recording","conversationId":"c","sessionId":"s","messageId":%d,"type":"user","timestamp":"%sT09:00:00Z","objectKey":"%d.opus"}`+"\n", i, day(ago), i)
	}
	expect(t, nil, exitOK, "3 recordings", "import", "--tenant", "acme", save(t, dir, "days.ndjson", []byte(lines.String())), data)
	set := func(args ...string) (int, string, string) {
		return callvault(t, nil, append([]string{"tenant", "set", "acme", data, "--retention-days"}, args...)...)
	}
	for _, args := range [][]string{{"4"}, {"4", "--json"}} {
		code, out, errs := set(args...)
		if code != exitUsage || out != "" || !strings.Contains(errs, "2 days, "+day(7)+" to "+day(5)+" of acme") || !strings.Contains(errs, "nothing is changed. If that is meant, add --yes") {
			t.Errorf("%v: exit %d, printed %q and %q", args, code, out, errs)
		}
	}
	if code, out, errs := set("11", "--json"); code != exitOK || strings.Contains(out, "endedDays") {
		t.Errorf("a longer one: exit %d, printed %q and %q", code, out, errs)
	}
	if code, out, errs := set("4", "--yes", "--json"); code != exitOK || !strings.Contains(out, `"endedDays": 2`) {
		t.Errorf("with --yes: exit %d, printed %q and %q", code, out, errs)
	}
	for _, want := range []string{"tenant acme changed\n", "tenant acme has these settings already\n"} {
		if code, out, errs := set("3"); code != exitOK || out != want { // these days have ended
			t.Errorf("exit %d, printed %q and %q; want %q", code, out, errs, want)
		}
	}
}

// TestTenantEnds sets a source retention, and closes and deletes a tenant.
func TestTenantEnds(t *testing.T) {
	dir, data := newCatalog(t)
	line := `{"kind":"conversation","conversationId":"c","agentId":"a","startTime":"2020-01-01T00:00:00Z"}` + "\n"
	expect(t, nil, exitOK, "1 conversation", "import", "--tenant", "acme", save(t, dir, "old.ndjson", []byte(line)), data)
	run := func(wantCode int, want string, args ...string) {
		t.Helper()
		code, out, errs := callvault(t, nil, append(append([]string{"tenant"}, args...), data)...)
		if code != wantCode || !strings.Contains(out+errs, want) {
			t.Errorf("%v: exit %d, printed %q and %q", args, code, out, errs)
		}
	}
	run(exitUsage, "1 conversation with 0 recordings", "set", "acme", "--source-retention-days", "365")
	run(exitOK, `"sourceRetentionDays": 0`, "set", "acme", "--name", "Acme", "--json")
	run(exitOK, "until then this can be undone", "set", "acme", "--source-retention-days", "365", "--yes")
	run(exitOK, "tenant acme changed\n", "set", "acme", "--source-retention-days", "0")
	run(exitFailed, "close it first", "delete", "acme", "--yes")
	run(exitUsage, "add --yes", "close", "acme", "--reason", "moved away")
	run(exitOK, "Its conversations are kept for ever", "close", "acme", "--reason", "moved away", "--yes")
	run(exitOK, string(domain.DayOf(time.Now())), "list")
	expect(t, nil, exitFailed, "tenant acme is closed", "import", "--tenant", "acme", filepath.Join(dir, "old.ndjson"), data)
	expect(t, nil, exitFailed, "tenant acme is closed", "key", "create", "--tenant", "acme", data)
	run(exitFailed, "tenant acme has 1 conversation left", "delete", "acme", "--yes")
	expect(t, nil, exitOK, "covers all", "hold", "create", "--tenant", "acme", "--name", "h", "--reason", "r", "--all", data)
	expect(t, nil, exitOK, "released", "hold", "release", "--tenant", "acme", "h", "--reason", "r", data)
	run(exitFailed, "; a released hold covers until "+string(domain.DayOf(time.Now()).Add(1))+"T", "delete", "acme", "--yes")
	run(exitOK, "tenant acme is open", "open", "acme", "--reason", "by mistake")

	run(exitOK, "created", "create", "beta", "--source-retention-days", "30")
	run(exitOK, "30 days old", "close", "beta", "--reason", "moved away", "--yes")
	run(exitOK, "tenant beta is deleted", "delete", "beta", "--yes")
	run(exitFailed, "its id is never used again", "create", "beta")
	if lines := auditLog(t, "beta", "tenant.delete", data); len(lines) != 1 {
		t.Errorf("the audit log has %d lines of the deletion, want 1", len(lines))
	}
}

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRecordingCorrect corrects a recording of 11 bytes whose line said 5: its hour fails before,
// and has an archive after.
func TestRecordingCorrect(t *testing.T) {
	dir := t.TempDir()
	run := func(args ...string) (int, string, string) {
		t.Helper()
		return callvault(t, nil, append(args, "--data="+filepath.Join(dir, "data"))...)
	}
	must := func(args ...string) string {
		t.Helper()
		code, out, errs := run(args...)
		if code != exitOK {
			t.Fatalf("%s: exit %d, %s", strings.Join(args, " "), code, errs)
		}
		return out
	}
	must("migrate", "up")
	must("tenant", "create", "acme", "--feature", "daily_audio_recordings")
	key := "a.wav"
	bucket := filepath.Join(dir, "data", "objects", "recordings")
	save(t, bucket, key, []byte("elevenbytes")) // the platform writes into its bucket
	first := strings.Replace(line(1, key), "}", `,"sizeBytes":5}`, 1)
	file := save(t, dir, "day.ndjson", []byte(first))
	audioDir := t.TempDir()
	save(t, audioDir, key, []byte("elevenbytes"))
	audio := []string{"import", "--tenant", "acme", "--audio", audioDir, file}
	if code, _, errs := run(audio...); code != exitFailed || !strings.Contains(errs, "correct the line") {
		t.Errorf("of a line that is new: exit %d, printed %q", code, errs)
	}
	must("import", "--tenant", "acme", file)
	if code, _, errs := run(audio...); code != exitFailed || !strings.Contains(errs, "callvault recording correct") {
		t.Errorf("of a recording: exit %d, printed %q", code, errs)
	}
	archive := []string{"archive", "--tenant", "acme", "--day", "yesterday", "--hour", "9", "--wait", "--force"}
	if code, _, errs := run(archive...); code != exitFailed || !strings.Contains(errs, "callvault recording correct --size") || !strings.Contains(errs, "  size_changed a.wav") {
		t.Errorf("exit %d, printed %q", code, errs)
	}

	correct := []string{"recording", "correct", "--tenant", "acme", "--key", key}
	for want, args := range map[string][]string{
		"nothing to correct":    {"--reason", "r"},
		"--reason":              {"--size", "11"},
		`"crc32" must be`:       {"--reason", "r", "--crc32", "xyz"},
		"has no recording":      {"--reason", "r", "--size", "11", "--key", "b.wav"},
		`"sizeBytes" must not`:  {"--reason", "r", "--size=-1"},
		"past the retention of": {"--reason", "r", "--timestamp", "2020-01-01T00:00:00Z"},
	} {
		if code, _, errs := run(append(correct, args...)...); code == exitOK || !strings.Contains(errs, want) {
			t.Errorf("%v: exit %d, printed %q", args, code, errs)
		}
	}
	correct = append(correct, "--size", "11", "--reason", "the line named 5 bytes")
	if out := must(correct...); !strings.Contains(out, "sizeBytes: 5 is now 11") || !strings.Contains(out, "09:00") {
		t.Error(out)
	}
	if out := must(correct...); !strings.Contains(out, "was so before; nothing was changed") {
		t.Error(out)
	}
	var r archiveJSON
	if err := json.Unmarshal([]byte(must(append(archive, "--json")...)), &r); err != nil || r.Complete != 1 || r.MissingFiles != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	must("import", "--tenant", "acme", "--audio", filepath.Dir(save(t, t.TempDir(), key, []byte("elevenbytes"))), file) // the first line again
	if log := must("audit", "--tenant", "acme", "--from", "yesterday", "--to", "today"); !strings.Contains(log, `"action":"recording.correct"`) || !strings.Contains(log, "the line named 5 bytes") {
		t.Error(log)
	}
	// The command names recordings that the hour's archive lacks.
	other := save(t, bucket, "b.wav", []byte("bytes"))
	must("import", "--tenant", "acme", save(t, dir, "more.ndjson", []byte(line(2, "b.wav"))))
	if err := os.Remove(filepath.Join(bucket, key)); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := run(archive...); code != exitOK || !strings.Contains(out, "1 recording missing") || !strings.Contains(errs, "hour 09 lacks recordings. not_found (1): ") || !strings.Contains(errs, "  not_found a.wav") {
		t.Errorf("exit %d, printed %q and %q", code, out, errs)
	}
	// When the next revision fails, the command does not wait for its next try. The former one
	// stays.
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := run(archive...); code != exitFailed || !strings.Contains(out, "0 pending, 1 failed") || !strings.Contains(errs, "  not_found a.wav") {
		t.Errorf("exit %d, printed %q and %q", code, out, errs)
	}
}

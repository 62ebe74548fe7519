package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/ingest"
)

// line is the ingest line of a recording of yesterday.
func line(message int, key string) string {
	at := time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)
	return fmt.Sprintf(`{"kind":"recording","conversationId":"c","sessionId":"s","messageId":%d,"type":"user","timestamp":"%sT09:00:%02dZ","objectKey":%q}`+"\n",
		message, at, message, key)
}

// newCatalog makes a directory, and in it a data directory with a tenant acme. data is the flag
// that names the latter.
func newCatalog(t *testing.T, tenantFlags ...string) (dir, data string) {
	t.Helper()
	dir = t.TempDir()
	data = "--data=" + filepath.Join(dir, "data")
	expect(t, nil, exitOK, "", "migrate", "up", data)
	expect(t, nil, exitOK, "", append([]string{"tenant", "create", "acme", data}, tenantFlags...)...)
	return dir, data
}

// Nothing is imported while an erasure that the catalog lacks can't be repeated.
func TestImportIsAfterErasures(t *testing.T) {
	dir, data := newCatalog(t)
	orders := filepath.Join(dir, "data/objects/archives/callvault/erasures")
	if err := os.MkdirAll(orders, 0o700); err != nil {
		t.Fatal(err)
	}
	save(t, orders, "er_1.json", []byte("{"))
	code, _, errs := callvault(t, nil, "import", "--tenant", "acme", save(t, dir, "day.ndjson", []byte(line(1, "a.opus"))), data)
	if code == exitOK || !strings.Contains(errs, "nothing is imported") {
		t.Errorf("exit %d, printed %q", code, errs)
	}
}

func TestImportKeepsToTheKeyPrefix(t *testing.T) {
	dir, data := newCatalog(t, "--key-prefix", "acme/")
	save(t, dir, "a.opus", []byte("sound"))
	code, _, errs := callvault(t, nil, "import", "--tenant", "acme", "--audio", dir, save(t, dir, "day.ndjson", []byte(line(1, "a.opus"))), data)
	if code != exitFailed || !strings.Contains(errs, `must begin with "acme/", this tenant's key prefix`) {
		t.Errorf("exit %d, printed %q", code, errs)
	}
}

func TestImportNamesAbsentAudio(t *testing.T) {
	dir, data := newCatalog(t)
	audio := filepath.Join(dir, "audio")
	if err := os.Mkdir(audio, 0o700); err != nil {
		t.Fatal(err)
	}
	save(t, audio, "a.opus", []byte("sound"))
	file := save(t, dir, "day.ndjson", []byte(line(1, "a.opus")+line(2, "b.opus")+line(3, "c.opus")))
	code, out, errs := callvault(t, nil, "import", "--tenant", "acme", "--audio", audio, file, data)
	if code != exitOK || !strings.Contains(out, "2 recordings have no audio yet") || !strings.Contains(out, "b.opus") {
		t.Errorf("exit %d, printed %q and %q", code, out, errs)
	}
	// A pipe is refused at once, although nobody writes to it.
	if err := syscall.Mkfifo(filepath.Join(audio, "pipe.opus"), 0o600); err != nil {
		t.Fatal(err)
	}
	pipe := save(t, dir, "pipe.ndjson", []byte(line(5, "pipe.opus")))
	if code, _, errs = callvault(t, nil, "import", "--tenant", "acme", "--audio", audio, pipe, data); code != exitFailed || !strings.Contains(errs, "is not a file") {
		t.Errorf("exit %d, printed %q", code, errs)
	}
	// Audio that contradicts its line is not stored, whether the line is in this import or an
	// earlier one.
	for _, before := range []bool{false, true} {
		key := fmt.Sprintf("told-%v.opus", before)
		plain := line(6, key)
		told := save(t, dir, "told.ndjson", []byte(strings.Replace(plain, `"objectKey"`, `"sizeBytes":6,"objectKey"`, 1)))
		file := told
		if before {
			file = save(t, dir, "plain.ndjson", []byte(plain))
			if code, _, errs = callvault(t, nil, "import", "--tenant", "acme", told, data); code != exitOK {
				t.Fatal(errs)
			}
		}
		for _, sound := range []string{"sound", "sounds"} {
			want := exitOK
			if sound == "sound" {
				want = exitFailed
			}
			save(t, audio, key, []byte(sound))
			code, _, errs = callvault(t, nil, "import", "--tenant", "acme", "--audio", audio, file, data)
			if code != want || want != exitOK && !strings.Contains(errs, "has 5 bytes") {
				t.Errorf("before: %v, %s: exit %d, printed %q", before, sound, code, errs)
			}
		}
	}
	// Without --audio no audio is looked for.
	if code, out, _ = callvault(t, nil, "import", "--tenant", "acme", file, data); code != exitOK || strings.Contains(out, "no audio") {
		t.Errorf("exit %d, printed %q", code, out)
	}
	bad := save(t, dir, "bad.ndjson", []byte(line(4, "d.opus")+`{"kind":"gossip"}`+"\n"))
	code, out, _ = callvault(t, nil, "import", "--tenant", "acme", bad, "--json", data)
	var r importJSON
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitFailed || r.Line != 2 || !strings.HasPrefix(r.Error, "line 2: ") {
		t.Errorf("exit %d, printed %q: %v", code, out, err)
	}
	yesterday := time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)
	code, out, errs = callvault(t, nil, "archive", "--tenant", "acme", "--day", yesterday, data)
	if code != exitOK || !strings.Contains(out, "23 complete (23 no data), 0 pending, 0 failed, 1 incomplete; 2 recordings missing") || !strings.Contains(errs, "lacks the feature daily_audio_recordings") {
		t.Errorf("exit %d, printed %q and %q", code, out, errs)
	}
}

// TestImportIsAudited checks that the audit log has one line for each run that stored something,
// with what it stored, and none for a run that stored nothing.
func TestImportIsAudited(t *testing.T) {
	dir, data := newCatalog(t)
	save(t, dir, "a.opus", []byte("sound"))
	bad := `{"kind":"gossip"}` + "\n"
	var many strings.Builder
	for i := range 5001 { // the second batch is bad
		fmt.Fprintf(&many, `{"kind":"agent","agentId":"a-%d"}`+"\n", i)
	}
	for _, run := range []struct {
		file, lines string
		more        []string
		code        int
	}{
		{"day.ndjson", line(1, "a.opus") + line(2, "b.opus"), []string{"--audio", dir}, exitOK},
		{"day.ndjson", line(1, "a.opus") + line(2, "b.opus"), nil, exitOK},
		{"bad.ndjson", line(3, "c.opus") + bad, nil, exitFailed},
		{"many.ndjson", many.String() + bad, nil, exitFailed},
	} {
		args := append([]string{"import", "--tenant", "acme", save(t, dir, run.file, []byte(run.lines)), data}, run.more...)
		if code, _, errs := callvault(t, nil, args...); code != run.code {
			t.Fatalf("exit %d, printed %q", code, errs)
		}
	}
	want := []string{
		`command {"source":"day.ndjson","whole":true,"lines":2,"agents":0,"conversations":0,"messages":0,"recordings":2,"totals":0,"changed":3,"tooLate":0,"audioFiles":1,"audioBytes":5}`,
		`command {"source":"day.ndjson","whole":true,"lines":2,"agents":0,"conversations":0,"messages":0,"recordings":2,"totals":0,"changed":0,"tooLate":0,"audioFiles":0,"audioBytes":0}`,
		`command {"source":"many.ndjson","whole":false,"lines":5000,"agents":5000,"conversations":0,"messages":0,"recordings":0,"totals":0,"changed":5000,"tooLate":0,"audioFiles":0,"audioBytes":0}`,
	}
	if got := auditLog(t, "acme", "import", data); !slices.Equal(got, want) {
		t.Errorf("the log says\n%s", strings.Join(got, "\n"))
	}
}

// TestImportChecksFirst checks that what can be known before a line is read is said before it, and
// that a bad batch says what is stored and what to do.
func TestImportChecksFirst(t *testing.T) {
	dir, data := newCatalog(t)
	bad := save(t, dir, "bad.ndjson", []byte(line(1, "a.opus")+`{"kind":"gossip"}`+"\n"))
	for name, c := range map[string]struct {
		args       []string
		code       int
		want, lack string
	}{
		"tenant":    {[]string{"--tenant", "acmo", bad}, exitFailed, `tenant "acmo" does not exist; see: callvault tenant list`, "line 2"},
		"directory": {[]string{"--tenant", "acme", "--audio", dir + "/none", bad}, exitUsage, "no such file or directory; name the directory", "line 2"},
		"a file":    {[]string{"--tenant", "acme", "--audio", bad, bad}, exitUsage, "not a directory; name the directory", "line 2"},
		"audio off": {[]string{"--tenant", "acme", "--audio", dir, "--take-audio", "off", bad}, exitFailed, "CALLVAULT_TAKE_AUDIO is off", "line 2"},
		"bad batch": {[]string{"--tenant", "acme", bad}, exitFailed, "No line is stored. Mend line 2, then import it again", "Stored:"},
	} {
		code, out, errs := callvault(t, nil, append([]string{"import", data}, c.args...)...)
		if code != c.code || out != "" || !strings.Contains(errs, c.want) || strings.Contains(errs, c.lack) {
			t.Errorf("%s: exit %d, printed %q and %q; want %q", name, code, out, errs, c.want)
		}
	}
	if _, _, errs := callvault(t, nil, "import", data, "--tenant", "acme", "--audio", dir, bad); !strings.Contains(errs, "\naudio: failed after 0 B\n") || strings.Contains(errs, "audio: done, 0 B") {
		t.Errorf("printed %q", errs)
	}
}

func TestImportSaysWhatIsStored(t *testing.T) {
	bad := fmt.Errorf("refused: %w", &catalog.LineError{Line: 5002, Err: io.EOF})
	for want, got := range map[string]string{
		"No line is stored. Mend line 5002, then import it again": importJSON{}.afterError(bad),
		"Stored: 5,000 lines, all before the batch that failed, and none of that batch. Audio in the store, which is not sent again: 7 files. " +
			"Import the file again: what is stored already is not stored twice": importJSON{Result: ingest.Result{Lines: 5000, Batches: 1}, AudioFiles: 7}.afterError(io.EOF),
	} {
		if got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
}

// TestImportShowsBytesOfAudio imports lines of a few hundred bytes with 3 MiB of audio.
func TestImportShowsBytesOfAudio(t *testing.T) {
	dir, data := newCatalog(t)
	save(t, dir, "a.opus", make([]byte, 1<<20))
	save(t, dir, "b.opus", make([]byte, 2<<20))
	file := save(t, dir, "day.ndjson", []byte(line(1, "a.opus")+line(2, "b.opus")+line(3, "absent.opus")))
	for range 2 { // then the bytes are in the bucket
		code, out, errs := callvault(t, nil, "import", "--tenant", "acme", "--audio", dir, file, data, "--json")
		if code != exitOK || !strings.Contains(errs, "audio: done, 3.0 MiB\n") || !strings.Contains(errs, "lines: done, ") || !json.Valid([]byte(out)) {
			t.Errorf("exit %d, printed %q and %q", code, out, errs)
		}
	}
}

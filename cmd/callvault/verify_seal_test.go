package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callvault/callvault/client/dayseal"
	"github.com/callvault/callvault/client/dayseal/daysealtest"
	"github.com/callvault/callvault/client/verify"
)

// sealedTree makes a directory with the archive of hour 14 and the day's seal, and the log's key.
func sealedTree(t *testing.T, zip []byte) (dir, key string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "2025-12-12")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r, err := verify.File(t.Context(), save(t, dir, "14.zip", zip))
	if err != nil {
		t.Fatal(err)
	}
	log := daysealtest.New(t, "callvault.example.com/log")
	log.Add([]byte("a line"))
	save(t, dir, "day.seal", log.Seal(daysealtest.Day("acme", "2025-12-12", func(s *dayseal.Seal) {
		s.Hours[14] = dayseal.Hour{Hour: "14", State: dayseal.Available, Revision: 1, ManifestSHA256: &r.ManifestSHA256, FileCount: int64(r.Files), MissingFileCount: int64(r.MissingCount)}
	})))
	former := daysealtest.New(t, "callvault.example.com/log")
	return dir, save(t, filepath.Dir(dir), "keys.txt", []byte("# former\n"+former.Key+"\n"+log.Key+"\n"))
}

func TestVerifySealedDay(t *testing.T) {
	good, forged := archive(t, "k/one.opus"), archive(t, "k/two.opus")
	in := func(name string, change func([]byte) []byte) func(string) error {
		return func(dir string) error {
			path := filepath.Join(dir, name)
			text, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(path, change(text), 0o600))
		}
	}
	for name, tc := range map[string]struct {
		spoil func(dir string) error
		want  string // with the key; "" when all is well
		keys  bool   // only with the key
	}{
		"whole":   {},
		"gone":    {spoil: func(dir string) error { return os.Remove(filepath.Join(dir, "14.zip")) }, want: "ABSENT  DIR  14  The seal names an archive, and there is none."},
		"forged":  {spoil: in("14.zip", func([]byte) []byte { return forged }), want: "Its SHA256SUMS is not the one that the seal names for hour 14, revision 1"},
		"moved":   {spoil: func(dir string) error { return os.Rename(filepath.Join(dir, "14.zip"), filepath.Join(dir, "15.zip")) }, want: "says that hour 15 was no_data: it does not know the archive"},
		"doubled": {spoil: func(dir string) error { return os.WriteFile(filepath.Join(dir, "15.zip"), good, 0o600) }, want: "BROKEN  DIR/15.zip"},
		"of another day": {
			spoil: func(dir string) error {
				return os.WriteFile(filepath.Join(dir, "acme_2025-12-11_14.zip"), good, 0o600)
			},
			want: "The seal of 2025-12-12 does not know the archive",
		},
		"renamed": {spoil: func(dir string) error { return os.Rename(filepath.Join(dir, "14.zip"), filepath.Join(dir, "mine.zip")) }},
		"seal changed": {spoil: in("day.seal", func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"tenant":"acme"`), []byte(`"tenant":"evil"`), 1)
		}), want: "BROKEN  DIR/day.seal\n        The seal is not proven: it is not what stands in the log", keys: true},
		"seal broken":   {spoil: in("day.seal", func(b []byte) []byte { return b[:50] }), want: "UNREAD  DIR/day.seal\n"},
		"only the seal": {spoil: in("day.seal", func(b []byte) []byte { return b[:50] }), want: "\n1 day.json or day.seal file cannot be relied on; "},
		"both": {
			spoil: func(dir string) error {
				return errors.Join(os.Truncate(filepath.Join(dir, "day.seal"), 50), os.Truncate(filepath.Join(dir, "14.zip"), 50))
			},
			want: "\nthis archive and 1 other file cannot be relied on; ",
		},
		"no seal": {spoil: func(dir string) error { return os.Remove(filepath.Join(dir, "day.seal")) }, want: "There is no day.seal beside it, so nothing proves it", keys: true},
	} {
		dir, key := sealedTree(t, good)
		if tc.spoil != nil {
			if err := tc.spoil(dir); err != nil {
				t.Fatal(err)
			}
		}
		code, stdout, stderr := callvault(t, nil, "verify", "--log-key", key, dir)
		stdout = strings.ReplaceAll(stdout, dir, "DIR")
		if (code == 0) != (tc.want == "") || !strings.Contains(stdout, tc.want) || name == "seal changed" && strings.Contains(stdout, "proven by the log") || code == 0 && !strings.Contains(stdout, "ok      DIR/day.seal  seal of acme 2025-12-12, made 2026-01-02T03:04:05Z, proven by the log callvault.example.com/log\n") {
			t.Errorf("%s: exit %d\n%s%s", name, code, stdout, stderr)
		}
		code, stdout, _ = callvault(t, nil, "verify", dir)
		if (code == 0) != (tc.want == "" || tc.keys) || tc.want == "" && !strings.Contains(stdout, "the signatures of 1 seal were not checked; name the log's public key with --log-key\n") {
			t.Errorf("%s without a key: exit %d\n%s", name, code, stdout)
		}
	}
}

func TestVerifySealJSON(t *testing.T) {
	dir, key := sealedTree(t, archive(t, "k/one.opus"))
	code, stdout, stderr := callvault(t, nil, "verify", "--json", "--log-key", key, filepath.Join(dir, "14.zip"))
	var out struct {
		OK    bool
		Seals []sealed
	}
	if err := json.Unmarshal([]byte(stdout), &out); err != nil || code != 0 || !out.OK || len(out.Seals) != 1 || !out.Seals[0].Proven || out.Seals[0].UTCDay != "2025-12-12" {
		t.Errorf("exit %d, %v\n%s%s", code, err, stdout, stderr)
	}
	other := save(t, t.TempDir(), "keys.txt", []byte(daysealtest.New(t, "elsewhere").Key))
	if code, stdout, _ = callvault(t, nil, "verify", "--log-key", other, dir); code != 1 || !strings.Contains(stdout, "no key of the file has signed its checkpoint") {
		t.Errorf("exit %d\n%s", code, stdout)
	}
	for _, text := range []string{"", "no key"} {
		bad := save(t, t.TempDir(), "keys.txt", []byte(text))
		if code, _, stderr = callvault(t, nil, "verify", "--log-key", bad, dir); code != 2 || !strings.Contains(stderr, "--log-key "+bad) {
			t.Errorf("a file %q: exit %d, %s", text, code, stderr)
		}
	}
}

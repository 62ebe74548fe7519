package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callvault/callvault/client/verify"
)

// pulledTree makes the directory of a pulled day of which hour 14 has an archive.
func pulledTree(t *testing.T, zip []byte, change func(links []map[string]any)) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "2025-12-12")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := save(t, dir, "14.zip", zip)
	r, err := verify.File(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	links := make([]map[string]any, 24)
	for i := range links {
		links[i] = map[string]any{"hour": fmt.Sprintf("%02d", i), "status": "no_data"}
	}
	links[14] = map[string]any{
		"hour": "14", "status": "available", "sizeBytes": r.Size, "manifestSha256": r.ManifestSHA256, "revision": 1,
		"file": map[string]any{"name": "14.zip", "revision": 1, "sizeBytes": r.Size, "manifestSha256": r.ManifestSHA256},
	}
	if change != nil {
		change(links)
	}
	body, err := json.Marshal(map[string]any{"date": "2025-12-12", "links": links})
	if err != nil {
		t.Fatal(err)
	}
	save(t, dir, "day.json", body)
	return dir
}

func TestVerifyPulledDay(t *testing.T) {
	good, forged := archive(t, "k/one.opus"), archive(t, "k/two.opus")
	for name, tc := range map[string]struct {
		change func(links []map[string]any)
		spoil  func(dir string) error
		want   string // "" when all is well
	}{
		"whole":         {},
		"gone":          {spoil: func(dir string) error { return os.Remove(filepath.Join(dir, "14.zip")) }, want: "ABSENT  DIR  14  The archive was pulled and is gone.\n1 hour without an archive; to download again what is broken or absent:\n    callvault pull --day 2025-12-12 --out PARENT\n"},
		"never fetched": {change: func(l []map[string]any) { l[15]["status"] = "available" }, want: "ABSENT  DIR  15  The archive was not downloaded.\n"},
		"pending": {
			change: func(l []map[string]any) {
				for _, h := range []int{3, 16, 17, 18} {
					l[h]["status"] = "pending"
				}
			},
			want: "ABSENT  DIR  03, 16-18  The hour was pending when the server was last asked.\n4 hours without an archive;",
		},
		"of a link":         {spoil: func(dir string) error { return os.WriteFile(filepath.Join(dir, "acme_2025-12-12_14.zip"), good, 0o600) }},
		"of an earlier day": {spoil: func(dir string) error { return os.WriteFile(filepath.Join(dir, "acme_2025-12-11_14.zip"), good, 0o600) }, want: "It is the archive of \"2025-12-12\", hour \"14\"."},
		"other than linked": {spoil: func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "acme_2025-12-12_14.zip"), forged, 0o600)
		}, want: "it is another revision, or not the server's"},
		"broken": {
			spoil: func(dir string) error { return os.WriteFile(filepath.Join(dir, "14.zip"), good[1:], 0o600) },
			want:  "this archive cannot be relied on; to download again what is broken or absent:\n    callvault pull --recheck --day 2025-12-12 --out PARENT\n",
		},
		"a link in place of it": {
			spoil: func(dir string) error {
				return errors.Join(os.Rename(filepath.Join(dir, "14.zip"), filepath.Join(dir, "..", "x")), os.Symlink("../x", filepath.Join(dir, "14.zip")))
			},
			want: "UNREAD  DIR/14.zip\n        it is a symbolic link",
		},
		"a directory in place of it": {
			spoil: func(dir string) error {
				return errors.Join(os.Remove(filepath.Join(dir, "14.zip")), os.Mkdir(filepath.Join(dir, "14.zip"), 0o700))
			},
			want: "ABSENT  DIR  14  A directory has the archive's name; remove it.\n",
		},
		"a link to day.json": {
			spoil: func(dir string) error {
				return errors.Join(os.Rename(filepath.Join(dir, "day.json"), filepath.Join(dir, "x")), os.Symlink("x", filepath.Join(dir, "day.json")))
			},
			want: "UNREAD  DIR/day.json\n",
		},
		"forged": {spoil: func(dir string) error { return os.WriteFile(filepath.Join(dir, "14.zip"), forged, 0o600) }, want: "SHA256SUMS is not the one that day.json names"},
		"moved":  {spoil: func(dir string) error { return os.Rename(filepath.Join(dir, "14.zip"), filepath.Join(dir, "15.zip")) }, want: "BROKEN  DIR/15.zip\n        day.json knows no such archive"},
		"added":  {spoil: func(dir string) error { return os.WriteFile(filepath.Join(dir, "copy.zip"), good, 0o600) }, want: "BROKEN  DIR/copy.zip\n        day.json knows no such archive: it was not pulled. Keep it elsewhere.\n1 of 2 archives cannot be relied on\n"},
		"copied": {
			spoil: func(dir string) error { return os.WriteFile(filepath.Join(dir, "15.zip"), good, 0o600) },
			want:  "BROKEN  DIR/15.zip\n        day.json knows no such archive: it was not pulled. Keep it elsewhere.\n1 of 2 archives cannot be relied on\n",
		},
		"of another day": {spoil: swapDay, want: "UNREAD  DIR/day.json"},
		"unreadable":     {spoil: func(dir string) error { return os.WriteFile(filepath.Join(dir, "day.json"), []byte("{"), 0o600) }, want: "pull the day again"},
		"older":          {change: func(l []map[string]any) { l[14]["revision"] = 2 }, want: "It is revision 1; day.json names revision 2"},
		"swapped hours": {
			change: func(l []map[string]any) {
				l[15] = map[string]any{"hour": "15", "status": "available", "file": l[14]["file"], "revision": 1}
			},
			spoil: func(dir string) error { return os.WriteFile(filepath.Join(dir, "15.zip"), good, 0o600) },
			want:  "It is the archive of \"2025-12-12\", hour \"14\".",
		},
		"erased since": {
			change: func(l []map[string]any) { l[14]["status"] = "no_data" },
			want: "BROKEN  DIR/14.zip\n        The hour had no recordings any more when the server was last asked: they were erased or corrected. Delete the file, or keep it elsewhere.\n" +
				"this archive cannot be relied on\n",
		},
		"erased and deleted since": {
			change: func(l []map[string]any) { l[14]["status"] = "no_data" },
			spoil:  func(dir string) error { return os.Remove(filepath.Join(dir, "14.zip")) },
		},
		"not noted": {change: func(l []map[string]any) { delete(l[14], "file") }},
		"not noted anew": {change: func(l []map[string]any) {
			l[14]["revision"] = 2
			l[14]["file"] = map[string]any{"name": "14.zip", "revision": 1, "sizeBytes": 7, "manifestSha256": strings.Repeat("0", 64)}
		}},
	} {
		dir := pulledTree(t, good, tc.change)
		if tc.spoil != nil {
			if err := tc.spoil(dir); err != nil {
				t.Fatal(err)
			}
		}
		for _, path := range []string{dir, filepath.Dir(dir)} {
			code, out, errs := callvault(t, nil, "verify", path)
			if tc.want == "" {
				if code != exitOK || !strings.HasSuffix(out, " as it should be; complete by day.json: 1 day\n") && !strings.HasSuffix(out, " as they should be; complete by day.json: 1 day\n") {
					t.Errorf("%s: exit %d, printed %q and %q", name, code, out, errs)
				}
				continue
			}
			if want := strings.NewReplacer("DIR", dir, "PARENT", filepath.Dir(dir)).Replace(tc.want); code != exitFailed || !strings.Contains(out, want) {
				t.Errorf("%s: exit %d, printed %q and %q; want %q", name, code, out, errs, want)
			}
		}
	}
}

// TestVerifyBesideAnAnswer has a day.json that is the server's answer, saved by hand, and an
// archive with the file name of its link.
func TestVerifyBesideAnAnswer(t *testing.T) {
	dir := pulledTree(t, archive(t, "k/one.opus"), func(l []map[string]any) { l[14]["url"] = "https://vault.example.com/x" })
	path := filepath.Join(dir, "acme_2025-12-12_14.zip")
	if err := os.Rename(filepath.Join(dir, "14.zip"), path); err != nil {
		t.Fatal(err)
	}
	for _, arg := range []string{path, dir} {
		if code, out, errs := callvault(t, nil, "verify", arg); code != exitOK || strings.Contains(out, "day.json knows") {
			t.Errorf("exit %d, printed %q and %q", code, out, errs)
		}
	}
}

// swapDay changes the day in day.json, so that it is not the name of the directory.
func swapDay(dir string) error {
	path := filepath.Join(dir, "day.json")
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.Replace(string(body), "2025-12-12", "2025-12-13", 1)), 0o600)
}

func TestVerifyPulledDayAsJSON(t *testing.T) {
	dir := pulledTree(t, archive(t, "k/one.opus"), func(l []map[string]any) { l[3]["status"] = "failed" })
	code, out, _ := callvault(t, nil, "verify", dir, "--json")
	var result struct {
		OK       bool
		Archives []fileJSON
		Days     []dayJSON
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		t.Fatal(err)
	}
	if code != exitFailed || result.OK || len(result.Archives) != 2 || !result.Archives[1].Absent || result.Archives[1].Hour != "03" {
		t.Errorf("exit %d, %+v", code, result)
	}
	if len(result.Days) != 1 || fmt.Sprint(result.Days[0].Absent) != "[03]" || result.Days[0].UTCDay != "2025-12-12" {
		t.Errorf("days %+v", result.Days)
	}
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.CopyFS(moved, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if _, out, _ = callvault(t, nil, "verify", moved); !strings.HasSuffix(out, "\n1 hour without an archive; download again what is broken or absent\n") {
		t.Errorf("printed %q", out)
	}
	// A single file is compared with day.json, and other hours may be absent.
	if code, out, _ = callvault(t, nil, "verify", filepath.Join(dir, "14.zip")); code != exitOK || strings.Contains(out, "ABSENT") {
		t.Errorf("exit %d, printed %q", code, out)
	}
}

package client_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callvault/callvault/client"
)

// plant makes a file outside the directory of a pull, and a symbolic link to it inside.
func plant(t *testing.T, dir, name string) (victim string) {
	t.Helper()
	victim = filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	link(t, victim, filepath.Join(dir, name))
	return victim
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

// TestPlantedLinksAreNotFollowed has links at every name that a pull writes.
func TestPlantedLinksAreNotFollowed(t *testing.T) {
	for _, name := range []string{"14.zip", "14.zip.part", "14.zip.part.json", "14.zip.part.json.tmp", "day.json", "day.json.tmp"} {
		s, dir := newServer(t), t.TempDir()
		a := s.put(14, 100_000, 1)
		victim := plant(t, dir, pullDay+"/"+name)
		inside := filepath.Join(dir, pullDay, "inside")
		if err := os.WriteFile(inside, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			s.pull(dir, client.DayComplete, nil)
			if !bytes.Equal(pulled(t, dir, "14.zip"), a.zip) {
				t.Errorf("%s: the archive has other bytes", name)
			}
			for _, path := range []string{victim, inside} {
				if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
					t.Errorf("%s: the victim holds %.20q, %v", name, b, err)
				}
			}
			// Once more with a link that stays in the directory.
			if err := os.Remove(filepath.Join(dir, pullDay, "14.zip")); err != nil {
				t.Fatal(err)
			}
			_ = os.Remove(filepath.Join(dir, pullDay, name)) // most of them are gone
			link(t, "inside", filepath.Join(dir, pullDay, name))
		}
	}
}

// TestPlantedDirectories has a link in place of a day's directory, and one in place of the lock.
func TestPlantedDirectories(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	s.put(14, 1000, 1)
	for _, target := range []string{t.TempDir(), "2025-12-11"} {
		if err := os.MkdirAll(filepath.Join(dir, "2025-12-11"), 0o700); err != nil {
			t.Fatal(err)
		}
		link(t, target, filepath.Join(dir, pullDay))
		d, _ := s.pull(dir, client.DayFailed, nil)
		if d.Err == nil || !strings.Contains(d.Err.Error(), "symbolic link") {
			t.Errorf("the error is %v", d.Err)
		}
		if list, err := os.ReadDir(filepath.Join(dir, pullDay)); err != nil || len(list) > 0 {
			t.Errorf("%d files were written where a link leads, %v", len(list), err)
		}
		if err := os.Remove(filepath.Join(dir, pullDay)); err != nil {
			t.Fatal(err)
		}
	}
	if s.count("day") != 0 {
		t.Error("a request was spent on it")
	}
	for _, target := range []string{filepath.Join(t.TempDir(), "new"), plant(t, t.TempDir(), "x")} {
		dir := t.TempDir()
		link(t, target, filepath.Join(dir, ".callvault-pull.lock"))
		_, err := s.newClient(nil).Pull(t.Context(), client.Options{Days: []string{pullDay}, Dir: dir}, nil)
		if err == nil || !strings.Contains(err.Error(), "symbolic link") {
			t.Errorf("the pull gives %v", err)
		}
	}
}

// TestDirectoriesInPlaceOfFiles has directories with the names of files, which no rename replaces.
func TestDirectoriesInPlaceOfFiles(t *testing.T) {
	for _, name := range []string{"14.zip", "day.json"} {
		s, dir := newServer(t), t.TempDir()
		s.put(14, 1000, 1)
		if err := os.MkdirAll(filepath.Join(dir, pullDay, name), 0o700); err != nil {
			t.Fatal(err)
		}
		d, _ := s.pull(dir, client.DayFailed, nil)
		err := d.Err
		if err == nil {
			err = d.Hours[14].Err
		}
		if err == nil || !strings.Contains(err.Error(), name+": it is a directory; remove it") || s.count("14") > 0 {
			t.Errorf("%s: the error is %v after %d downloads", name, err, s.count("14"))
		}
	}
}

// TestHugeDayFile has a day.json that would take a hundred times its size in memory.
func TestHugeDayFile(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	s.put(14, 1000, 1)
	path := filepath.Join(dir, pullDay)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	huge := `{"date": "` + pullDay + `", "links": [` + strings.Repeat("{},", 1<<20) + "{}]}"
	if err := os.WriteFile(filepath.Join(path, "day.json"), []byte(huge), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := client.ReadPulledDay(path); err == nil || !strings.Contains(err.Error(), "has more than") {
		t.Errorf("the error is %v", err)
	}
	s.pull(dir, client.DayComplete, nil)
	if _, err := client.ReadPulledDay(path); err != nil {
		t.Errorf("the pull leaves %v", err)
	}
}

// TestLinksPlantedMeanwhile replaces the partial file and the day's directory while the server
// sends.
func TestLinksPlantedMeanwhile(t *testing.T) {
	for _, name := range []string{"14.zip.part", ""} {
		s, dir := newServer(t), t.TempDir()
		a := s.put(14, 500_000, 1)
		elsewhere := t.TempDir()
		victim := filepath.Join(elsewhere, "14.zip.part")
		if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.fault = func(kind string, n int, w http.ResponseWriter, r *http.Request) bool {
			if kind != "14" || n > 1 {
				return false
			}
			s.sendArchive(w, r, kind, 100_000)
			path, target := filepath.Join(dir, pullDay, name), victim
			if name == "" {
				target = elsewhere
			}
			if err := os.Rename(path, path+".moved"); err != nil {
				t.Error(err)
			}
			link(t, target, path)
			return true
		}
		result, _ := s.newClient(nil).Pull(t.Context(), client.Options{Days: []string{pullDay}, Dir: dir}, nil)
		if b, err := os.ReadFile(victim); err != nil || string(b) != "precious" {
			t.Errorf("%q: the victim holds %.20q, %v", name, b, err)
		}
		if list, err := os.ReadDir(elsewhere); err != nil || len(list) != 1 {
			t.Errorf("%q: %d files where the link leads, %v", name, len(list), err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, pullDay, "14.zip")); err == nil && !bytes.Equal(b, a.zip) {
			t.Errorf("%q: an archive of %d bytes got its name; the day is %s", name, len(b), result.State())
		}
	}
}

// TestHardLinkedPart has a partial file with another name, as a backup by hard links makes it.
func TestHardLinkedPart(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	a := s.put(14, 500_000, 1)
	leavePart(t, s, dir)
	other := filepath.Join(t.TempDir(), "other")
	if err := os.Link(filepath.Join(dir, pullDay, "14.zip.part"), other); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	s.pull(dir, client.DayComplete, nil)
	if after, err := os.ReadFile(other); err != nil || !bytes.Equal(before, after) || !bytes.Equal(pulled(t, dir, "14.zip"), a.zip) {
		t.Errorf("%d bytes are %d now, %v", len(before), len(after), err)
	}
}

// TestRecheck damages archives that are there.
func TestRecheck(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	a := s.put(14, 100_000, 1)
	s.put(3, 1000, 1)
	s.pull(dir, client.DayComplete, nil)
	path := filepath.Join(dir, pullDay, "14.zip")
	bad := bytes.Clone(a.zip)
	bad[len(bad)/2] ^= 1
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	d, _ := s.pull(dir, client.DayComplete, nil)
	if h := d.Hours[14]; h.State != client.HourPresent || h.Checked {
		t.Errorf("without recheck hour 14 is %+v", h)
	}
	recheck := func(o *client.Options) { o.Recheck = true }
	d, p := s.pull(dir, client.DayComplete, recheck)
	if h := d.Hours[14]; h.State != client.HourDownloaded || !p.noted("14.zip: the archive is damaged") || s.count("03") != 1 || !d.Hours[3].Checked {
		t.Errorf("hour 14 is %+v, notes %q, %d downloads of hour 03", h, p.notes, s.count("03"))
	}
	if !bytes.Equal(pulled(t, dir, "14.zip"), a.zip) {
		t.Error("the archive is not mended")
	}
	d, _ = s.pull(dir, client.DayComplete, recheck)
	if h := d.Hours[14]; h.State != client.HourPresent || !h.Checked || s.count("14") != 2 {
		t.Errorf("hour 14 is %+v after %d downloads", h, s.count("14"))
	}
}

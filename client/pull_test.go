package client_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/callvault/callvault/client"
)

func pulled(t testing.TB, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, pullDay, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// names lists the files in the day's directory.
func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, pullDay))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func wantNames(t testing.TB, dir string, want ...string) {
	t.Helper()
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("the directory holds %v, want %v", got, want)
	}
}

func TestPullAndPullAgain(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	a, b := s.put(3, 100, 1), s.put(14, 200_000, 2)
	d, p := s.pull(dir, client.DayComplete, nil)
	if d.Hours[3].State != client.HourDownloaded || d.Hours[14].State != client.HourDownloaded || d.Hours[0].State != client.HourNoData {
		t.Errorf("hours: %+v", d.Hours)
	}
	if !bytes.Equal(pulled(t, dir, "03.zip"), a.zip) || !bytes.Equal(pulled(t, dir, "14.zip"), b.zip) || p.came != int64(len(a.zip)+len(b.zip)) {
		t.Errorf("other bytes came, %d of them", p.came)
	}
	wantNames(t, dir, "03.zip", "14.zip", "day.json")
	saved := pulled(t, dir, "day.json")
	if bytes.Contains(saved, []byte("hidden")) || !bytes.Contains(saved, []byte(b.manifest)) {
		t.Errorf("day.json holds a link, or no manifest:\n%s", saved)
	}
	for _, r := range s.seen {
		if r.Header.Get("Authorization") != "" || r.UserAgent() != "test/1" {
			t.Errorf("a link was asked with %v", r.Header)
		}
	}
	d, _ = s.pull(dir, client.DayComplete, nil)
	if d.Hours[14].State != client.HourPresent || s.count("03")+s.count("14") != 2 || s.count("day") != 2 {
		t.Errorf("the second pull made requests: %v, hour 14 is %s", s.requests, d.Hours[14].State)
	}
	if !bytes.Equal(saved, pulled(t, dir, "day.json")) {
		t.Error("day.json changed")
	}
	if err := os.Remove(filepath.Join(dir, pullDay, "day.json")); err != nil {
		t.Fatal(err)
	}
	s.pull(dir, client.DayComplete, nil)
	if s.count("14") != 1 {
		t.Error("a good archive was fetched again because day.json was lost")
	}
	if !bytes.Equal(saved, pulled(t, dir, "day.json")) {
		t.Error("day.json did not come back")
	}
}

// leavePart runs a first pull that fails midway and leaves a partial file.
func leavePart(t *testing.T, s *server, dir string) {
	t.Helper()
	s.fault = func(kind string, n int, w http.ResponseWriter, r *http.Request) bool {
		if kind == "14" && n == 1 {
			s.sendArchive(w, r, kind, 150_000)
		} else if kind == "14" {
			deny(w, http.StatusMethodNotAllowed, "no more today") // not worth another attempt
		}
		return kind == "14"
	}
	d, _ := s.pull(dir, client.DayFailed, nil)
	if d.Hours[14].State != client.HourError {
		t.Fatalf("hour 14 is %+v", d.Hours[14])
	}
	wantNames(t, dir, "14.zip.part", "14.zip.part.json", "day.json")
	s.fault = nil
}

func TestNextRunContinues(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	a := s.put(14, 500_000, 1)
	leavePart(t, s, dir)
	left := int64(len(pulled(t, dir, "14.zip.part")))
	if left == 0 {
		t.Fatal("nothing was left to continue")
	}
	_, p := s.pull(dir, client.DayComplete, nil)
	if p.came != int64(len(a.zip))-left || !bytes.Equal(pulled(t, dir, "14.zip"), a.zip) {
		t.Errorf("%d bytes came, %d were left of %d", p.came, left, len(a.zip))
	}
	wantNames(t, dir, "14.zip", "day.json")
}

func TestPartOfAnotherRevisionIsDropped(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	s.put(14, 500_000, 1)
	leavePart(t, s, dir)
	b := s.put(14, 500_000, 2) // of the same size, with other bytes
	_, p := s.pull(dir, client.DayComplete, nil)
	if p.came != int64(len(b.zip)) || !bytes.Equal(pulled(t, dir, "14.zip"), b.zip) {
		t.Errorf("%d bytes came of %d", p.came, len(b.zip))
	}
}

func TestDamagedPartIsFetchedAfresh(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	a := s.put(14, 500_000, 1)
	leavePart(t, s, dir)
	part := pulled(t, dir, "14.zip.part")
	clear(part[len(part)/2:]) // as a power failure may do
	if err := os.WriteFile(filepath.Join(dir, pullDay, "14.zip.part"), part, 0o600); err != nil {
		t.Fatal(err)
	}
	_, p := s.pull(dir, client.DayComplete, nil)
	if !bytes.Equal(pulled(t, dir, "14.zip"), a.zip) || !p.noted("damaged") {
		t.Errorf("other bytes came; notes %q", p.notes)
	}
}

func TestNewRevisionReplacesTheOld(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	a, other := s.put(14, 200_000, 1), s.put(3, 10, 1)
	s.pull(dir, client.DayComplete, nil)
	b := s.put(14, 200_000, 2)
	s.fault = func(kind string, _ int, w http.ResponseWriter, _ *http.Request) bool {
		if kind == "14" {
			deny(w, http.StatusMethodNotAllowed, "not now")
		}
		return kind == "14"
	}
	s.pull(dir, client.DayFailed, nil)
	if !bytes.Equal(pulled(t, dir, "14.zip"), a.zip) {
		t.Error("the old revision did not stay until the new one was there")
	}
	s.fault = nil
	d, _ := s.pull(dir, client.DayComplete, nil)
	if !bytes.Equal(pulled(t, dir, "14.zip"), b.zip) || d.Hours[14].Revision != 2 || d.Hours[14].State != client.HourDownloaded {
		t.Errorf("hour 14 is %+v", d.Hours[14])
	}
	if s.count("03") != 1 || !bytes.Equal(pulled(t, dir, "03.zip"), other.zip) {
		t.Error("another hour was touched")
	}
}

// An archive whose recordings were erased or corrected since stays where it is, and is named.
func TestHourWithoutRecordingsSince(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	a := s.put(14, 10, 1)
	s.pull(dir, client.DayComplete, nil)
	s.mu.Lock()
	s.hours[14] = nil
	s.mu.Unlock()
	if _, p := s.pull(dir, client.DayComplete, nil); !p.noted(pullDay+"/14.zip: The server has no recordings of the hour any more") || !bytes.Equal(pulled(t, dir, "14.zip"), a.zip) {
		t.Errorf("notes: %q", p.notes)
	}
	if err := os.Remove(filepath.Join(dir, pullDay, "14.zip")); err != nil {
		t.Fatal(err)
	}
	if _, p := s.pull(dir, client.DayComplete, nil); p.noted("14.zip") {
		t.Errorf("notes after it was deleted: %q", p.notes)
	}
}

func TestExpiredLinksAreRefreshedOnce(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	for h := range 5 {
		s.put(h, 1000, 1)
	}
	s.fault = func(kind string, _ int, w http.ResponseWriter, r *http.Request) bool {
		expired := strings.HasSuffix(r.URL.Query().Get("token"), "-1-1") // of the first answer
		if expired {
			deny(w, http.StatusUnauthorized, "The download link has expired.")
		}
		return expired
	}
	s.pull(dir, client.DayComplete, nil)
	if s.count("day") != 2 {
		t.Errorf("%d questions for the day, want 2", s.count("day"))
	}
}

func TestLinksThatStayRefused(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	s.put(14, 1000, 1)
	s.fault = func(kind string, _ int, w http.ResponseWriter, _ *http.Request) bool {
		if kind == "14" {
			deny(w, http.StatusUnauthorized, "Unauthorized access.")
		}
		return kind == "14"
	}
	s.pull(dir, client.DayRefused, nil)
	if s.count("day") > 4 {
		t.Errorf("%d questions for the day", s.count("day"))
	}
}

func TestManifestMismatch(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	s.put(14, 1000, 1).manifest = strings.Repeat("0", 64)
	d, _ := s.pull(dir, client.DayFailed, nil)
	var damaged *client.DamagedError
	if err := d.Hours[14].Err; !errors.As(err, &damaged) || s.count("14") != 2 || !strings.Contains(err.Error(), "Downloaded twice: ask the operator") {
		t.Errorf("%d downloads, error %v", s.count("14"), d.Hours[14].Err)
	}
	if slices.Contains(names(t, dir), "14.zip") {
		t.Error("a damaged archive got its name")
	}
}

func TestArchiveOfAnotherHour(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	wrong := s.put(15, 1000, 1)
	s.hours[14] = wrong
	d, _ := s.pull(dir, client.DayFailed, nil)
	if d.Hours[14].State != client.HourError || d.Hours[15].State != client.HourDownloaded {
		t.Errorf("hours: %+v", d.Hours[14:16])
	}
}

func TestServerErrorsAreRetried(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	s.put(14, 1000, 1)
	s.fault = func(_ string, n int, w http.ResponseWriter, _ *http.Request) bool {
		if n <= 2 {
			deny(w, http.StatusInternalServerError, "Internal server error.")
		}
		return n <= 2
	}
	s.pull(dir, client.DayComplete, nil)
	s.fault = func(_ string, _ int, w http.ResponseWriter, _ *http.Request) bool { return hangUp(w) }
	d, _ := s.pull(t.TempDir(), client.DayFailed, nil)
	if d.Err == nil || s.count("token") != 3+5 {
		t.Errorf("%d token requests, error %v", s.count("token"), d.Err)
	}
}

func TestOnePullForADirectory(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	s.put(14, 1000, 1)
	var second error
	s.fault = func(kind string, n int, _ http.ResponseWriter, _ *http.Request) bool {
		if kind == "day" && n == 1 {
			_, second = s.newClient(nil).Pull(context.Background(), client.Options{Days: []string{pullDay}, Dir: dir}, nil)
		}
		return false
	}
	s.pull(dir, client.DayComplete, nil)
	if !errors.Is(second, client.ErrBusy) || s.count("day") != 1 {
		t.Errorf("the second pull gives %v", second)
	}
}

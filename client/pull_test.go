package client_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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

func TestCutBodyIsContinued(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	a := s.put(14, 500_000, 1)
	s.fault = func(kind string, n int, w http.ResponseWriter, r *http.Request) bool {
		if kind == "14" && n <= 3 {
			s.sendArchive(w, r, kind, 100_000)
			return true
		}
		return false
	}
	s.pull(dir, client.DayComplete, nil)
	if !bytes.Equal(pulled(t, dir, "14.zip"), a.zip) {
		t.Error("other bytes came")
	}
	if s.bytes("14") > int64(len(a.zip))+300_000 || s.count("14") < 4 {
		t.Errorf("%d bytes in %d requests for %d", s.bytes("14"), s.count("14"), len(a.zip))
	}
	for i, r := range s.seen {
		if i > 0 && (!strings.HasPrefix(r.Header.Get("Range"), "bytes=") || r.Header.Get("If-Range") != `"14-1"`) {
			t.Errorf("attempt %d has Range %q, If-Range %q", i+1, r.Header.Get("Range"), r.Header.Get("If-Range"))
		}
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
	if !errors.As(d.Hours[14].Err, &damaged) || s.count("14") != 2 {
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

func TestStalledBodyIsTakenUpAgain(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	a := s.put(14, 300_000, 1)
	s.fault = func(kind string, n int, w http.ResponseWriter, r *http.Request) bool {
		if kind != "14" || n != 1 {
			return false
		}
		w.Header().Set("ETag", `"14-1"`)
		_, _ = w.Write(a.zip[:1000])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done() // the client gives up
		return true
	}
	c := s.newClient(func(cfg *client.Config) { cfg.StallTimeout = 100 * time.Millisecond })
	p := &progressLog{}
	r, err := c.Pull(t.Context(), client.Options{Days: []string{pullDay}, Dir: dir}, p)
	if err != nil || r.State() != client.DayComplete || p.came != int64(len(a.zip)) {
		t.Errorf("%v, %+v, %d bytes", err, r.State(), p.came)
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

func TestRedirectToAStore(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	a := s.put(14, 500_000, 1)
	n := 0
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Referer") != "" || r.Header.Get("Authorization") != "" {
			t.Errorf("the store is told %v", r.Header)
		}
		r.Header.Del("If-Range") // as stores do
		switch n++; n {
		case 1:
			s.sendArchive(w, r, "14", 100_000)
		case 2:
			deny(w, http.StatusForbidden, "Request has expired")
		default:
			s.sendArchive(w, r, "14", -1)
		}
	}))
	t.Cleanup(store.Close)
	s.store = store.URL
	_, p := s.pull(dir, client.DayComplete, nil)
	if !bytes.Equal(pulled(t, dir, "14.zip"), a.zip) || p.came != int64(len(a.zip)) || s.count("day") != 1 {
		t.Errorf("%d bytes came of %d, %d questions", p.came, len(a.zip), s.count("day"))
	}
}

// TestChangedBytesStartOver has a store that ignores If-Range, and has changed the bytes.
func TestChangedBytesStartOver(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	a := s.put(14, 500_000, 1)
	leavePart(t, s, dir)
	path := filepath.Join(dir, pullDay, "14.zip.part.json")
	note := bytes.ReplaceAll(pulled(t, dir, "14.zip.part.json"), []byte("14-1"), []byte("14-0"))
	if err := os.WriteFile(path, note, 0o600); err != nil {
		t.Fatal(err)
	}
	s.fault = func(_ string, _ int, _ http.ResponseWriter, r *http.Request) bool {
		r.Header.Del("If-Range")
		return false
	}
	_, p := s.pull(dir, client.DayComplete, nil)
	if !p.noted("starting over") || p.came != int64(len(a.zip)) {
		t.Errorf("%d bytes came of %d, notes %q", p.came, len(a.zip), p.notes)
	}
}

// TestServerThatNeverContinues has a server that sends some bytes and then refuses to continue
// them, again and again.
func TestServerThatNeverContinues(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	s.put(14, 500_000, 1)
	s.fault = func(kind string, _ int, w http.ResponseWriter, r *http.Request) bool {
		switch {
		case kind != "14":
			return false
		case r.Header.Get("Range") == "":
			s.sendArchive(w, r, kind, 100_000)
		default:
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		}
		return true
	}
	d, _ := s.pull(dir, client.DayFailed, nil)
	if d.Hours[14].State != client.HourError || s.count("14") > 20 {
		t.Errorf("%d requests, hour 14 is %+v", s.count("14"), d.Hours[14])
	}
}

// TestErrorsHoldNoLinks provokes errors in which Go puts the URL.
func TestErrorsHoldNoLinks(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"broken off": func(w http.ResponseWriter, _ *http.Request) { hangUp(w) },
		"bad redirect": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://[::hidden")
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
		"no store": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/hidden", http.StatusTemporaryRedirect)
		},
		"a loop": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.String(), http.StatusTemporaryRedirect)
		},
		"other size": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("short")) },
		"no end": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "hidden")
			w.WriteHeader(http.StatusPartialContent)
		},
	} {
		s := newServer(t)
		s.put(14, 1000, 1)
		s.fault = func(kind string, _ int, w http.ResponseWriter, r *http.Request) bool {
			if kind == "14" {
				answer(w, r)
			}
			return kind == "14"
		}
		d, p := s.pull(t.TempDir(), client.DayFailed, nil)
		if err := d.Hours[14].Err; err == nil || strings.Contains(err.Error(), "hidden") || p.noted("hidden") {
			t.Errorf("%s: error %v, notes %q", name, err, p.notes)
		}
	}
}

package client_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/client"
)

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

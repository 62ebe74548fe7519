package client_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/client"
	"github.com/callvault/callvault/client/dayseal"
	"github.com/callvault/callvault/client/dayseal/daysealtest"
)

// sealedDay is the seal of what the server has, made so many minutes after another one.
func (s *server) sealedDay(log *daysealtest.Log, minutes int) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return log.Seal(daysealtest.Day("acme", pullDay, func(d *dayseal.Seal) {
		d.SealedAt = d.SealedAt.Add(time.Duration(minutes) * time.Minute)
		for i, h := range s.hours {
			hour := &d.Hours[i]
			if hour.State, hour.Revision = h.status, h.revision; h.status == client.StatusAvailable {
				hour.ManifestSHA256, hour.FileCount = &h.manifest, 1
			}
		}
	}))
}

// serveSeals lets the server answer with what next gives; nil is a day that is not sealed yet.
func (s *server) serveSeals(next func(n int) []byte) {
	s.fault = func(kind string, n int, w http.ResponseWriter, _ *http.Request) bool {
		if kind != "seal" {
			return false
		}
		text := next(n)
		if text == nil {
			w.Header().Set("Retry-After", "0")
			deny(w, http.StatusNotFound, "The day is not sealed yet.")
		}
		_, _ = w.Write(text)
		return true
	}
}

// endDay lets the day be past its retention.
func (s *server) endDay() {
	s.fault = func(kind string, _ int, w http.ResponseWriter, _ *http.Request) bool {
		if kind == "day" {
			deny(w, http.StatusNotFound, "past retention")
		}
		return kind == "day"
	}
}

func readSeal(t *testing.T, dir string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, pullDay, "day.seal"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (s *server) pullSeal(dir string, state client.DayState, want client.SealState, change func(*client.Options)) (client.DayResult, *progressLog) {
	s.t.Helper()
	d, p := s.pull(dir, state, change)
	if d.Seal != want {
		s.t.Fatalf("the seal is %q, want %q: %v, notes %q", d.Seal, want, d.SealErr, p.notes)
	}
	return d, p
}

// pulledSeal gives a server with one hour, and a directory into which its sealed day was pulled.
func pulledSeal(t *testing.T) (s *server, log *daysealtest.Log, dir string, seal []byte) {
	t.Helper()
	s, log, dir = newServer(t), daysealtest.New(t, "callvault.example.com/log"), t.TempDir()
	s.put(3, 1000, 1)
	seal = s.sealedDay(log, 0)
	s.serveSeals(func(int) []byte { return seal })
	s.pullSeal(dir, client.DayComplete, client.SealSaved, nil)
	return s, log, dir, seal
}

func TestPullKeepsTheSeal(t *testing.T) {
	s := newServer(t)
	s.put(3, 1000, 1)
	log := daysealtest.New(t, "callvault.example.com/log")
	first := s.sealedDay(log, 0)
	s.serveSeals(func(n int) []byte {
		if n < 3 {
			return nil
		}
		return first
	})
	dir := t.TempDir()
	s.pullSeal(dir, client.DayComplete, client.SealSaved, waitPending)
	if !bytes.Equal(readSeal(t, dir), first) || s.count("seal") != 3 {
		t.Errorf("day.seal after %d requests: %s", s.count("seal"), readSeal(t, dir))
	}
	s.pullSeal(dir, client.DayComplete, client.SealPresent, nil)
	if s.count("seal") != 3 {
		t.Error("a seal that is there was asked for again")
	}

	s.put(3, 2000, 2)
	second := s.sealedDay(log, 5)
	s.serveSeals(func(n int) []byte {
		if n < 5 {
			return first // the newer one is not proven yet
		}
		return second
	})
	s.pullSeal(dir, client.DayComplete, client.SealSaved, waitPending)
	if !bytes.Equal(readSeal(t, dir), second) {
		t.Errorf("day.seal was not renewed: %s", readSeal(t, dir))
	}
}

func waitPending(o *client.Options) { o.WaitPending = true }
func recheck(o *client.Options)     { o.Recheck = true }

func TestSealIsNotOut(t *testing.T) {
	s := newServer(t)
	s.put(3, 1000, 1)
	s.serveSeals(func(int) []byte { return nil })
	dir := t.TempDir()
	_, p := s.pullSeal(dir, client.DayComplete, client.SealAwaited, nil)
	if !p.noted("not out yet") {
		t.Errorf("notes %q", p.notes)
	}
	s.fault = nil // a server of a former version
	if _, p = s.pullSeal(dir, client.DayComplete, client.SealNone, nil); !p.noted("makes no seals") {
		t.Errorf("notes %q", p.notes)
	}
	s.hours[4] = &servedHour{status: client.StatusPending}
	asked := s.count("seal")
	if s.pullSeal(dir, client.DayIncomplete, "", nil); s.count("seal") != asked {
		t.Error("asked for the seal of a day with a pending hour")
	}
}

func TestRecheckOfASeal(t *testing.T) {
	s, _, dir, seal := pulledSeal(t)
	path := filepath.Join(dir, pullDay, "day.seal")

	if err := os.WriteFile(path, seal[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, p := s.pullSeal(dir, client.DayComplete, client.SealSaved, nil); !p.noted("Asking for it again") || !bytes.Equal(readSeal(t, dir), seal) {
		t.Errorf("a broken day.seal: notes %q", p.notes)
	}
	other := bytes.Replace(seal, []byte(`"totalSessions":0`), []byte(`"totalSessions":9`), 1)
	if err := os.WriteFile(path, other, 0o600); err != nil {
		t.Fatal(err)
	}
	d, _ := s.pullSeal(dir, client.DayFailed, client.SealError, recheck)
	if !strings.Contains(d.SealErr.Error(), "one of them was changed") || !bytes.Equal(readSeal(t, dir), other) {
		t.Errorf("a changed day.seal: %v", d.SealErr)
	}
}

// A seal that was made while the server's clock was ahead is followed by one with higher revisions,
// and by none with lower ones.
func TestSealOfAClockThatWasAhead(t *testing.T) {
	s, log, dir, _ := pulledSeal(t)
	s.put(3, 2000, 2)
	second := s.sealedDay(log, -5)
	s.serveSeals(func(int) []byte { return second })
	s.pullSeal(dir, client.DayComplete, client.SealSaved, nil)
	if !bytes.Equal(readSeal(t, dir), second) {
		t.Errorf("day.seal was not renewed: %s", readSeal(t, dir))
	}
	third := s.sealedDay(log, -9)
	s.serveSeals(func(int) []byte { return third })
	s.pullSeal(dir, client.DayFailed, client.SealError, recheck)
}

// A day whose newer seal was never pulled is no failure once the server no longer has the day.
func TestOlderSealOfAKeptDay(t *testing.T) {
	s, _, dir, _ := pulledSeal(t)
	s.put(3, 2000, 2)
	s.pullSeal(dir, client.DayComplete, client.SealAwaited, nil)
	s.endDay()
	if _, p := s.pullSeal(dir, client.DayComplete, client.SealAwaited, nil); !p.noted("former revisions") {
		t.Errorf("notes %q", p.notes)
	}
}

// A seal of a day that the server no longer has is compared with the archives that are there.
func TestSealOfAKeptDay(t *testing.T) {
	s, log, dir, _ := pulledSeal(t)
	s.endDay()
	s.pullSeal(dir, client.DayComplete, client.SealPresent, nil)
	s.mu.Lock()
	s.hours[3].revision = 2
	s.mu.Unlock()
	if err := os.WriteFile(filepath.Join(dir, pullDay, "day.seal"), s.sealedDay(log, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if d, _ := s.pullSeal(dir, client.DayFailed, client.SealError, nil); !strings.Contains(d.SealErr.Error(), "seal of other archives") {
		t.Errorf("%v", d.SealErr)
	}
}

func TestHostileSealAnswers(t *testing.T) {
	s := newServer(t)
	s.put(3, 1000, 1)
	log := daysealtest.New(t, "callvault.example.com/log")
	good := string(s.sealedDay(log, 0))
	for want, seal := range map[string]string{
		"no seal of a day":          `{"hours":[]}`,
		"seal of \"2025-12-13\"":    strings.Replace(good, pullDay, "2025-12-13", 1),
		"more than 262144 bytes":    fmt.Sprintf(`{"a":%q}`, strings.Repeat("x", 300<<10)),
		"not what callvault gives":  "<html>",
		"no seal of a day as callv": strings.Replace(good, `"hour":"23"`, `"hour":"24"`, 1),
	} {
		s.serveSeals(func(int) []byte { return []byte(seal) })
		dir := t.TempDir()
		if d, _ := s.pullSeal(dir, client.DayFailed, client.SealError, nil); !strings.Contains(d.SealErr.Error(), want) {
			t.Errorf("want %q: %v", want, d.SealErr)
		}
		if _, err := os.Lstat(filepath.Join(dir, pullDay, "day.seal")); err == nil {
			t.Errorf("%s: day.seal was written", want)
		}
	}
}

package client_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/client"
)

func TestLimits(t *testing.T) {
	for _, limited := range []string{"day", "14"} {
		s, dir := newServer(t), t.TempDir()
		s.put(14, 1000, 1)
		s.put(3, 1000, 1)
		s.fault = func(kind string, n int, w http.ResponseWriter, _ *http.Request) bool {
			if kind == limited && n <= 2 {
				w.Header().Set("Retry-After", "1")
				deny(w, http.StatusTooManyRequests, "Download limit exceeded. Please try again later.")
				return true
			}
			return false
		}
		d, _ := s.pull(dir, client.DayIncomplete, nil)
		err := d.Err
		if limited == "14" {
			if err = d.Hours[14].Err; d.Hours[14].State != client.HourLimited || d.Hours[3].State != client.HourDownloaded {
				t.Errorf("hours: %+v", d.Hours)
			}
		}
		var limit *client.LimitedError
		if !errors.As(err, &limit) || limit.RetryAfter != time.Second {
			t.Errorf("%s: the error is %v", limited, err)
		}
		d, p := s.pull(dir, client.DayComplete, func(o *client.Options) { o.WaitLimits, o.Parallel = true, 1 })
		if !p.noted("going on at") || d.Hours[14].State != client.HourDownloaded {
			t.Errorf("%s: notes %q, hour %+v", limited, p.notes, d.Hours[14])
		}
	}
}

func TestWaitForPendingAndRebuilding(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	s.put(14, 1000, 1).rebuilding = true
	s.put(3, 1000, 1).status = client.StatusPending
	s.put(4, 1000, 0).status = client.StatusFailed
	d, _ := s.pull(dir, client.DayIncomplete, nil)
	if d.Hours[3].State != client.HourPending || d.Hours[4].State != client.HourFailed || !d.Hours[14].Rebuilding {
		t.Errorf("hours: %+v", d.Hours)
	}
	s.hours[4].status = client.StatusNoData
	s.fault = func(kind string, n int, _ http.ResponseWriter, _ *http.Request) bool {
		if kind == "day" && n == 3 {
			s.put(3, 1000, 1)
		}
		if kind == "day" && n == 6 {
			s.put(14, 1000, 2)
		}
		return false
	}
	d, p := s.pull(dir, client.DayComplete, func(o *client.Options) { o.WaitPending = true })
	if s.count("day") != 3 || !p.noted("1 hour is not ready on 2025-12-12; asking again at") || d.Hours[14].Revision != 1 {
		t.Errorf("%d questions, notes %q", s.count("day"), p.notes)
	}
	d, _ = s.pull(dir, client.DayComplete, func(o *client.Options) { o.WaitRebuilding = true })
	if d.Hours[14].Revision != 2 || d.Hours[14].State != client.HourDownloaded || s.count("day") != 6 {
		t.Errorf("%d questions, hour %+v", s.count("day"), d.Hours[14])
	}
}

func TestWaitGoesOnAfterAnOutageButNotAfterALimit(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	s.put(3, 1000, 1).status = client.StatusPending
	s.fault = func(kind string, n int, w http.ResponseWriter, _ *http.Request) bool {
		if kind == "day" && n > 1 && n < 9 {
			deny(w, http.StatusInternalServerError, "Internal server error.")
			return true
		}
		if kind == "day" && n == 9 {
			s.put(3, 1000, 1)
		}
		return false
	}
	s.pull(dir, client.DayComplete, func(o *client.Options) { o.WaitPending = true })
	s.put(3, 1000, 2).status = client.StatusPending
	asked := s.count("day")
	s.fault = func(kind string, n int, w http.ResponseWriter, _ *http.Request) bool {
		if kind == "day" && n > asked+1 {
			deny(w, http.StatusTooManyRequests, "Download limit exceeded.")
			return true
		}
		return false
	}
	d, _ := s.pull(dir, client.DayIncomplete, func(o *client.Options) { o.WaitPending = true })
	if d.Err == nil || len(d.Hours) != 24 || d.Hours[3].State != client.HourPending || s.count("day") != asked+2 {
		t.Errorf("%d questions, the day is %+v", s.count("day")-asked, d)
	}
	s.fault = func(kind string, n int, w http.ResponseWriter, _ *http.Request) bool {
		if kind == "day" && n > asked+3 {
			deny(w, http.StatusInternalServerError, "Internal server error.")
			return true
		}
		return false
	}
	s.pull(dir, client.DayFailed, func(o *client.Options) { o.WaitPending = true })
}

func TestRefusals(t *testing.T) {
	for status, asked := range map[int]int{http.StatusUnauthorized: 2, http.StatusForbidden: 1, http.StatusNotFound: 2, http.StatusBadRequest: 2} {
		s := newServer(t)
		s.fault = func(kind string, _ int, w http.ResponseWriter, _ *http.Request) bool {
			if kind == "day" {
				deny(w, status, "The words of the server.")
			}
			return kind == "day"
		}
		// A 401 is tried once more with a new token. 401 and 403 are not about the day, so the pull
		// does not request the second day.
		d, _ := s.pull(t.TempDir(), client.DayRefused, func(o *client.Options) { o.Days = []string{pullDay, "2025-12-13"} })
		var refused *client.RefusedError
		if !errors.As(d.Err, &refused) || refused.Status != status || refused.Message != "The words of the server." || s.count("day") != asked {
			t.Errorf("%d: %d questions, error %v", status, s.count("day"), d.Err)
		}
	}
}

func TestDayPastRetentionThatIsKept(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	s.put(14, 1000, 1)
	s.pull(dir, client.DayComplete, nil)
	s.fault = func(kind string, _ int, w http.ResponseWriter, _ *http.Request) bool {
		if kind == "day" {
			deny(w, http.StatusNotFound, "older than the allowed retention period")
		}
		return kind == "day"
	}
	for _, noted := range []bool{true, false} { // or the earlier pull was killed after it had renamed the archive
		if !noted {
			forgetFiles(t, filepath.Join(dir, pullDay, "day.json"))
		}
		d, _ := s.pull(dir, client.DayComplete, nil)
		if !d.Kept || d.Hours[14].State != client.HourPresent {
			t.Errorf("noted: %v; the day is %+v", noted, d)
		}
	}
	if err := os.Truncate(filepath.Join(dir, pullDay, "14.zip"), 10); err != nil {
		t.Fatal(err)
	}
	s.pull(dir, client.DayRefused, nil)
}

// forgetFiles removes the files from a day.json.
func forgetFiles(t *testing.T, path string) {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	body = regexp.MustCompile(`(?s)"file": \{.*?\}`).ReplaceAll(body, []byte(`"file": null`))
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTokensAreRenewed(t *testing.T) {
	s := newServer(t)
	s.lifetime = 5 // too short to be used for another request
	c := s.newClient(nil)
	for range 2 {
		if _, err := c.Day(t.Context(), pullDay); err != nil {
			t.Fatal(err)
		}
	}
	if s.count("token") != 2 {
		t.Errorf("%d tokens, want 2", s.count("token"))
	}
	s.lifetime = 3600
	for range 3 {
		if _, err := c.Day(t.Context(), pullDay); err != nil {
			t.Fatal(err)
		}
	}
	if s.count("token") != 3 {
		t.Errorf("%d tokens, want 3", s.count("token"))
	}
	s.mu.Lock()
	s.tokens++ // the server no longer accepts the old one
	s.mu.Unlock()
	if _, err := c.Day(t.Context(), pullDay); err != nil || s.count("token") != 4 {
		t.Errorf("%d tokens, %v", s.count("token"), err)
	}
}

func TestPullEndsWithItsContext(t *testing.T) {
	s := newServer(t)
	s.put(3, 1000, 1).status = client.StatusPending
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.fault = func(kind string, _ int, _ http.ResponseWriter, _ *http.Request) bool {
		if kind == "day" {
			time.AfterFunc(10*time.Millisecond, cancel)
		}
		return false
	}
	_, err := s.newClient(nil).Pull(ctx, client.Options{Days: []string{pullDay}, Dir: t.TempDir(), WaitPending: true, Poll: time.Hour}, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the pull gives %v", err)
	}
}

func TestHostileAnswers(t *testing.T) {
	for name, body := range map[string]string{
		"another day": `{"date": "2025-12-11", "links": []}`,
		"no hours":    `{"date": "2025-12-12", "links": []}`,
		"path":        `{"date": "2025-12-12", "links": [` + strings.Repeat(`{"hour": "../../x", "status": "available"},`, 23) + `{"hour": "23"}]}`,
		"not JSON":    `<html>`,
		"huge":        `{"date": "` + strings.Repeat("x", 2<<20),
	} {
		s, dir := newServer(t), t.TempDir()
		s.fault = func(kind string, _ int, w http.ResponseWriter, _ *http.Request) bool {
			if kind == "day" {
				_, _ = w.Write([]byte(body))
			}
			return kind == "day"
		}
		d, _ := s.pull(dir, client.DayFailed, nil)
		if d.Err == nil || s.count("day") != 1 {
			t.Errorf("%s: %d questions, error %v", name, s.count("day"), d.Err)
		}
	}
}

func TestWrongConfig(t *testing.T) {
	for name, cfg := range map[string]client.Config{
		"no URL":     {ClientID: "a", ClientSecret: "b"},
		"no scheme":  {URL: "callvault.example.com", ClientID: "a", ClientSecret: "b"},
		"a password": {URL: "https://u:p@callvault.example.com", ClientID: "a", ClientSecret: "b"},
		"no secret":  {URL: "https://callvault.example.com", ClientID: "a"},
		"token URL":  {URL: "https://callvault.example.com", ClientID: "a", ClientSecret: "b", TokenURL: "ftp://x"},
	} {
		if _, err := client.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

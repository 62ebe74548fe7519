package client_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/client"
)

// changeLink makes the server change the link of hour 14.
func (s *server) changeLink(change func(link map[string]any)) {
	s.fault = func(kind string, _ int, w http.ResponseWriter, r *http.Request) bool {
		if kind != "day" {
			return false
		}
		rec := httptest.NewRecorder()
		s.fault, s.requests[kind] = nil, s.requests[kind]-1
		s.serveDay(rec, r)
		var day map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &day); err != nil {
			s.t.Error(err)
			return false
		}
		hour, _ := day["links"].([]any)[14].(map[string]any)
		change(hour)
		_ = json.NewEncoder(w).Encode(day)
		return true
	}
}

// TestUnbelievableLinks has links that are refused before a byte is asked for.
func TestUnbelievableLinks(t *testing.T) {
	for want, change := range map[string]func(link map[string]any){
		"which no archive has":       func(l map[string]any) { l["sizeBytes"] = int64(1e15) },
		"5.0 TiB more, and may take": func(l map[string]any) { l["sizeBytes"] = int64(5 << 40) },
		"is no SHA-256":              func(l map[string]any) { l["manifestSha256"] = "../../x" },
		"has no link":                func(l map[string]any) { l["url"] = "file:///etc/passwd" },
	} {
		s, dir := newServer(t), t.TempDir()
		s.put(14, 1000, 1)
		s.changeLink(change)
		d, _ := s.pull(dir, client.DayFailed, nil)
		err := d.Err
		if err == nil {
			err = d.Hours[14].Err
		}
		if err == nil || !strings.Contains(err.Error(), want) || s.count("14") != 0 {
			t.Errorf("%d requests, error %v, want %q", s.count("14"), err, want)
		}
	}
}

// TestOtherSizesThanAnnounced has bodies that do not have the size of their link.
func TestOtherSizesThanAnnounced(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	s.put(14, 1000, 1)
	s.fault = func(kind string, _ int, w http.ResponseWriter, r *http.Request) bool {
		if kind != "14" {
			return false
		}
		w.Header().Set("ETag", `"x"`)
		_ = http.NewResponseController(w).Flush() // so that there is no Content-Length
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				break
			}
		}
		return true
	}
	d, _ := s.pull(dir, client.DayFailed, nil)
	if err := d.Hours[14].Err; err == nil || !strings.Contains(err.Error(), "more bytes than it announced") {
		t.Errorf("the error is %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, pullDay, "14.zip.part")); err == nil && info.Size() > int64(len(s.hours[14].zip)) {
		t.Errorf("%d bytes were written", info.Size())
	}
}

// TestHTTPSStaysHTTPS has an https server that hands out links and redirects without it.
func TestHTTPSStaysHTTPS(t *testing.T) {
	s, plain := newServer(t), newServer(t)
	secure := httptest.NewTLSServer(s.Config.Handler)
	t.Cleanup(secure.Close)
	s.put(14, 1000, 1)
	plain.put(14, 1000, 1)
	for name, tc := range map[string]struct {
		url   string // of the links
		store string
		want  string
	}{
		"link":     {plain.URL, "", "a link without https"},
		"redirect": {secure.URL, plain.URL, "no https URL"},
		"scheme":   {secure.URL, "ftp://127.0.0.1", "no https URL"},
		"good":     {secure.URL, "", ""},
	} {
		s.URL, s.store = tc.url, tc.store
		c, err := client.New(client.Config{URL: secure.URL, TokenURL: secure.URL + "/connect/token", ClientID: "app", ClientSecret: "s3cret",
			Backoff: time.Millisecond, Transport: secure.Client().Transport})
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Pull(t.Context(), client.Options{Days: []string{pullDay}, Dir: t.TempDir()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err = r.Days[0].Err; err == nil {
			err = r.Days[0].Hours[14].Err
		}
		if got := fmt.Sprint(err); tc.want == "" && err != nil || !strings.Contains(got, tc.want) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
	if len(plain.seen) > 0 {
		t.Error("something was sent without encryption")
	}
}

// TestSecretsStayWithTheirHost has servers that want credentials sent elsewhere.
func TestSecretsStayWithTheirHost(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("another host is sent %s %v", r.URL, r.Header)
	}))
	t.Cleanup(elsewhere.Close)
	for name, answer := range map[string]http.HandlerFunc{
		"discovery": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"token_endpoint": "http://other.example.com/token"}`)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
	} {
		server := httptest.NewServer(answer)
		c, err := client.New(client.Config{URL: server.URL, ClientID: "app", ClientSecret: "s3cret", Backoff: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Day(t.Context(), pullDay)
		if err == nil || name == "discovery" && !strings.Contains(err.Error(), `"other.example.com"`) {
			t.Errorf("%s: the error is %v", name, err)
		}
		server.Close()
	}
}

// TestEndlessWaits has a server whose limit lasts longer than the hour that it is about.
func TestEndlessWaits(t *testing.T) {
	for _, after := range []string{"604800", "Fri, 31 Dec 9999 23:59:59 GMT"} {
		s, dir := newServer(t), t.TempDir()
		s.fault = func(kind string, _ int, w http.ResponseWriter, _ *http.Request) bool {
			if kind == "day" {
				w.Header().Set("Retry-After", after)
				deny(w, http.StatusTooManyRequests, "Wait.")
			}
			return kind == "day"
		}
		s.pull(dir, client.DayIncomplete, func(o *client.Options) { o.WaitLimits = true })
		if s.count("day") != 1 {
			t.Errorf("%s: %d requests", after, s.count("day"))
		}
	}
}

// TestDrip has a server that sends one byte after the other.
func TestDrip(t *testing.T) {
	s := newServer(t)
	a := s.put(14, 100_000, 1)
	s.fault = func(kind string, _ int, w http.ResponseWriter, r *http.Request) bool {
		if kind != "14" {
			return false
		}
		w.Header().Set("ETag", `"14-1"`)
		for i := 0; r.Context().Err() == nil; i++ {
			_, _ = w.Write(a.zip[i : i+1])
			_ = http.NewResponseController(w).Flush()
			time.Sleep(time.Millisecond)
		}
		return true
	}
	c := s.newClient(func(cfg *client.Config) { cfg.StallTimeout = 30 * time.Millisecond })
	r, err := c.Pull(t.Context(), client.Options{Days: []string{pullDay}, Dir: t.TempDir()}, nil)
	if err != nil || r.State() != client.DayFailed || s.count("14") > 5 {
		t.Errorf("%v, the day is %s after %d requests", err, r.State(), s.count("14"))
	}
}

// TestMessagesAreClean has a server whose message would write to a terminal.
func TestMessagesAreClean(t *testing.T) {
	s := newServer(t)
	s.fault = func(kind string, _ int, w http.ResponseWriter, _ *http.Request) bool {
		if kind == "day" {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"error": "a\u001b]0;x\u0007\u009b\u202eb"}`)
		}
		return kind == "day"
	}
	d, _ := s.pull(t.TempDir(), client.DayRefused, nil)
	if d.Err == nil || strings.ContainsAny(d.Err.Error(), "\x1b\x07\u009b\u202e") {
		t.Errorf("the error is %q", d.Err)
	}
}

package client_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/client"
)

// TestWrongURL checks that each wrong URL is told with what to do, that no more days are asked for,
// and that nothing counts as complete.
func TestWrongURL(t *testing.T) {
	good := newServer(t)
	good.put(14, 1000, 1)
	dir := t.TempDir()
	good.pull(dir, client.DayComplete, nil) // a 404 may mean that a day is over, and is kept here
	asked := 0
	counted := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { asked++; h(w, r) }
	}
	foreign := httptest.NewServer(counted(http.NotFound))
	defer foreign.Close()
	page := httptest.NewServer(counted(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	defer page.Close()
	moved := httptest.NewServer(counted(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://vault.example.com"+r.URL.Path+"?secret=1", http.StatusMovedPermanently)
	}))
	defer moved.Close()
	encrypted := httptest.NewTLSServer(counted(http.NotFound))
	defer encrypted.Close()
	for name, c := range map[string]struct{ url, tokenURL, want string }{
		"another server":     {url: foreign.URL, want: "there is no callvault at " + foreign.URL},
		"a web page":         {url: page.URL, want: "use the URL that its operator has set as CALLVAULT_PUBLIC_URL"},
		"a path":             {url: good.URL + "/docs", want: "if /docs does not belong to the URL, use " + good.URL},
		"a redirect":         {url: moved.URL, want: "it redirects to https://vault.example.com; use"},
		"https of http":      {url: strings.Replace(good.URL, "http", "https", 1), want: "it speaks no TLS there: use " + good.URL},
		"http of https":      {url: strings.Replace(encrypted.URL, "https", "http", 1), want: "if it speaks TLS, use " + encrypted.URL},
		"private authority":  {url: encrypted.URL, want: "SSL_CERT_FILE"},
		"a wrong token URL":  {url: good.URL, tokenURL: foreign.URL + "/token", want: "there is no token endpoint at " + foreign.URL + "/token; name the right one"},
		"a page for tokens":  {url: good.URL, tokenURL: page.URL, want: "the answer of the token endpoint cannot be read"},
		"another, token URL": {url: foreign.URL, tokenURL: good.URL + "/connect/token", want: "404"},
	} {
		asked = 0
		cl, err := client.New(client.Config{URL: c.url, TokenURL: c.tokenURL, ClientID: "app", ClientSecret: "s3cret", Attempts: 1})
		if err != nil {
			t.Fatal(err)
		}
		r, err := cl.Pull(t.Context(), client.Options{Days: []string{pullDay, "2025-12-13"}, Dir: dir}, nil)
		if err != nil {
			t.Fatal(err)
		}
		d := r.Days[0]
		if d.State == client.DayComplete || d.Err == nil || !strings.Contains(d.Err.Error(), c.want) || strings.Contains(d.Err.Error(), "secret") {
			t.Errorf("%s: %s, %v; want %q", name, d.State, d.Err, c.want)
		}
		var wrong *client.AddressError
		if errors.As(d.Err, &wrong) && (d.State != client.DayFailed || r.Days[1].Err == nil || asked > 1) {
			t.Errorf("%s: %s, asked %d times, second day %+v", name, d.State, asked, r.Days[1])
		}
	}
}

func TestUnreachable(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close() // its port is free
	for url, want := range map[string]string{
		"http://" + closed.Addr().String(): "check host and port of http://" + closed.Addr().String(),
		"http://nosuch.invalid":            "the host's name",
	} {
		cl, err := client.New(client.Config{URL: url, ClientID: "id", ClientSecret: "secret", Attempts: 1, ConnectTimeout: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		r, err := cl.Pull(t.Context(), client.Options{Days: []string{pullDay, "2025-12-13"}, Dir: t.TempDir()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := r.Days[0]; d.State != client.DayFailed || !strings.Contains(d.Err.Error(), want) || !errors.Is(r.Days[1].Err, d.Err) {
			t.Errorf("%s: %s, %v, then %v", url, d.State, d.Err, r.Days[1].Err)
		}
	}
	for url, want := range map[string]string{"vault.example.com": "lacks https://", "localhost:8080": "lacks https://", "ftp://a": "not an http or https URL"} {
		if _, err := client.New(client.Config{URL: url, ClientID: "id", ClientSecret: "secret"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

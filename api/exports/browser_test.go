package exports_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/callvault/callvault/api/exports"
	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/testenv"
)

// TestUploadedPage has a browser open the link of a recording that is a page with a script, by
// itself and within a page of the same origin. The browser saves it. The script does not run even
// where a proxy drops what makes the browser save it.
func TestUploadedPage(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), exports.Config{})
	f.store.kind = "text/html; charset=utf-8"
	f.store.Put(audioKey, []byte(`<!DOCTYPE html><title>uploaded</title><script>new Image().src = "/ran"</script>`))
	link := f.recordingLink()
	b := testenv.Chromium(t)
	for name, saved := range map[string]bool{"as it is": true, "as a page": false} {
		var mu sync.Mutex
		var asked []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, r.URL.Path)
			if r.URL.Path != "/api/export/recording" {
				w.Header().Set("Content-Type", "text/html")
				_, _ = w.Write([]byte(`<title>ours</title><iframe src="` + link + `"></iframe><object data="` + link + `"></object>`))
				return
			}
			f.h.ServeHTTP(&asPage{w, !saved}, r)
		}))
		t.Cleanup(server.Close)
		if err := chromedp.Do(b, chromedp.Navigate(server.URL+link)); (err != nil) != saved {
			t.Errorf("%s: the browser opens the link: %v", name, err)
		}
		f.must(chromedp.Do(b, chromedp.Navigate(server.URL)))
		mu.Lock()
		if slices.Contains(asked, "/ran") || len(asked) < 4 {
			t.Errorf("%s: the browser asked for %q", name, asked)
		}
		mu.Unlock()
	}
}

// asPage drops what makes a browser save an answer.
type asPage struct {
	http.ResponseWriter
	on bool
}

func (p *asPage) WriteHeader(status int) {
	if p.on {
		p.Header().Set("Content-Type", "text/html")
		p.Header().Del("Content-Disposition")
	}
	p.ResponseWriter.WriteHeader(status)
}

func (p *asPage) Unwrap() http.ResponseWriter { return p.ResponseWriter }

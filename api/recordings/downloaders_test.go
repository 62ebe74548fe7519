package recordings_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"github.com/callvault/callvault/internal/testenv"
)

// TestDownloaders downloads with an Authorization header, over several connections at once, and by
// a click in a browser, in both modes.
func TestDownloaders(t *testing.T) {
	for name, redirect := range map[string]bool{"proxy": false, "redirect": true} {
		t.Run(name, func(t *testing.T) {
			s := newServed(t, redirect)
			bearer := "Authorization: Bearer " + s.token
			s.run("curl", "-fsSL", "-H", bearer, "-o", "curl.zip", s.link)
			s.wantWhole("curl.zip")
			s.run("wget", "-q", "--header", bearer, "-O", "wget.zip", s.link)
			s.wantWhole("wget.zip")
			s.run("python3", "-c", `import sys, shutil, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"Authorization": sys.argv[2]})
with urllib.request.urlopen(request) as r, open("python.zip", "wb") as f:
    shutil.copyfileobj(r, f)`, s.link, "Bearer "+s.token)
			s.wantWhole("python.zip")
			s.run("node", "--input-type=module", "-e", `import { writeFile } from "node:fs/promises";
const r = await fetch(process.argv[1], { headers: { authorization: process.argv[2] } });
if (r.status !== 200) throw new Error(String(r.status));
await writeFile("node.zip", Buffer.from(await r.arrayBuffer()));`, s.link, "Bearer "+s.token)
			s.wantWhole("node.zip")
			s.run("aria2c", "-q", "-x4", "-k1M", "--file-allocation=none", "-o", "aria.zip", s.link)
			s.wantWhole("aria.zip")
			s.run("aria2c", "-q", "-x16", "-s16", "-k1M", "--min-split-size=1M", "--piece-length=1M", "--file-allocation=none", "-o", "aria16.zip", s.link)
			s.wantWhole("aria16.zip")
			s.wantWhole(s.click())
		})
	}
}

// click clicks a page's link in a browser and gives the name of the downloaded file.
func (s *served) click() string {
	s.Helper()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<a id="hour" href="%s">14</a>`, s.link) // if it fails, the browser finds no link
	}))
	s.Cleanup(page.Close)
	ctx := testenv.Chromium(s)
	progress := chromedp.Events(ctx, browser.DownloadProgress)
	events := true
	s.must(chromedp.Do(ctx,
		chromedp.Navigate(page.URL),
		chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
				Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: s.dir, EventsEnabled: &events})
			return err
		}),
		chromedp.Click(chromedp.CSS("#hour")),
	))
	for e, err := range progress {
		s.must(err)
		if e.State == browser.DownloadProgressStateCanceled {
			s.Fatal("the browser gave the download up")
		}
		if e.State == browser.DownloadProgressStateCompleted {
			return s.name
		}
	}
	s.Fatal("the browser went before the download's end")
	return ""
}

package docs_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/getkin/kin-openapi/openapi3"

	"github.com/callvault/callvault/internal/testenv"
)

// browser is a real browser. It records the page's requests and console errors.
type browser struct {
	*testing.T
	ctx       context.Context
	url       string
	artifacts string

	mu        sync.Mutex
	requests  []string
	complaint []string
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	server := httptest.NewServer(handler(documented(t)))
	t.Cleanup(server.Close)
	artifacts := os.Getenv("CALLVAULT_ARTIFACTS")
	if artifacts == "" {
		artifacts = t.TempDir()
	}
	b := &browser{T: t, ctx: testenv.Chromium(t), url: server.URL + "/vault", artifacts: artifacts}
	if err := chromedp.Listen(b.ctx, b.note); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(b.ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(b.ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *browser) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.complaint = append(b.complaint, e.ExceptionDetails.Text+" "+e.ExceptionDetails.URL)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			b.complaint = append(b.complaint, fmt.Sprintf("%s %s %s", e.Type, e.Args[0].Value, e.Args[0].Description))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.complaint = append(b.complaint, e.Entry.Text+" "+e.Entry.URL)
		}
	}
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.Fatal(err)
	}
}

func read[T any](b *browser, a chromedp.Action[T]) T {
	b.Helper()
	v, err := chromedp.Run(b.ctx, a)
	if err != nil {
		b.Fatal(err)
	}
	return v
}

// look sets the window size of a phone or a desktop, and the colour scheme.
func (b *browser) look(phone bool, scheme string) {
	b.Helper()
	if phone {
		b.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateTouch))
	} else {
		b.do(chromedp.EmulateViewport(1280, 860))
	}
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	if err != nil {
		b.Fatal(err)
	}
}

func (b *browser) picture(name string) {
	b.Helper()
	png := read(b, chromedp.CaptureScreenshot())
	if err := os.WriteFile(filepath.Join(b.artifacts, "docs-"+name+".png"), png, 0o600); err != nil {
		b.Fatal(err)
	}
}

// waitFor waits until an expression is true in the page.
func (b *browser) waitFor(expression string) {
	b.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(0))); err != nil {
		b.picture("lost")
		b.Fatalf("%s: %v\n%s", expression, err, read(b, chromedp.Evaluate[string]("document.body.innerText")))
	}
}

// press clicks the first button with a text.
func (b *browser) press(text string) {
	b.Helper()
	button := fmt.Sprintf("[...document.querySelectorAll('button')].find((e) => e.innerText.includes(%q))", text)
	b.waitFor("!!" + button)
	b.do(chromedp.Evaluate[chromedp.Void](button + ".click()"))
}

// open shows a document and waits until the last of its operations is listed.
func (b *browser) open(name, operation string, phone bool) {
	b.Helper()
	b.do(chromedp.Navigate("about:blank"), chromedp.Navigate(b.url+"/docs?api="+name))
	if phone {
		b.press("Open Menu")
	}
	b.waitFor(fmt.Sprintf("document.body.innerText.includes(%q)", operation))
}

// operations are the summaries of a document's operations.
func operations(t *testing.T, name string) []string {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("../" + name + "/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, path := range doc.Paths.InMatchingOrder() {
		for _, operation := range doc.Paths.Value(path).Operations() {
			all = append(all, operation.Summary)
		}
	}
	return all
}

// TestInABrowser opens every document on a desktop and a phone, in the light and the dark scheme.
func TestInABrowser(t *testing.T) {
	b := newBrowser(t)
	background := map[string]string{}
	for i, f := range documented(t) {
		scheme, phone := []string{"light", "dark"}[i%2], i%4 >= 2
		b.look(phone, scheme)
		wanted := operations(t, f.Name)
		b.open(f.Name, wanted[len(wanted)-1], phone)
		text := read(b, chromedp.Evaluate[string]("document.body.innerText"))
		for _, summary := range wanted {
			if !strings.Contains(text, summary) {
				t.Errorf("%s does not show %q:\n%s", f.Name, summary, text)
			}
		}
		if read(b, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > document.documentElement.clientWidth`)) {
			t.Errorf("%s is wider than the window", f.Name)
		}
		background[scheme] = read(b, chromedp.Evaluate[string](`getComputedStyle(document.body).backgroundColor`))
		b.picture(fmt.Sprintf("%s-%s-%t", f.Name, scheme, phone))
	}
	if background["light"] == background["dark"] {
		t.Errorf("it looks alike by day and by night: %v", background)
	}
	b.look(false, "dark")
	b.open("recordings", "The links of one day", false)
	b.press("Test Request")
	b.waitFor("document.body.innerText.includes('Send')")
	b.waitFor("document.body.innerText.includes('" + b.url + "')") // what a request goes to
	b.picture("request")
	b.checkEvents()
}

// checkEvents fails the test for every request to another host and every console error.
func (b *browser) checkEvents() {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, url := range b.requests {
		if !strings.HasPrefix(url, b.url+"/docs") && !strings.HasPrefix(url, "data:") && !strings.HasPrefix(url, "about:") {
			b.Errorf("it asks for %s", url)
		}
	}
	for _, text := range b.complaint {
		b.Errorf("the browser complains: %s", text)
	}
}

package admin_test

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/callvault/callvault/internal/testenv"
)

// tab is a page in a real browser.
type tab struct {
	*fixture
	ctx       context.Context
	url       string
	artifacts string
}

// newTab starts a browser on the fixture's console.
func newTab(f *fixture) *tab {
	f.Helper()
	server := httptest.NewServer(f.handler)
	f.Cleanup(server.Close)
	artifacts := os.Getenv("CALLVAULT_ARTIFACTS")
	if artifacts == "" {
		artifacts = f.TempDir()
	}
	return &tab{f, testenv.Chromium(f), server.URL, artifacts}
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.Fatal(err)
	}
}

// read runs an action that gives a value.
func read[T any](b *tab, a chromedp.Action[T]) T {
	b.Helper()
	v, err := chromedp.Run(b.ctx, a)
	if err != nil {
		b.Fatal(err)
	}
	return v
}

// text gives the page's text.
func (b *tab) text() string {
	b.Helper()
	return read(b, chromedp.Text(chromedp.CSS("main")))
}

func (b *tab) shows(parts ...string) {
	b.Helper()
	text := b.text()
	for _, part := range parts {
		if !strings.Contains(strings.ToLower(text), strings.ToLower(part)) {
			b.Fatalf("the page does not show %q:\n%s", part, text)
		}
	}
}

// follow clicks the element of a selector and waits for the next page.
func (b *tab) follow(selector string) {
	b.Helper()
	if _, err := chromedp.RunResponse(b.ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
		b.Fatalf("follow %s: %v", selector, err)
	}
}

func (b *tab) picture(name string) {
	b.Helper()
	png := read(b, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(b.artifacts, name+".png"), png, 0o600); err != nil {
		b.Fatal(err)
	}
}

func (b *tab) look(width, height int64, phone bool, scheme string) {
	b.Helper()
	var options []chromedp.EmulateViewportOption
	if phone {
		options = append(options, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	b.do(chromedp.EmulateViewport(width, height, options...))
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	if err != nil {
		b.Fatal(err)
	}
}

// fits fails the test when the page is wider than the window: a phone would scroll sideways.
func (b *tab) fits() {
	b.Helper()
	if read(b, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > document.documentElement.clientWidth`)) {
		b.Error("the page is wider than the window")
	}
}

func (b *tab) signIn() {
	b.Helper()
	b.do(chromedp.Navigate(b.url+"/admin/signin"), chromedp.SendKeys(chromedp.CSS("#token"), adminToken))
	b.follow("button.primary")
}

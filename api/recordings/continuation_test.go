package recordings_test

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/callvault/callvault/api/internal/apitest"
)

// TestCopiesAreCounted asks for all but the first byte again and again, as whole answers and as
// ones that break off.
func TestCopiesAreCounted(t *testing.T) {
	onBoth(t, func(f *fixture) {
		zip := strings.Repeat("0123456789abcdef", 64<<10)
		f.build(14, zip)
		link := f.link(14)
		f.want(f.ask("GET", link), 200, "")
		tail := func() int { return f.ask("GET", link, "Range", "bytes=1-").Status }
		for range 30 { // a line that breaks at once
			f.breakOff(link)
		}
		copies := 0
		for ; tail() == 206; copies++ {
		}
		// Two for each of five downloads, four of which were continuations themselves. One copy is
		// lost to what the broken line took.
		if copies != 13 {
			f.Errorf("%d copies", copies)
		}
		f.want(f.ask("GET", link, "Range", "bytes=1-"), 429, textLimit)
	})
}

// breakOff asks for all but the first byte, and takes only the beginning.
func (f *fixture) breakOff(link string) {
	f.Helper()
	r := httptest.NewRequest("GET", link, nil)
	r.Header.Set("Range", "bytes=1-")
	f.handler.ServeHTTP(&brokenLine{httptest.NewRecorder(), 1000}, r)
}

// brokenLine is a connection that takes only so many bytes.
type brokenLine struct {
	*httptest.ResponseRecorder
	takes int
}

func (b *brokenLine) Write(p []byte) (int, error) {
	if len(p) > b.takes {
		return b.takes, io.ErrClosedPipe
	}
	return b.ResponseRecorder.Write(p)
}

func TestRedirectsAreCounted(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	f.redirect = true
	f.handler = f.replica(f.cat)
	f.build(14, strings.Repeat(zipText, 100))
	link := f.link(14)
	f.want(f.ask("GET", link), 307, "")
	for range 20 {
		f.header(f.ask("GET", link, "Range", "bytes=1-"), "X-RateLimit-Remaining", "4")
	}
	f.header(f.ask("GET", link, "Range", "bytes=1-"), "X-RateLimit-Remaining", "3")
}

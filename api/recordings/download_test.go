package recordings_test

import (
	"bytes"
	"context"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/domain"
)

const zipText = "0123456789abcdef"

func TestDownload(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.build(14, zipText)
		link := b.link(14)
		a := b.ask("GET", link)
		b.want(a, 200, "")
		b.header(a, "Content-Type", "application/zip")
		b.header(a, "Content-Disposition", `attachment; filename="acme_`+string(b.day)+`_14.zip"`)
		b.header(a, "Content-Length", "16")
		b.header(a, "X-RateLimit-Remaining", "4")
		etag := a.Header.Get("ETag")
		if string(a.Body) != zipText {
			b.Fatalf("got %q", a.Body)
		}
		b.want(b.ask("GET", link, "If-Match", `"other"`), 412, "The archive is not the one that the request names.")
		for _, c := range []struct {
			name, remaining, body string
			status                int
			headers               []string
		}{
			{"from the middle", "4", zipText[6:], 206, []string{"Range", "bytes=6-"}},
			{"the tail", "4", zipText[13:], 206, []string{"Range", "bytes=-3"}},
			{"a middle piece", "4", zipText[2:5], 206, []string{"Range", "bytes=2-4"}},
			{"resumed", "4", zipText[6:], 206, []string{"Range", "bytes=6-", "If-Range", etag}},
			{"another ETag starts afresh", "3", zipText, 200, []string{"Range", "bytes=6-", "If-Range", `"other"`}},
			{"from the start", "2", zipText[:4], 206, []string{"Range", "bytes=0-3"}},
			{"all of it as a tail", "1", zipText, 206, []string{"Range", "bytes=-99"}},
			{"known already", "1", "", 304, []string{"If-None-Match", etag}},
			{"no range at all", "0", zipText, 200, []string{"Range", "lines=1-2"}},
			{"a continuation is free", "0", zipText[1:], 206, []string{"Range", "bytes=1-"}},
		} {
			a := b.ask("GET", link, c.headers...)
			if a.Status != c.status || string(a.Body) != c.body {
				b.Fatalf("%s: %d %q", c.name, a.Status, a.Body)
			}
			b.header(a, "X-RateLimit-Remaining", c.remaining)
		}
		a = b.ask("GET", link, "Range", "bytes=16-")
		b.want(a, 416, "The requested range lies behind the end of the archive.")
		b.header(a, "Content-Range", "bytes */16")
		b.header(a, "Content-Disposition", "")
		a = b.ask("GET", link, "Range", "bytes=-0")
		b.want(a, 416, "The requested range lies behind the end of the archive.")
		b.header(a, "Content-Range", "bytes */16")
		b.want(b.ask("GET", link), 429, textLimit)
		b.want(b.ask("GET", link, "Range", "bytes=0-1"), 429, textLimit)
		b.pass(time.Hour + time.Second)
		a = b.ask("GET", link, "Range", "bytes=6-") // nothing was counted within the hour
		b.want(a, 206, "")
		b.header(a, "X-RateLimit-Remaining", "4")
	})
}

func TestManyRanges(t *testing.T) {
	b := newBench(t, apitest.SQLite(t))
	b.build(14, zipText)
	link := b.link(14)
	for asked, pieces := range map[string][]string{
		"bytes=12-13,2-3": {zipText[12:14], zipText[2:4]},
		"bytes=2-3,4-":    {zipText[2:4], zipText[4:]},
	} {
		a := b.ask("GET", link, "Range", asked)
		_, params, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
		if a.Status != 206 || err != nil || a.Header.Get("Content-Length") != strconv.Itoa(len(a.Body)) {
			t.Fatalf("%s: %d %v", asked, a.Status, a.Header)
		}
		parts := multipart.NewReader(bytes.NewReader(a.Body), params["boundary"])
		for _, want := range pieces {
			part, err := parts.NextPart()
			b.must(err)
			got, err := io.ReadAll(part)
			b.must(err)
			if string(got) != want {
				t.Fatalf("got %q, want %q", got, want)
			}
		}
	}
	a := b.ask("GET", link, "Range", "bytes=1-1"+strings.Repeat(",1-1", 16))
	if a.Status != 200 || string(a.Body) != zipText {
		t.Fatalf("too many ranges: %d %q", a.Status, a.Body)
	}
}

// TestLinkIsPinned follows two revisions: each link gives its own until it ends.
func TestLinkIsPinned(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.build(14, "old bytes")
		old := b.link(14)
		b.want(b.ask("GET", old), 200, "")
		b.build(14, "new bytes, more")
		fresh := b.link(14)
		for range 2 { // also while the sweeper does its work
			if a := b.ask("GET", old, "Range", "bytes=4-"); string(a.Body) != "bytes" {
				b.Fatalf("%d %q", a.Status, a.Body)
			}
			if a := b.ask("GET", fresh); string(a.Body) != "new bytes, more" {
				b.Fatalf("%d %q", a.Status, a.Body)
			}
			_, err := b.cat.DoomUnused(b.Context(), 10)
			b.must(err)
		}
		b.pass(6 * time.Hour)
		b.want(b.ask("GET", old), 401, textLinkExpired)
		b.pass(2 * time.Hour) // past the links' slack and the grace
		n, err := b.cat.DoomUnused(b.Context(), 10)
		b.must(err)
		if n != 1 {
			b.Fatalf("%d archives are past their links, want 1", n)
		}
	})
}

func TestLinkRefusals(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.cfg.LinkTTL = 7 * 24 * time.Hour
		b.handler = b.replica(b.cat)
		b.build(14, zipText)
		body := b.issued(b.day)
		link := (*body.Links[14].URL)[len(publicURL):]
		if *body.Links[14].URLExpiresAt != *body.ExpiresAt { // never past the day's retention
			b.Fatalf("%s, %s", *body.Links[14].URLExpiresAt, *body.ExpiresAt)
		}
		b.set(func(t *domain.Tenant) { t.Recordings = false })
		b.want(b.ask("GET", link), 403, textFeature)
		b.set(func(t *domain.Tenant) { t.Recordings, t.RetentionDays = true, 1 })
		b.pass(48 * time.Hour) // the shorter retention ended the day, not yet the link
		a := b.ask("GET", link)
		b.want(a, 404, textRetention)
		b.header(a, "X-RateLimit-Remaining", "5")
		b.pass(48 * time.Hour)
		b.want(b.ask("GET", link), 401, textLinkExpired)
	})
}

// TestLinkAttacks changes a token in every way that keeps it decodable, and some that do not.
func TestLinkAttacks(t *testing.T) {
	b := newBench(t, apitest.SQLite(t))
	b.build(14, zipText)
	b.build(15, "other")
	link := b.link(14)
	u, err := url.Parse(link)
	b.must(err)
	token := u.Query().Get("token")
	refused := func(what, target string) {
		t.Helper()
		if a := b.ask("GET", target); a.Status != 401 || !strings.Contains(string(a.Body), textUnauthorized) {
			t.Fatalf("%s: %d %s", what, a.Status, a.Body)
		}
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range token {
		for _, c := range []byte{alphabet[(strings.IndexByte(alphabet, token[i])+1)%64], alphabet[(strings.IndexByte(alphabet, token[i])+32)%64]} {
			refused("changed byte", u.Path+"?token="+token[:i]+string(c)+token[i+1:])
		}
	}
	refused("no token", u.Path)
	refused("empty token", u.Path+"?token=")
	refused("two tokens", link+"&token="+token)
	refused("padded", link+"=")
	refused("with a line break", link+"%0A")
	refused("cut", link[:len(link)-1])
	refused("longer", link+"AAAA")
	refused("another hour", strings.Replace(link, "/14/", "/15/", 1))
	refused("another day", strings.Replace(link, string(b.day), string(b.day.Add(-1)), 1))
	refused("no hour", strings.Replace(link, "/14/", "/0014/", 1))
	key := domain.HourKey{Tenant: "nobody", Day: b.day, Hour: 14}
	forged := b.keys.SealLink(t.Context(), auth.Link{HourKey: key, Revision: 1, Archive: "x", Expires: b.now().Add(time.Hour)})
	refused("a tenant that is gone", u.Path+"?token="+forged)
	cursor := b.keys.Seal(t.Context(), auth.PurposeCursor, "", []byte("x"))
	refused("another purpose", u.Path+"?token="+cursor)
	b.want(b.ask("GET", link), 200, "")
}

func TestLinksOutliveARotation(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.build(14, zipText)
		link := b.link(14)
		_, err := auth.RotateKeys(b.Context(), b.cat, "")
		b.must(err)
		other := b.replica(b.cat) // knows the new keys
		b.want(b.ask("GET", link), 200, "")
		b.handler, other = other, b.handler
		b.want(b.ask("GET", link), 200, "")
		fresh := b.link(14)
		b.handler = other // learns of the new key when it meets it
		b.want(b.ask("GET", fresh), 200, "")
		b.want(b.get(b.day), 200, "")
	})
}

func TestRedirect(t *testing.T) {
	b := newBench(t, apitest.SQLite(t))
	b.cfg.Redirect = true
	b.handler = b.replica(b.cat)
	key := b.build(14, zipText)
	link := b.link(14)
	a := b.ask("GET", link)
	b.want(a, 307, "")
	b.header(a, "Location", "https://objects.test/"+key+"?ttl=1m0s&name=acme_"+string(b.day)+"_14.zip")
	b.header(a, "X-RateLimit-Remaining", "4")
	a = b.ask("GET", link, "Authorization", "Bearer x")
	b.want(a, 200, "")
	b.want(b.ask("HEAD", link), 200, "")
	for _, c := range []struct{ ask, signed string }{{"bytes=3-", "&range=bytes=3-"}, {"bytes=-3", "&range=bytes=-3"}, {"bytes=0-3", ""}} {
		a = b.ask("GET", link, "Range", c.ask)
		b.want(a, 307, "")
		b.header(a, "Location", "https://objects.test/"+key+"?ttl=1m0s&name=acme_"+string(b.day)+"_14.zip"+c.signed)
	}
	b.header(a, "X-RateLimit-Remaining", "2")
	for _, several := range []string{"bytes=3-4,6-7", "bytes= 3-", "bytes=,3-"} { // a store may take these for nothing
		a = b.ask("GET", link, "Range", several)
		b.want(a, 206, "")
		b.header(a, "X-RateLimit-Remaining", "2")
	}
}

// TestTooManyAtOnce wants a download that finds no room to come again, uncounted.
func TestTooManyAtOnce(t *testing.T) {
	b := newBench(t, apitest.SQLite(t))
	b.downloads = web.NewDownloadLimiter(web.DownloadLimits{Object: 1, Tenant: 1})
	b.handler = b.replica(b.cat)
	b.build(14, zipText)
	link := b.link(14)
	other := web.Content{Size: 1, Limiter: b.downloads, Tenant: "acme", Object: "other", Open: func(context.Context, int64, int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("x")), nil
	}}
	held, err := other.Prepare(t.Context(), web.Plan{})
	b.must(err)
	for _, asked := range []string{"", "bytes=1-"} {
		a := b.ask("GET", link, "Range", asked)
		b.want(a, 503, "The service is temporarily unavailable. Please try again later.")
		b.header(a, "Retry-After", "5")
		b.header(a, "X-RateLimit-Remaining", "5")
	}
	b.want(b.ask("HEAD", link), 200, "")
	b.must(held.Close())
	b.header(b.ask("GET", link), "X-RateLimit-Remaining", "4")
}

func TestArchiveIsGone(t *testing.T) {
	onBoth(t, func(b *bench) {
		key := b.build(14, zipText)
		link := b.link(14)
		b.store.Fail = domain.Errorf(domain.KindUnavailable, "down")
		b.want(b.ask("GET", link), 503, "The service is temporarily unavailable. Please try again later.")
		b.store.Fail = nil
		b.store.Delete(key)
		a := b.ask("GET", link)
		b.want(a, 404, "The archive behind this link is no longer available. Please request a new link.")
		b.header(a, "X-RateLimit-Remaining", "5") // errors never count
		if l := b.issued(b.day).Links[14]; l.Status != "pending" || l.URL != nil {
			b.Fatalf("the hour is %s", l.Status)
		}
		b.build(14, "again")
		if a := b.ask("GET", b.link(14)); string(a.Body) != "again" {
			b.Fatalf("%d %s", a.Status, a.Body)
		}
		b.want(b.ask("GET", link), 404, "")
	})
}

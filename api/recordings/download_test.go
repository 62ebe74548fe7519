package recordings_test

import (
	"bytes"
	"context"
	"encoding/binary"
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
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

const zipText = "0123456789abcdef"

func TestDownload(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.build(14, zipText)
		link := f.link(14)
		a := f.ask("GET", link)
		f.want(a, 200, "")
		f.header(a, "Content-Type", "application/zip")
		f.header(a, "Content-Disposition", `attachment; filename="acme_`+string(f.day)+`_14.zip"`)
		f.header(a, "Content-Length", "16")
		f.header(a, "X-RateLimit-Remaining", "4")
		etag := a.Header.Get("ETag")
		if string(a.Body) != zipText {
			f.Fatalf("got %q", a.Body)
		}
		f.want(f.ask("GET", link, "If-Match", `"other"`), 412, "The archive is not the one that the request names.")
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
			a := f.ask("GET", link, c.headers...)
			if a.Status != c.status || string(a.Body) != c.body {
				f.Fatalf("%s: %d %q", c.name, a.Status, a.Body)
			}
			f.header(a, "X-RateLimit-Remaining", c.remaining)
		}
		a = f.ask("GET", link, "Range", "bytes=16-")
		f.want(a, 416, "The requested range lies behind the end of the archive.")
		f.header(a, "Content-Range", "bytes */16")
		f.header(a, "Content-Disposition", "")
		a = f.ask("GET", link, "Range", "bytes=-0")
		f.want(a, 416, "The requested range lies behind the end of the archive.")
		f.header(a, "Content-Range", "bytes */16")
		f.want(f.ask("GET", link), 429, textLimit)
		f.want(f.ask("GET", link, "Range", "bytes=0-1"), 429, textLimit)
		f.pass(time.Hour + time.Second)
		a = f.ask("GET", link, "Range", "bytes=6-") // there is no counted download that it could continue
		f.want(a, 206, "")
		f.header(a, "X-RateLimit-Remaining", "4")
	})
}

func TestManyRanges(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	f.build(14, zipText)
	link := f.link(14)
	for asked, pieces := range map[string][]string{
		"bytes=12-13,2-3": {zipText[12:14], zipText[2:4]},
		"bytes=2-3,4-":    {zipText[2:4], zipText[4:]},
	} {
		a := f.ask("GET", link, "Range", asked)
		_, params, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
		if a.Status != 206 || err != nil || a.Header.Get("Content-Length") != strconv.Itoa(len(a.Body)) {
			t.Fatalf("%s: %d %v", asked, a.Status, a.Header)
		}
		parts := multipart.NewReader(bytes.NewReader(a.Body), params["boundary"])
		for _, want := range pieces {
			part, err := parts.NextPart()
			f.must(err)
			got, err := io.ReadAll(part)
			f.must(err)
			if string(got) != want {
				t.Fatalf("got %q, want %q", got, want)
			}
		}
	}
	a := f.ask("GET", link, "Range", "bytes=1-1"+strings.Repeat(",1-1", 16))
	if a.Status != 200 || string(a.Body) != zipText {
		t.Fatalf("too many ranges: %d %q", a.Status, a.Body)
	}
}

// Each link gives the revision that it was issued for, until the link ends.
func TestLinkIsPinned(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.build(14, "old bytes")
		old := f.link(14)
		f.want(f.ask("GET", old), 200, "")
		f.build(14, "new bytes, more")
		fresh := f.link(14)
		for range 2 { // also after the sweeper ran
			if a := f.ask("GET", old, "Range", "bytes=4-"); string(a.Body) != "bytes" {
				f.Fatalf("%d %q", a.Status, a.Body)
			}
			if a := f.ask("GET", fresh); string(a.Body) != "new bytes, more" {
				f.Fatalf("%d %q", a.Status, a.Body)
			}
			_, err := f.cat.DoomUnused(f.Context(), 10)
			f.must(err)
		}
		f.pass(6 * time.Hour)
		f.want(f.ask("GET", old), 401, textLinkExpired)
		f.pass(2 * time.Hour) // after the links and the grace period
		n, err := f.cat.DoomUnused(f.Context(), 10)
		f.must(err)
		if n != 1 {
			f.Fatalf("%d archives are past their links, want 1", n)
		}
	})
}

func TestLinkRefusals(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.cfg.LinkTTL = 7 * 24 * time.Hour
		f.handler = f.replica(f.cat)
		f.build(14, zipText)
		body := f.issued(f.day)
		link := (*body.Links[14].URL)[len(publicURL):]
		if *body.Links[14].URLExpiresAt != *body.ExpiresAt { // a link ends with the day's retention
			f.Fatalf("%s, %s", *body.Links[14].URLExpiresAt, *body.ExpiresAt)
		}
		f.set(func(t *domain.Tenant) { t.Recordings = false })
		f.want(f.ask("GET", link), 403, textFeature)
		f.set(func(t *domain.Tenant) { t.Recordings, t.RetentionDays = true, 1 })
		f.pass(48 * time.Hour) // the day ended with the shorter retention, before the link
		a := f.ask("GET", link)
		f.want(a, 404, textRetention)
		f.header(a, "X-RateLimit-Remaining", "5")
		f.pass(48 * time.Hour)
		f.want(f.ask("GET", link), 401, textLinkExpired)
	})
}

// TestLinkAttacks changes a token, in all ways that can still be decoded and some that can't.
func TestLinkAttacks(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	f.build(14, zipText)
	f.build(15, "other")
	link := f.link(14)
	u, err := url.Parse(link)
	f.must(err)
	token := u.Query().Get("token")
	refused := func(what, target string) {
		t.Helper()
		if a := f.ask("GET", target); a.Status != 401 || !strings.Contains(string(a.Body), textUnauthorized) {
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
	refused("another day", strings.Replace(link, string(f.day), string(f.day.Add(-1)), 1))
	refused("no hour", strings.Replace(link, "/14/", "/0014/", 1))
	key := domain.HourKey{Tenant: "nobody", Day: f.day, Hour: 14}
	forged := f.keys.SignLink(t.Context(), auth.Link{HourKey: key, Revision: 1, Archive: "x", Expires: f.now().Add(time.Hour)})
	refused("a tenant that is gone", u.Path+"?token="+forged)
	cursor := f.keys.Sign(t.Context(), auth.PurposeCursor, "", []byte("x"))
	refused("another purpose", u.Path+"?token="+cursor)
	f.want(f.ask("GET", link), 200, "")
}

func TestLinksOutliveARotation(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.build(14, zipText)
		link := f.link(14)
		_, err := auth.RotateKeys(f.Context(), f.cat, "", audit.Origin{})
		f.must(err)
		other := f.replica(f.cat) // it has read the new keys
		f.want(f.ask("GET", link), 200, "")
		f.handler, other = other, f.handler
		f.want(f.ask("GET", link), 200, "")
		fresh := f.link(14)
		f.handler = other // it reads the new key when it gets a token of it
		f.want(f.ask("GET", fresh), 200, "")
		f.want(f.get(f.day), 200, "")
	})
}

// TestLinksEndWithTheirApplication disables, enables and deletes the application that got a link. A
// link of the former form names no application, and ends by its time.
func TestLinksEndWithTheirApplication(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.build(14, zipText)
		link := f.link(14)
		path, token, _ := strings.Cut(link, "?token=")
		l, err := f.keys.OpenLink(f.Context(), token)
		f.must(err)
		payload := binary.AppendUvarint(binary.AppendVarint([]byte{1, 14}, l.Expires.UnixMicro()), 1)
		for _, text := range []string{l.Tenant, string(l.Day), l.Archive} {
			payload = append(binary.AppendUvarint(payload, uint64(len(text))), text...)
		}
		former := path + "?token=" + f.keys.Sign(f.Context(), auth.PurposeLink, "", payload)
		disable := func(disabled bool) {
			f.must(f.cat.DisableCredential(f.Context(), catalog.CredentialApp, f.app.ID, disabled, audit.Origin{}))
		}
		disable(true)
		f.want(f.ask("GET", link), 401, textLinkExpired)
		f.want(f.ask("HEAD", link), 401, "")
		f.want(f.ask("GET", former), 200, "")
		disable(false)
		f.want(f.ask("GET", link), 401, textLinkExpired)
		f.app, err = f.cat.Application(f.Context(), f.app.ID)
		f.must(err)
		f.token = f.issue(f.app, auth.ScopeDataService)
		fresh := f.link(14)
		f.want(f.ask("GET", fresh), 200, "")
		f.must(f.cat.DeleteCredential(f.Context(), catalog.CredentialApp, f.app.ID, audit.Origin{}))
		f.want(f.ask("GET", fresh), 401, textLinkExpired)
	})
}

func TestRedirect(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	f.redirect = true
	f.handler = f.replica(f.cat)
	key := f.build(14, strings.Repeat(zipText, 100))
	link := f.link(14)
	a := f.ask("GET", link)
	f.want(a, 307, "")
	f.header(a, "Location", "https://objects.test/"+key+"?ttl=1m0s&name=acme_"+string(f.day)+"_14.zip")
	f.header(a, "X-RateLimit-Remaining", "4")
	a = f.ask("GET", link, "Authorization", "Bearer x")
	f.want(a, 200, "")
	f.want(f.ask("HEAD", link), 200, "")
	for _, c := range []struct{ ask, signed string }{{"bytes=3-", "&range=bytes=3-"}, {"bytes=-3", "&range=bytes=-3"}, {"bytes=0-3", ""}} {
		a = f.ask("GET", link, "Range", c.ask)
		f.want(a, 307, "")
		f.header(a, "Location", "https://objects.test/"+key+"?ttl=1m0s&name=acme_"+string(f.day)+"_14.zip"+c.signed)
	}
	f.header(a, "X-RateLimit-Remaining", "2")
	for _, several := range []string{"bytes=3-4,6-7", "bytes= 3-", "bytes=,3-"} { // a store may ignore these
		a = f.ask("GET", link, "Range", several)
		f.want(a, 206, "")
		f.header(a, "X-RateLimit-Remaining", "2")
	}
}

// A download beyond the limit of concurrent downloads is refused with Retry-After and not counted.
func TestTooManyAtOnce(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	f.downloads = web.NewDownloadLimiter(web.DownloadLimits{Object: 1, Tenant: 1})
	f.handler = f.replica(f.cat)
	f.build(14, zipText)
	link := f.link(14)
	other := web.Content{Size: 1, Limiter: f.downloads, Download: web.DownloadKey{Tenant: "acme", Object: "other"}, Open: func(context.Context, int64, int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("x")), nil
	}}
	held, err := other.Prepare(t.Context(), web.Plan{})
	f.must(err)
	for _, asked := range []string{"", "bytes=1-"} {
		a := f.ask("GET", link, "Range", asked)
		f.want(a, 503, "The service is temporarily unavailable. Please try again later.")
		f.header(a, "Retry-After", "5")
		f.header(a, "X-RateLimit-Remaining", "5")
	}
	f.want(f.ask("HEAD", link), 200, "")
	held.Close()
	f.header(f.ask("GET", link), "X-RateLimit-Remaining", "4")
	for range 4 {
		f.ask("GET", link)
	}
	for range 10 {
		f.header(f.ask("GET", link, "Range", "bytes=1-"), "X-RateLimit-Remaining", "0")
	}
	held, err = other.Prepare(t.Context(), web.Plan{})
	f.must(err)
	defer held.Close()
	for _, asked := range []string{"", "bytes=0-", "bytes=1-"} { // a refused download asks for no place
		f.want(f.ask("GET", link, "Range", asked), 429, "Download limit exceeded. Please try again later.")
	}
}

func TestArchiveIsGone(t *testing.T) {
	onBoth(t, func(f *fixture) {
		key := f.build(14, zipText)
		link := f.link(14)
		f.store.Fail = domain.Errorf(domain.KindUnavailable, "down")
		f.want(f.ask("GET", link), 503, "The service is temporarily unavailable. Please try again later.")
		f.store.Fail = nil
		f.store.Delete(key)
		a := f.ask("GET", link)
		f.want(a, 404, "The archive behind this link is no longer available. Please request a new link.")
		f.header(a, "X-RateLimit-Remaining", "5") // an error is not counted
		if l := f.issued(f.day).Links[14]; l.Status != "pending" || l.URL != nil {
			f.Fatalf("the hour is %s", l.Status)
		}
		f.build(14, "again")
		if a := f.ask("GET", f.link(14)); string(a.Body) != "again" {
			f.Fatalf("%d %s", a.Status, a.Body)
		}
		f.want(f.ask("GET", link), 404, "")
	})
}

package exports_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/api/exports"
	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
)

// In redirect mode the link redirects to the store, except for requests that a store answers
// wrongly.
func TestPresignedRecording(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), exports.Config{})
	store := objstoretest.Open(t, objstoretest.MinIO(t))
	audio := bytes.Repeat([]byte("webm"), 1000)
	_, err := store.Recordings().Put(t.Context(), audioKey, audio, objstore.PutOptions{ContentType: "text/html"})
	f.must(err)
	f.deps.Recordings, f.deps.Presigner, f.deps.Now = store.Recordings(), store.Recordings(), time.Now
	f.mount(exports.Config{PublicURL: public})
	before := time.Now().Truncate(time.Second)
	_, key, err := f.c.CreateAPIKey(t.Context(), "org_123", "another", audit.Origin{})
	f.must(err)
	f.key = key
	d := f.export(sampleID, "")
	r := d.Conversation.Recording
	if r == nil || r.ID != "rec_abc123" || r.FileName != audioKey || !strings.HasPrefix(r.SignedURL, public+"/api/export/recording?token=") {
		t.Fatalf("got %+v", r)
	}
	at, err := time.Parse(time.RFC3339, d.ExportMetadata.ExportedAt)
	f.must(err)
	until, err := time.Parse(time.RFC3339, r.URLExpiry)
	f.must(err)
	if at.Before(before) || until.Sub(at) != 24*time.Hour {
		t.Fatalf("exported at %s, link until %s", at, until)
	}
	target := strings.TrimPrefix(r.SignedURL, public)
	etag := f.download("HEAD", target).Header.Get("ETag")
	for name, c := range map[string]struct {
		header []string
		status int
	}{
		"all":             {nil, 307},
		"rest":            {[]string{"Range", "bytes=7-", "If-Range", etag}, 307},
		"changed since":   {[]string{"Range", "bytes=7-", "If-Range", `"other"`}, 200},
		"by a date":       {[]string{"Range", "bytes=7-", "If-Range", "Mon, 15 Jan 2024 10:30:00 GMT"}, 200},
		"a key beside it": {[]string{"Authorization", "Bearer x"}, 200},
	} {
		if a := f.download("GET", target, c.header...); a.Status != c.status || a.Status == 200 && !bytes.Equal(a.Body, audio) {
			t.Errorf("%s: answered %d, %d bytes", name, a.Status, len(a.Body))
		}
	}
	location := f.download("GET", target).Header.Get("Location")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, location, http.NoBody)
	f.must(err)
	response, err := http.DefaultClient.Do(request)
	f.must(err)
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != 200 || !bytes.Equal(got, audio) || response.Header.Get("Content-Type") != "application/octet-stream" ||
		response.Header.Get("Content-Disposition") != `attachment; filename="agent_abc123_1705320000_user123.webm"` ||
		!strings.Contains(location, "X-Amz-Expires=300&") {
		t.Fatalf("the link gives %s, %d bytes, error %v", response.Status, len(got), err)
	}

	for _, c := range []struct{ id, more string }{
		{"vanished", `,"recording":{"id":"r","objectKey":"recordings/nowhere.webm"}`}, {"unrecorded", ``}, {"folder", `,"recording":{"objectKey":"recordings/2024"}`},
	} {
		f.load("org_123", line(c.id, c.more))
		if d := f.export(c.id, ""); d.Conversation.Recording != nil || d.Summary["hasRecording"] != false || d.Summary["recordingAvailable"] != true {
			t.Errorf("%s: %+v", c.id, d.Conversation.Recording)
		}
	}
	f.deps.Recordings = nil
	f.mount(exports.Config{})
	if d := f.export(sampleID, ""); d.Conversation.Recording != nil || d.Summary["hasRecording"] != false || d.Summary["recordingAvailable"] != false {
		t.Errorf("without storage: %+v", d.Conversation.Recording)
	}
}

func TestRecordingID(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), exports.Config{})
	ids := map[string]bool{}
	for _, id := range []string{"one", "two"} {
		f.store.Put("k/"+id, []byte("x"))
		f.load("org_123", line(id, `,"recording":{"objectKey":"k/`+id+`"}`))
		first, again := f.export(id, "").Conversation.Recording.ID, f.export(id, "").Conversation.Recording.ID
		if first != again || !strings.HasPrefix(first, "rec_") || ids[first] {
			t.Fatalf("ids %s and %s", first, again)
		}
		ids[first] = true
	}
}

// recordingLink gives the path of the link to the sample's recording.
func (f *fixture) recordingLink() string {
	f.Helper()
	target, ours := strings.CutPrefix(f.export(sampleID, "").Conversation.Recording.SignedURL, public)
	if !ours || !strings.HasPrefix(target, "/api/export/recording?token=") {
		f.Fatalf("the link is %s", target)
	}
	return target
}

// download sends a request for a recording.
func (f *fixture) download(method, target string, headers ...string) apitest.Answer {
	f.Helper()
	return f.spec.Do(f, f.h, request(method, target, headers...))
}

func TestProxiedRecording(t *testing.T) {
	onBoth(t, func(f *fixture) {
		target := f.recordingLink()
		etag := f.download("HEAD", target).Header.Get("ETag")
		for name, c := range map[string]struct {
			method string
			header []string
			status int
			body   string
			length string
		}{
			"all":             {"GET", nil, 200, "0123456789", "10"},
			"head":            {"HEAD", nil, 200, "", "10"},
			"head of a range": {"HEAD", []string{"Range", "bytes=2-3"}, 200, "", "10"},
			"head of none":    {"HEAD", []string{"Range", "bytes=10-"}, 200, "", "10"},
			"range":           {"GET", []string{"Range", "bytes=2-4"}, 206, "234", "3"},
			"tail":            {"GET", []string{"Range", "bytes=-2"}, 206, "89", "2"},
			"rest":            {"GET", []string{"Range", "bytes=7-", "If-Range", etag}, 206, "789", "3"},
			"changed since":   {"GET", []string{"Range", "bytes=7-", "If-Range", `"other"`}, 200, "0123456789", "10"},
			"a key beside it": {"GET", []string{"x-api-key", "wrong", "Authorization", "Bearer wrong"}, 200, "0123456789", "10"},
		} {
			a := f.download(c.method, target, c.header...)
			if a.Status != c.status || string(a.Body) != c.body || a.Header.Get("Content-Length") != c.length || a.Header.Get("Content-Type") != "video/webm" ||
				a.Header.Get("ETag") != etag || a.Header.Get("Content-Disposition") != `attachment; filename="agent_abc123_1705320000_user123.webm"` {
				f.Errorf("%s: answered %d %q %v", name, a.Status, a.Body, a.Header)
			}
		}
		f.want(f.download("GET", target, "Range", "bytes=10-"), 416, "The requested range lies behind the end of the recording")
		f.want(f.download("GET", target, "If-Match", `"other"`), 412, "The recording is not the one that the request names")
		if a := f.download("GET", target, "If-None-Match", etag); a.Status != 304 || len(a.Body) > 0 {
			f.Errorf("answered %d %q", a.Status, a.Body)
		}
		f.pass(24*time.Hour - time.Second)
		if a := f.download("GET", target); a.Status != 200 {
			f.Errorf("answered %d in the last second", a.Status)
		}
		f.pass(time.Second)
		f.want(f.download("GET", target), 401, "The recording link has expired")
	})
}

// TestRecordingLinksEndWithTheirKey disables, enables and deletes the API key that got a link.
// Links of the internal token, and those of the former form, end by their time.
func TestRecordingLinksEndWithTheirKey(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), exports.Config{})
	keyed := f.recordingLink()
	a := f.ask(jsonPath, "application/json", `{"conversationId":"`+sampleID+`"}`, "x-internal-token", internal, "x-organization-id", "org_123")
	internals := strings.TrimPrefix(read(t, a.Body).Conversation.Recording.SignedURL, public)
	former := "/api/export/recording?token=" + f.deps.Signer.Sign(t.Context(), auth.PurposeLink, "recording of an export",
		[]byte(`{"t":"org_123","k":"`+audioKey+`","e":`+strconv.FormatInt(f.now.Load()+60, 10)+`}`))
	list, err := f.c.Credentials(t.Context(), catalog.CredentialKey, "org_123", "", 10)
	f.must(err)
	want := func(target string, status int) {
		t.Helper()
		if a := f.download("GET", target); a.Status != status {
			t.Errorf("answered %d %s, want %d", a.Status, a.Body, status)
		}
	}
	want(keyed, 200)
	disable := func(disabled bool) {
		f.must(f.c.DisableCredential(t.Context(), catalog.CredentialKey, list[0].ID, disabled, audit.Origin{}))
	}
	disable(true)
	want(keyed, 401)
	want(internals, 200)
	want(former, 200)
	disable(false)
	want(keyed, 401)
	fresh := f.recordingLink()
	want(fresh, 200)
	f.must(f.c.DeleteCredential(t.Context(), catalog.CredentialKey, list[0].ID, audit.Origin{}))
	want(fresh, 401)
}

func TestBadRecordingLinks(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), exports.Config{})
	target := f.recordingLink()
	path, token, _ := strings.Cut(target, "token=")
	keys, err := auth.OpenKeyring(t.Context(), f.c, "", time.Now)
	f.must(err)
	hourly := keys.SignLink(t.Context(), auth.Link{HourKey: domain.HourKey{Tenant: "org_123", Day: "2024-01-15"}, Archive: "x", Expires: time.Now().Add(time.Hour)})
	for name, query := range map[string]string{
		"none": "", "empty": "token=", "nonsense": "token=x", "twice": "token=" + token + "&token=" + token, "cut": "token=" + token[:len(token)-1],
		"longer": "token=" + token + "A", "huge": "token=" + strings.Repeat("A", 100_000), "bad escape": "token=%zz",
		"another letter": "token=" + token[:20] + swap(token[20]) + token[21:], "of an hour": "token=" + hourly, "other name": "Token=" + token,
		"not text": "token=%ff%00",
	} {
		t.Run(name, func(t *testing.T) {
			one := *f
			one.T = t
			one.want(one.download("GET", path+query), 401, "The recording link is invalid")
			if a := one.download("HEAD", path+query); a.Status != 401 || len(a.Body) > 0 {
				t.Fatalf("HEAD answered %d", a.Status)
			}
		})
	}
	f.store.Fail = domain.Errorf(domain.KindUnavailable, "down")
	f.want(f.download("GET", target), 503, "Export is temporarily unavailable, please try again")
	f.store.Fail, f.store.FailGet = nil, domain.Errorf(domain.KindUnreadable, "cold")
	f.want(f.download("GET", target), 404, "Recording not found")
	f.store.FailGet, f.store.Cold = nil, true
	f.want(f.download("GET", target), 404, "Recording not found")
	if d := f.export(sampleID, ""); d.Conversation.Recording != nil {
		t.Fatal("a recording in cold storage")
	}
	f.store.Cold = false
	f.store.Delete(audioKey)
	f.want(f.download("GET", target), 404, "Recording not found")
	if d := f.export(sampleID, ""); d.Conversation.Recording != nil {
		t.Fatal("a recording that is gone")
	}
}

func swap(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

// A proxied recording with another SHA-256 than is known is given without its last byte.
func TestProxiedRecordingOfOtherBytes(t *testing.T) {
	onBoth(t, func(f *fixture) {
		target := f.recordingLink()
		sum := domain.SHA256(sha256.Sum256([]byte("other")))
		known, err := f.c.ReserveUpload(f.Context(), "org_123", audioKey)
		f.must(err)
		f.must(f.c.RegisterUpload(f.Context(), "org_123", catalog.Upload{Key: audioKey, Size: 10, SHA256: &sum, ETag: "e", New: true, Since: known.Since}))
		if a := f.download("GET", target); string(a.Body) != "012345678" || a.Header.Get("Content-Length") != "10" {
			f.Errorf("answered %d %q", a.Status, a.Body)
		}
		if a := f.download("GET", target, "Range", "bytes=5-"); string(a.Body) != "56789" {
			f.Errorf("a part: %d %q", a.Status, a.Body)
		}
		if got := apitest.Audited(t, f.c, "org_123", "recording.mismatch"); len(got) != 1 || !strings.HasPrefix(got[0], `link recording.mismatch {"reader":"audio"`) {
			f.Errorf("audited %q", got)
		}
	})
}

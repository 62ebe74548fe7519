package exports_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/api/exports"
	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
)

// In redirect mode the link leads on into the store, but for what the store would do wrong.
func TestPresignedRecording(t *testing.T) {
	w := newWorld(t, apitest.SQLite(t), exports.Config{})
	store := objstoretest.Open(t, objstoretest.MinIO(t))
	audio := bytes.Repeat([]byte("webm"), 1000)
	_, err := store.Recordings().Put(t.Context(), audioKey, audio, objstore.PutOptions{ContentType: "video/webm"})
	w.must(err)
	w.deps.Recordings, w.deps.Now = store.Recordings(), time.Now
	w.mount(exports.Config{PublicURL: public, Redirect: true})
	before := time.Now().Truncate(time.Second)
	_, key, err := w.c.CreateAPIKey(t.Context(), "org_123", "another")
	w.must(err)
	w.key = key
	d := w.export(sampleID, "")
	r := d.Conversation.Recording
	if r == nil || r.ID != "rec_abc123" || r.FileName != audioKey || !strings.HasPrefix(r.SignedURL, public+"/api/export/recording?token=") {
		t.Fatalf("got %+v", r)
	}
	at, err := time.Parse(time.RFC3339, d.ExportMetadata.ExportedAt)
	w.must(err)
	until, err := time.Parse(time.RFC3339, r.URLExpiry)
	w.must(err)
	if at.Before(before) || until.Sub(at) != 24*time.Hour {
		t.Fatalf("exported at %s, link until %s", at, until)
	}
	target := strings.TrimPrefix(r.SignedURL, public)
	etag := w.give("HEAD", target).Header.Get("ETag")
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
		if a := w.give("GET", target, c.header...); a.Status != c.status || a.Status == 200 && !bytes.Equal(a.Body, audio) {
			t.Errorf("%s: answered %d, %d bytes", name, a.Status, len(a.Body))
		}
	}
	location := w.give("GET", target).Header.Get("Location")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, location, http.NoBody)
	w.must(err)
	response, err := http.DefaultClient.Do(request)
	w.must(err)
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != 200 || !bytes.Equal(got, audio) || response.Header.Get("Content-Type") != "video/webm" ||
		!strings.Contains(location, "X-Amz-Expires=300&") {
		t.Fatalf("the link gives %s, %d bytes, error %v", response.Status, len(got), err)
	}

	for _, c := range []struct{ id, more string }{
		{"vanished", `,"recording":{"id":"r","objectKey":"recordings/nowhere.webm"}`}, {"unrecorded", ``}, {"folder", `,"recording":{"objectKey":"recordings/2024"}`},
	} {
		w.load("org_123", line(c.id, c.more))
		if d := w.export(c.id, ""); d.Conversation.Recording != nil || d.Summary["hasRecording"] != false || d.Summary["recordingAvailable"] != true {
			t.Errorf("%s: %+v", c.id, d.Conversation.Recording)
		}
	}
	w.deps.Recordings = nil
	w.mount(exports.Config{Redirect: true})
	if d := w.export(sampleID, ""); d.Conversation.Recording != nil || d.Summary["hasRecording"] != false || d.Summary["recordingAvailable"] != false {
		t.Errorf("without storage: %+v", d.Conversation.Recording)
	}
}

func TestRecordingID(t *testing.T) {
	w := newWorld(t, apitest.SQLite(t), exports.Config{})
	ids := map[string]bool{}
	for _, id := range []string{"one", "two"} {
		w.store.Put("k/"+id, []byte("x"))
		w.load("org_123", line(id, `,"recording":{"objectKey":"k/`+id+`"}`))
		first, again := w.export(id, "").Conversation.Recording.ID, w.export(id, "").Conversation.Recording.ID
		if first != again || !strings.HasPrefix(first, "rec_") || ids[first] {
			t.Fatalf("ids %s and %s", first, again)
		}
		ids[first] = true
	}
}

// proxied gives the path of a sample's link.
func (w *world) proxied() string {
	w.Helper()
	target, ours := strings.CutPrefix(w.export(sampleID, "").Conversation.Recording.SignedURL, public)
	if !ours || !strings.HasPrefix(target, "/api/export/recording?token=") {
		w.Fatalf("the link is %s", target)
	}
	return target
}

// give asks for a recording.
func (w *world) give(method, target string, headers ...string) apitest.Answer {
	w.Helper()
	return w.spec.Do(w, w.h, request(method, target, headers...))
}

func TestProxiedRecording(t *testing.T) {
	onBoth(t, func(w *world) {
		target := w.proxied()
		etag := w.give("HEAD", target).Header.Get("ETag")
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
			a := w.give(c.method, target, c.header...)
			if a.Status != c.status || string(a.Body) != c.body || a.Header.Get("Content-Length") != c.length || a.Header.Get("Content-Type") != "video/webm" ||
				a.Header.Get("ETag") != etag || a.Header.Get("Content-Disposition") != `attachment; filename="agent_abc123_1705320000_user123.webm"` {
				w.Errorf("%s: answered %d %q %v", name, a.Status, a.Body, a.Header)
			}
		}
		w.want(w.give("GET", target, "Range", "bytes=10-"), 416, "The requested range lies behind the end of the recording")
		w.want(w.give("GET", target, "If-Match", `"other"`), 412, "The recording is not the one that the request names")
		if a := w.give("GET", target, "If-None-Match", etag); a.Status != 304 || len(a.Body) > 0 {
			w.Errorf("answered %d %q", a.Status, a.Body)
		}
		w.pass(24*time.Hour - time.Second)
		if a := w.give("GET", target); a.Status != 200 {
			w.Errorf("answered %d in the last second", a.Status)
		}
		w.pass(time.Second)
		w.want(w.give("GET", target), 401, "The recording link has expired")
	})
}

func TestBadRecordingLinks(t *testing.T) {
	w := newWorld(t, apitest.SQLite(t), exports.Config{})
	target := w.proxied()
	path, token, _ := strings.Cut(target, "token=")
	keys, err := auth.OpenKeyring(t.Context(), w.c, "", time.Now)
	w.must(err)
	hourly := keys.SealLink(t.Context(), auth.Link{HourKey: domain.HourKey{Tenant: "org_123", Day: "2024-01-15"}, Archive: "x", Expires: time.Now().Add(time.Hour)})
	for name, query := range map[string]string{
		"none": "", "empty": "token=", "nonsense": "token=x", "twice": "token=" + token + "&token=" + token, "cut": "token=" + token[:len(token)-1],
		"longer": "token=" + token + "A", "huge": "token=" + strings.Repeat("A", 100_000), "bad escape": "token=%zz",
		"another letter": "token=" + token[:20] + swap(token[20]) + token[21:], "of an hour": "token=" + hourly, "other name": "Token=" + token,
		"not text": "token=%ff%00",
	} {
		t.Run(name, func(t *testing.T) {
			one := *w
			one.T = t
			one.want(one.give("GET", path+query), 401, "The recording link is invalid")
			if a := one.give("HEAD", path+query); a.Status != 401 || len(a.Body) > 0 {
				t.Fatalf("HEAD answered %d", a.Status)
			}
		})
	}
	w.store.Fail = domain.Errorf(domain.KindUnavailable, "down")
	w.want(w.give("GET", target), 503, "Export is temporarily unavailable, please try again")
	w.store.Fail, w.store.FailGet = nil, domain.Errorf(domain.KindUnreadable, "cold")
	w.want(w.give("GET", target), 404, "Recording not found")
	w.store.FailGet, w.store.Cold = nil, true
	w.want(w.give("GET", target), 404, "Recording not found")
	if d := w.export(sampleID, ""); d.Conversation.Recording != nil {
		t.Fatal("a recording in cold storage")
	}
	w.store.Cold = false
	w.store.Delete(audioKey)
	w.want(w.give("GET", target), 404, "Recording not found")
	if d := w.export(sampleID, ""); d.Conversation.Recording != nil {
		t.Fatal("a recording that is gone")
	}
}

func swap(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

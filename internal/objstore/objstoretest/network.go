package objstoretest

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

func presign(t *testing.T, f *s3) {
	data := random(5000)
	const key = "tenant/2025-01-01/a b.zip"
	f.put(t, key, data)
	raw, err := f.archives.Presign(t.Context(), key, time.Minute, objstore.PresignOptions{
		Filename: "tenant_2025-01-01_07.zip", ContentType: "application/zip",
	})
	if err != nil {
		t.Fatal(err)
	}
	whole := fetch(t, raw, "")
	if whole.status != http.StatusOK || !bytes.Equal(whole.body, data) {
		t.Errorf("status %d with %d bytes", whole.status, len(whole.body))
	}
	if got := whole.header.Get("Content-Disposition"); got != `attachment; filename="tenant_2025-01-01_07.zip"` {
		t.Errorf("Content-Disposition is %q", got)
	}
	if got := whole.header.Get("Content-Type"); got != "application/zip" {
		t.Errorf("Content-Type is %q", got)
	}
	if part := fetch(t, raw, "bytes=100-199"); part.status != http.StatusPartialContent || !bytes.Equal(part.body, data[100:200]) {
		t.Errorf("a range: status %d with %d bytes", part.status, len(part.body))
	}
	longer := strings.Replace(raw, "X-Amz-Expires=60", "X-Amz-Expires=600", 1)
	if got := fetch(t, longer, ""); longer == raw || got.status != http.StatusForbidden {
		t.Errorf("a changed URL: status %d", got.status)
	}
	for _, ttl := range []time.Duration{0, objstore.MaxPresign + time.Second} {
		_, err := f.archives.Presign(t.Context(), key, ttl, objstore.PresignOptions{})
		wantKind(t, "presign for too short or too long", err, domain.KindInvalid)
	}
	cfg := f.cfg
	cfg.PublicEndpoint = "https://audio.example.com"
	raw, err = newStore(t, cfg).Archives().Presign(t.Context(), key, time.Hour, objstore.PresignOptions{Filename: `ü".zip`})
	if u, parseErr := url.Parse(raw); err != nil || parseErr != nil || u.Scheme != "https" || u.Host != "audio.example.com" {
		t.Errorf("a presigned URL for another host: %v, %v", err, parseErr)
	}
}

// presignRange: a URL for one range gives no other bytes.
func presignRange(t *testing.T, f *s3) {
	data := random(5000)
	const key = "tenant/2025-01-01/rest.zip"
	f.put(t, key, data)
	for asked, want := range map[string][]byte{"bytes=100-": data[100:], "bytes=100-199": data[100:200], "bytes=-10": data[4990:]} {
		raw, err := f.archives.Presign(t.Context(), key, time.Minute, objstore.PresignOptions{Filename: "a.zip", Range: asked})
		if err != nil {
			t.Fatal(err)
		}
		if part := fetch(t, raw, asked); part.status != http.StatusPartialContent || !bytes.Equal(part.body, want) {
			t.Errorf("%s: status %d with %d bytes", asked, part.status, len(part.body))
		}
		for _, other := range []string{"", "bytes=0-", "bytes=1-"} {
			if got := fetch(t, raw, other); got.status < 400 {
				t.Errorf("signed for %s, asked for %q: status %d with %d bytes", asked, other, got.status, len(got.body))
			}
		}
	}
}

func presignExpires(t *testing.T, f *s3) {
	f.put(t, "a", []byte("x"))
	raw, err := f.archives.Presign(t.Context(), "a", time.Second, objstore.PresignOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for fetch(t, raw, "").status != http.StatusForbidden {
		time.Sleep(100 * time.Millisecond)
	}
}

// answer is an answer to a plain HTTP client.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func fetch(t *testing.T, raw, span string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, raw, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if span != "" {
		request.Header.Set("Range", span)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: body}
}

func stalledBody(t *testing.T, f *s3) {
	// More than the sockets in between hold.
	f.put(t, "a", random(32<<20))
	proxy, bucket := f.proxied(t, func(c *objstore.Config) { c.StallTimeout = time.Second })
	object, err := bucket.Get(t.Context(), "a", objstore.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	proxy.Stall()
	wantKind(t, "read a stalled body", drain(object), domain.KindUnavailable)
	closeBody(t, object)
	_, err = bucket.Get(t.Context(), "a", objstore.GetOptions{})
	wantKind(t, "get from a stalled store", err, domain.KindUnavailable)
	_, err = bucket.Put(t.Context(), "b", nil, objstore.PutOptions{IfNoneMatch: true})
	wantKind(t, "put to a stalled store", err, domain.KindUnavailable)
}

func stalledUpload(t *testing.T, f *s3) {
	id := f.begin(t, "a")
	proxy, bucket := f.proxied(t, func(c *objstore.Config) { c.StallTimeout = time.Second })
	proxy.Stall()
	data := random(32 << 20)
	_, err := bucket.PutPart(t.Context(), "a", id, 1, data, crc32.ChecksumIEEE(data))
	wantKind(t, "upload to a stalled store", err, domain.KindUnavailable)
	proxy.Restore()
	part, err := bucket.PutPart(t.Context(), "a", id, 1, data, crc32.ChecksumIEEE(data))
	if err != nil {
		t.Fatal("upload again: ", err)
	}
	if _, err := bucket.Complete(t.Context(), "a", id, []objstore.Part{part}, objstore.CompleteOptions{}); err != nil {
		t.Fatal("complete: ", err)
	}
	f.holds(t, "a", data)
}

// brokenBody: a caller can continue after the connection broke.
func brokenBody(t *testing.T, f *s3) {
	data := random(4 << 20)
	etag := f.put(t, "a", data)
	proxy, bucket := f.proxied(t, func(*objstore.Config) {})
	proxy.BreakAfter(1 << 20)
	object, err := bucket.Get(t.Context(), "a", objstore.GetOptions{IfMatch: etag})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(object.Body)
	closeBody(t, object)
	wantKind(t, "read a broken body", err, domain.KindUnavailable)
	if len(got) >= len(data) || len(got) == 0 {
		t.Fatalf("%d bytes came before the break", len(got))
	}
	object, err = bucket.Get(t.Context(), "a", objstore.GetOptions{From: int64(len(got)), IfMatch: etag})
	if err != nil {
		t.Fatal("go on: ", err)
	}
	if got = append(got, readAll(t, object)...); !bytes.Equal(got, data) {
		t.Error("the two pieces are not the object")
	}
}

func unreachable(t *testing.T, f *s3) {
	f.put(t, "a", []byte("x"))
	proxy, bucket := f.proxied(t, func(*objstore.Config) {})
	proxy.Cut()
	_, err := bucket.Get(t.Context(), "a", objstore.GetOptions{})
	wantKind(t, "get", err, domain.KindUnavailable)
	_, err = bucket.Stat(t.Context(), "a")
	wantKind(t, "stat", err, domain.KindUnavailable)
	_, err = bucket.Put(t.Context(), "b", nil, objstore.PutOptions{IfNoneMatch: true})
	wantKind(t, "put", err, domain.KindUnavailable)
	if _, err = bucket.Presign(t.Context(), "a", time.Minute, objstore.PresignOptions{}); err != nil {
		t.Error("presigning needs the network: ", err)
	}
	proxy.Restore()
	if _, err := bucket.Stat(t.Context(), "a"); err != nil {
		t.Error("after the outage: ", err)
	}
}

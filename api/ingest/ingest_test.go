package ingest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"go.uber.org/zap"

	"github.com/callvault/callvault/api/ingest"
	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/embedded"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// bench is the family over a real catalog and a real store, served over HTTP.
type bench struct {
	*testing.T
	c      *catalog.Catalog
	bucket *objstore.Bucket
	url    string
	doc    *openapi3.T
	router routers.Router
	header http.Header
}

func newBench(t *testing.T) *bench {
	t.Helper()
	c, err := catalog.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "catalog.db"), catalog.Rules{})
	b := &bench{T: t, c: c, header: http.Header{"X-Internal-Token": {"secret"}, "X-Organization-Id": {"acme"}}}
	b.must(err)
	t.Cleanup(func() { b.must(c.Close()) })
	_, err = c.Migrate(t.Context())
	b.must(err)
	for _, id := range []string{"acme", "other"} {
		_, err = c.CreateTenant(t.Context(), domain.Tenant{ID: id, RetentionDays: 3, DayLimit: 5, DownloadLimit: 5})
		b.must(err)
	}
	store := objstoretest.Open(t, objstoretest.MinIO(t))
	b.bucket = store.Recordings()
	b.serve(b.family(c, ingest.Bucket{Bucket: b.bucket}))
	return b
}

func (b *bench) family(c ingest.Catalog, audio ingest.Audio) web.Family {
	return ingest.New(ingest.Config{InternalToken: "secret"}, ingest.Deps{Catalog: c, Audio: audio, Log: zap.NewNop()})
}

func (b *bench) serve(f web.Family) {
	b.Helper()
	var err error
	b.doc, err = openapi3.NewLoader().LoadFromData(f.Spec)
	b.must(err)
	b.must(b.doc.Validate(b.Context()))
	b.router, err = legacy.NewRouter(b.doc)
	b.must(err)
	server := httptest.NewServer(f.Handler)
	b.Cleanup(server.Close)
	b.url = server.URL
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

func (b *bench) send(method, path string, body io.Reader, extra http.Header) answer {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), method, b.url+path, body)
	b.must(err)
	for name, values := range b.header {
		req.Header[name] = values
	}
	for name, values := range extra {
		req.Header[name] = values
	}
	res, err := http.DefaultClient.Do(req)
	b.must(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	b.must(err)
	b.conforms(req, res, text)
	return answer{res.StatusCode, res.Header, strings.TrimSpace(string(text))}
}

// conforms holds an answer against the OpenAPI document, where that knows the request.
func (b *bench) conforms(req *http.Request, res *http.Response, text []byte) {
	b.Helper()
	plain := req.Clone(b.Context())
	operation := "POST /api/ingest/v1/records"
	if strings.HasPrefix(plain.URL.Path, "/api/ingest/v1/audio/") {
		operation = "PUT /api/ingest/v1/audio/{objectKey}"
		plain.URL.Path, plain.URL.RawPath = "/api/ingest/v1/audio/key", ""
	}
	if !strings.HasPrefix(operation, plain.Method+" ") {
		return
	}
	plain.URL.Host, plain.URL.Scheme, plain.Host = "", "", ""
	if plain.URL.Path != recordsPath && plain.URL.Path != "/api/ingest/v1/audio/key" {
		return // the document does not name it
	}
	route, params, err := b.router.FindRoute(plain)
	b.must(err)
	in := &openapi3filter.RequestValidationInput{Request: plain, PathParams: params, Route: route}
	b.must(openapi3filter.ValidateResponse(b.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: res.StatusCode, Header: res.Header, Body: io.NopCloser(bytes.NewReader(text)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true}}))
}

func (b *bench) want(what string, got answer, status int, body string) {
	b.Helper()
	if got.status != status || got.body != body {
		b.Fatalf("%s: got %d %s\nwant %d %s", what, got.status, got.body, status, body)
	}
	if ct := got.header.Get("Content-Type"); ct != "application/json" {
		b.Fatalf("%s: content type %q", what, ct)
	}
}

const recordsPath = "/api/ingest/v1/records"

func messages(from, to int) string {
	var s strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&s, `{"kind":"message","messageId":"m%d","conversationId":"c","time":1744651778.652,"type":"UserInput"}`+"\n", i)
	}
	return s.String()
}

func TestRecords(t *testing.T) {
	b := newBench(t)
	all := `{"kind":"agent","agentId":"a","name":"Bot"}
{"kind":"conversation","conversationId":"c","agentId":"a","startTime":"2024-01-15T10:30:00Z"}
` + messages(0, 1) + `{"kind":"recording","conversationId":"c","sessionId":"s","messageId":789,"type":"agent_tts","timestamp":"2020-12-12T14:23:45Z","objectKey":"k/1.opus"}`
	b.want("first", b.send("POST", recordsPath, strings.NewReader(all), nil), 200,
		`{"lines":4,"batches":1,"agents":1,"conversations":1,"messages":1,"recordings":1,"changed":4,"tooLate":1}`)
	b.want("again", b.send("POST", recordsPath, strings.NewReader(all), nil), 200,
		`{"lines":4,"batches":1,"agents":1,"conversations":1,"messages":1,"recordings":1,"changed":0,"tooLate":0}`)
	b.want("nothing", b.send("POST", recordsPath, strings.NewReader(""), nil), 200,
		`{"lines":0,"batches":0,"agents":0,"conversations":0,"messages":0,"recordings":0,"changed":0,"tooLate":0}`)
	b.want("a bad line", b.send("POST", recordsPath, strings.NewReader(messages(1, 5003)+`{"kind":"message"}`+"\n"+messages(6000, 6003)), nil), 400,
		`{"error":"line 5003: \"messageId\" is missing","line":5003,"stored":5000}`)
	b.want("what was stored", b.send("POST", recordsPath, strings.NewReader(messages(1, 5003)), nil), 200,
		`{"lines":5002,"batches":2,"agents":0,"conversations":0,"messages":5002,"recordings":0,"changed":2,"tooLate":0}`)
	b.want("a contradiction", b.send("POST", recordsPath, strings.NewReader("\n"+strings.ReplaceAll(all, "14:23:45", "14:23:46")), nil), 400,
		`{"error":"line 5: \"timestamp\" differs from the one that this recording was registered with; if this line is right, an operator corrects the recording (callvault recording correct)","line":5,"stored":0}`)
	moved := strings.NewReplacer(`"messageId":789`, `"messageId":790`, `{"kind":"agent"`, "\n"+`{"kind":"agent"`)
	b.want("another place", b.send("POST", recordsPath, strings.NewReader(moved.Replace(all)), nil), 400,
		`{"error":"line 5: \"messageId\" differs from the one that this recording was registered with; if this line is right, an operator corrects the recording (callvault recording correct)","line":5,"stored":0}`)
	b.want("another tenant's key", b.send("POST", recordsPath, strings.NewReader(all), http.Header{"X-Organization-Id": {"other"}}), 400,
		`{"error":"line 4: \"objectKey\" names an object that is not this tenant's","line":4,"stored":0}`)
}

func TestWhoMayCall(t *testing.T) {
	b := newBench(t)
	const noToken = `{"error":"The x-internal-token header is missing or wrong."}`
	for _, path := range []struct{ method, path string }{{"POST", recordsPath}, {"PUT", "/api/ingest/v1/audio/k"}} {
		for _, c := range []struct {
			header http.Header
			status int
			body   string
		}{
			{http.Header{"X-Internal-Token": nil}, 401, noToken},
			{http.Header{"X-Internal-Token": {""}}, 401, noToken},
			{http.Header{"X-Internal-Token": {"wrong"}, "X-Organization-Id": nil}, 401, noToken},
			{http.Header{"X-Internal-Token": {"secret", "secret"}}, 401, noToken},
			{http.Header{"X-Organization-Id": nil}, 400, `{"error":"The x-organization-id header must name one organization."}`},
			{http.Header{"X-Organization-Id": {strings.Repeat("o", 513)}}, 400, `{"error":"The x-organization-id header is longer than 512 bytes."}`},
			{http.Header{"X-Organization-Id": {"acme", "other"}}, 400, `{"error":"The x-organization-id header must name one organization."}`},
			{http.Header{"X-Organization-Id": {"nobody"}}, 404, `{"error":"The organization does not exist."}`},
			{http.Header{"X-Organization-Id": {"no body\xff"}}, 404, `{"error":"The organization does not exist."}`},
			{http.Header{"Content-Encoding": {"gzip"}}, 415, `{"error":"The body must come as it is, without Content-Encoding."}`},
		} {
			b.want(fmt.Sprint(path, c.header), b.send(path.method, path.path, strings.NewReader("x"), c.header), c.status, c.body)
		}
	}
	got := b.send("GET", recordsPath, http.NoBody, nil)
	b.want("method", got, 405, `{"error":"Method Not Allowed."}`)
	if allow := got.header.Get("Allow"); allow != "POST" {
		t.Fatalf("Allow: %q", allow)
	}
	if got = b.send("POST", "/api/ingest/v1/audio/k", http.NoBody, nil); got.header.Get("Allow") != "PUT" {
		t.Fatalf("Allow: %q", got.header.Get("Allow"))
	}
	b.want("path", b.send("POST", "/api/ingest/v1/other", http.NoBody, nil), 404, `{"error":"Not Found."}`)
	b.want("a form", b.send("POST", recordsPath, strings.NewReader("x"), http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}), 415,
		`{"error":"The body must be JSON lines, not a form."}`)
	closed := ingest.New(ingest.Config{}, ingest.Deps{Catalog: b.c, Log: zap.NewNop()})
	b.serve(closed)
	b.want("no token is configured", b.send("POST", recordsPath, http.NoBody, http.Header{"X-Internal-Token": {""}}), 401, noToken)
}

// down is a catalog that fails when it is asked for more than the tenant.
type down struct {
	ingest.Catalog
	after int // batches that are taken first
}

func (d *down) Register(ctx context.Context, tenant string, batch catalog.Batch) (catalog.Counts, error) {
	if d.after--; d.after < 0 {
		return catalog.Counts{}, domain.Errorf(domain.KindUnavailable, "connection refused by 10.0.0.1")
	}
	return d.Catalog.Register(ctx, tenant, batch)
}

func TestCatalogDown(t *testing.T) {
	b := newBench(t)
	b.serve(b.family(&down{Catalog: b.c, after: 1}, ingest.Bucket{Bucket: b.bucket}))
	got := b.send("POST", recordsPath, strings.NewReader(messages(0, 6000)), nil)
	b.want("down", got, 503, `{"error":"The service is not available. Please try again.","stored":5000}`)
	if got.header.Get("Retry-After") != "5" {
		t.Fatalf("Retry-After: %q", got.header.Get("Retry-After"))
	}
}

func TestCallerGoesAway(t *testing.T) {
	b := newBench(t)
	b.send("POST", recordsPath, strings.NewReader(messages(0, 1)), nil) // the messages' conversation has a row from now on
	body, in := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+recordsPath, body)
	b.must(err)
	req.Header = b.header
	gone := io.ErrClosedPipe
	go func() {
		_, _ = io.WriteString(in, messages(0, 7000)) // the request fails when this can't be written
		_ = in.CloseWithError(gone)
	}()
	res, err := http.DefaultClient.Do(req)
	if err == nil {
		res.Body.Close()
		if res.StatusCode != http.StatusBadRequest {
			t.Fatalf("a broken body answered %d", res.StatusCode)
		}
	}
	// Of 7,000 lines the first batch alone can stand: the second never ended.
	got := b.send("POST", recordsPath, strings.NewReader(messages(5000, 7000)), nil)
	var counts struct{ Changed int }
	b.must(json.Unmarshal([]byte(got.body), &counts))
	if counts.Changed != 2000 {
		t.Fatalf("of the batch that never ended %d lines were stored", 2000-counts.Changed)
	}
}

func audioAnswer(key string, data []byte) string {
	return fmt.Sprintf(`{"objectKey":%q,"sizeBytes":%d,"crc32":"%08x","sha256":"%x"}`, key, len(data), crc32.ChecksumIEEE(data), sha256.Sum256(data))
}

func TestAudio(t *testing.T) {
	b := newBench(t)
	data, other := []byte("some opus"), []byte("same size")
	put := func(path string, data []byte, extra http.Header) answer {
		b.Helper()
		return b.send("PUT", "/api/ingest/v1/audio/"+path, bytes.NewReader(data), extra)
	}
	digest := func(d []byte) string {
		sum := sha256.Sum256(d)
		return "md5=:x:, sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	}
	b.want("wrong crc", put("a/b.opus", data, http.Header{"X-Checksum-Crc32": {"00000000"}}), 400, `{"error":"The bytes do not match x-checksum-crc32."}`)
	b.want("wrong digest", put("a/b.opus", data, http.Header{"Content-Digest": {digest(other)}}), 400, `{"error":"The bytes do not match Content-Digest."}`)
	b.want("bad crc", put("a/b.opus", data, http.Header{"X-Checksum-Crc32": {"1"}}), 400, `{"error":"x-checksum-crc32 must be 8 hex digits such as a1b2c3d4"}`)
	b.want("bad digest", put("a/b.opus", data, http.Header{"Content-Digest": {"sha-256=abc"}}), 400, `{"error":"Content-Digest must be sha-256=:BASE64: of 32 bytes"}`)
	b.want("new: nothing of the refused was stored", put("a/b.opus", data, http.Header{"Content-Digest": {digest(data)},
		"X-Checksum-Crc32": {fmt.Sprintf("%08X", crc32.ChecksumIEEE(data))}}), 201, audioAnswer("a/b.opus", data))
	b.want("the same", put("a/b.opus", data, nil), 200, audioAnswer("a/b.opus", data))
	b.want("others", put("a/b.opus", other, nil), 409, `{"error":"The bytes are not those that are known for this object key: size or CRC-32 differ. If these bytes are right, an operator corrects the recording (callvault recording correct)."}`)
	b.want("another size", put("a/b.opus", data[1:], nil), 409, `{"error":"The bytes are not those that are known for this object key: size or CRC-32 differ. If these bytes are right, an operator corrects the recording (callvault recording correct)."}`)
	for _, bad := range []string{"a\tb", "audio/ogg; x=\xff", "audio/ü", "audio/" + strings.Repeat("x", 1024)} { // what S3 signs or stores in another way
		b.want("content type", put("a/type.opus", data, http.Header{"Content-Type": {bad}}), 400, `{"error":"Content-Type must be at most 1024 characters of ASCII without tabs."}`)
	}
	b.want("odd content type", put("a/type.opus", data, http.Header{"Content-Type": {"audio / ogg;   x"}}), 201, audioAnswer("a/type.opus", data))
	b.want("another tenant", put("a/b.opus", data, http.Header{"X-Organization-Id": {"other"}}), 400, `{"error":"the object key names an object that is not this tenant's"}`)
	b.want("empty", put("a/empty", nil, nil), 201, audioAnswer("a/empty", nil))
	b.want("escaped", put("a%2Fm%C3%BCnchen%20%231.opus", data, nil), 201, audioAnswer("a/münchen #1.opus", data))
	for _, bad := range []string{"", "a/../b", "a%2F..%2Fb", "%2Fetc/passwd", "a//b", "a/", "%00", "a/%FF", "a/./b", strings.Repeat("x", 1025)} {
		if got := put(bad, data, nil); got.status != 400 {
			t.Errorf("key %q: %d %s", bad, got.status, got.body)
		}
	}
	b.want("registered with another size", b.send("POST", recordsPath, strings.NewReader(
		`{"kind":"recording","conversationId":"c","sessionId":"s","messageId":1,"type":"t","timestamp":"2025-12-12T14:23:45Z","objectKey":"late.opus","sizeBytes":5}`), nil),
		200, `{"lines":1,"batches":1,"agents":0,"conversations":0,"messages":0,"recordings":1,"changed":2,"tooLate":1}`)
	ahead := time.Now().Add(49 * time.Hour).UTC().Format(time.RFC3339)
	b.want("far ahead", b.send("POST", recordsPath, strings.NewReader(
		`{"kind":"recording","conversationId":"c","sessionId":"s","messageId":2,"type":"t","timestamp":"`+ahead+`","objectKey":"ahead.opus"}`), nil),
		200, `{"lines":1,"batches":1,"agents":0,"conversations":0,"messages":0,"recordings":1,"changed":1,"tooLate":0,"ahead":1}`)
	b.want("not the registered bytes", put("late.opus", data, nil), 409,
		`{"error":"The bytes are not those that are known for this object key: size or CRC-32 differ. If these bytes are right, an operator corrects the recording (callvault recording correct)."}`)
	b.want("the registered bytes", put("late.opus", data[:5], nil), 201, audioAnswer("late.opus", data[:5]))
	b.serve(b.family(b.c, ingest.Bucket{Bucket: b.bucket, Refused: domain.Errorf(domain.KindForbidden, "none is taken in")}))
	b.want("where none is taken in", put("refused.opus", data, nil), 403, `{"error":"none is taken in"}`)
}

// TestCorrectedAudio sends the true bytes of a recording whose line told another size, before and after
// an operator corrected it; then the line comes once more.
func TestCorrectedAudio(t *testing.T) {
	b := newBench(t)
	line := fmt.Sprintf(`{"kind":"recording","conversationId":"c","sessionId":"s","messageId":1,"type":"t","timestamp":%q,"objectKey":"a.wav","sizeBytes":5}`,
		time.Now().UTC().Add(-24*time.Hour).Format(time.RFC3339))
	put := func() answer {
		return b.send("PUT", "/api/ingest/v1/audio/a.wav", strings.NewReader("elevenbytes"), nil)
	}
	b.want("the line", b.send("POST", recordsPath, strings.NewReader(line), nil), 200,
		`{"lines":1,"batches":1,"agents":0,"conversations":0,"messages":0,"recordings":1,"changed":2,"tooLate":0}`)
	b.want("the true bytes", put(), 409,
		`{"error":"The bytes are not those that are known for this object key: size or CRC-32 differ. If these bytes are right, an operator corrects the recording (callvault recording correct)."}`)
	size := int64(11)
	_, err := b.c.Correct(t.Context(), catalog.Correction{Tenant: "acme", ObjectKey: "a.wav", Reason: "r", Size: &size})
	b.must(err)
	b.want("the true bytes, corrected", put(), 201, audioAnswer("a.wav", []byte("elevenbytes")))
	b.want("the line again", b.send("POST", recordsPath, strings.NewReader(line), nil), 200,
		`{"lines":1,"batches":1,"agents":0,"conversations":0,"messages":0,"recordings":1,"changed":0,"tooLate":0}`)
}

// TestKeyPrefix attacks an object that stands in the bucket for a tenant with a key prefix: nobody
// else gets hold of it by naming it first.
func TestKeyPrefix(t *testing.T) {
	b := newBench(t)
	_, err := b.c.SetTenant(t.Context(), "acme", func(tenant *domain.Tenant) { tenant.KeyPrefix = "acme/" })
	b.must(err)
	_, err = b.bucket.PutStream(t.Context(), "acme/s/conf.wav", strings.NewReader("secret"), 6, "audio/wav")
	b.must(err)
	other := http.Header{"X-Organization-Id": {"other"}}
	recording := `{"kind":"recording","conversationId":"c","sessionId":"s","messageId":1,"type":"t","timestamp":"` +
		time.Now().UTC().Format(time.RFC3339) + `","objectKey":"acme/s/conf.wav"}`
	conversation := `{"kind":"conversation","conversationId":"c","agentId":"a","startTime":"2024-01-15T10:30:00Z","recording":{"objectKey":"acme/s/conf.wav"}}`
	for field, line := range map[string]string{"objectKey": recording, "recording.objectKey": conversation} {
		b.want(field, b.send("POST", recordsPath, strings.NewReader(line), other), 400,
			`{"error":"line 1: \"`+field+`\" names an object that is not this tenant's","line":1,"stored":0}`)
	}
	b.want("audio", b.send("PUT", "/api/ingest/v1/audio/acme%2Fs/conf.wav", strings.NewReader("secret"), other), 400,
		`{"error":"the object key names an object that is not this tenant's"}`)
	if _, err := b.c.Export(t.Context(), "other", "c", false); domain.KindOf(err) != domain.KindNotFound {
		t.Errorf("the other tenant's export: %v", err)
	}
	b.want("its own line", b.send("POST", recordsPath, strings.NewReader(recording), nil), 200,
		`{"lines":1,"batches":1,"agents":0,"conversations":0,"messages":0,"recordings":1,"changed":2,"tooLate":0}`)
	b.want("its own bytes", b.send("PUT", "/api/ingest/v1/audio/acme/s/conf.wav", strings.NewReader("secret"), nil), 200, audioAnswer("acme/s/conf.wav", []byte("secret")))
	b.want("outside", b.send("PUT", "/api/ingest/v1/audio/other/a.wav", strings.NewReader("x"), nil), 400,
		`{"error":"the object key must begin with \"acme/\", this tenant's key prefix"}`)
}

// Parts of keys are as long as the store takes them. What it does not take is refused with its
// reason: at once where that is known, by a line too.
func TestLongParts(t *testing.T) {
	b := newBench(t)
	long := "a/" + strings.Repeat("x", 300)
	line := `{"kind":"recording","conversationId":"c","sessionId":"s","messageId":1,"type":"t","timestamp":"2025-12-12T14:23:45Z","objectKey":"` + long + `"}`
	got := b.send("PUT", "/api/ingest/v1/audio/"+long, strings.NewReader("voice"), nil)
	if got.status != 400 || !strings.Contains(got.body, "the object store does not take this key (XMinioInvalidObjectName: ") {
		t.Errorf("MinIO: %d %s", got.status, got.body) // it keeps each part as a file; S3 takes it
	}
	if got := b.send("POST", recordsPath, strings.NewReader(line), nil); got.status != 200 {
		t.Errorf("a line: %d %s", got.status, got.body)
	}
	b.serve(b.family(b.c, embeddedKeys{ingest.Bucket{Bucket: b.bucket}}))
	const reason = "an object key has a part of more than 255 bytes, which embedded storage can't hold"
	b.want("audio", b.send("PUT", "/api/ingest/v1/audio/"+long, strings.NewReader("voice"), nil), 400, `{"error":"`+reason+`"}`)
	b.want("a line", b.send("POST", recordsPath, strings.NewReader(line), nil), 400, `{"error":"line 1: `+reason+`","line":1,"stored":0}`)
}

// embeddedKeys takes the keys that embedded storage does.
type embeddedKeys struct{ ingest.Bucket }

func (embeddedKeys) CheckKey(key string) error { return new(embedded.Disk).CheckKey(key) }

// Audio that the store refuses to take is answered with its reason, and not as an outage.
func TestStoreRefuses(t *testing.T) {
	b := newBench(t)
	cfg := objstoretest.MinIO(t)
	objstoretest.Open(t, cfg)
	cfg.Endpoint = testenv.Between(t, cfg.Endpoint, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut {
			return false
		}
		w.WriteHeader(http.StatusNotImplemented)
		_, _ = io.WriteString(w, `<Error><Code>NotImplemented</Code><Message>A header is not implemented.</Message></Error>`)
		return true
	}, nil)
	store, err := objstore.New(cfg)
	b.must(err)
	t.Cleanup(store.Close)
	b.serve(b.family(b.c, ingest.Bucket{Bucket: store.Recordings()}))
	b.want("refused", b.send("PUT", "/api/ingest/v1/audio/a", strings.NewReader("voice"), nil), 500,
		`{"error":"write `+cfg.Recordings+`/a: the object store refuses this (NotImplemented: A header is not implemented.)"}`)
}

// Audio can stand in the bucket without the catalog's knowing: the platform writes there itself.
func TestAudioThatStandsAlready(t *testing.T) {
	b := newBench(t)
	data := []byte("some opus")
	_, err := b.bucket.PutStream(t.Context(), "there", bytes.NewReader(data), -1, "audio/ogg")
	b.must(err)
	const differs = `{"error":"The object key exists already, with other bytes."}`
	b.want("other bytes", b.send("PUT", "/api/ingest/v1/audio/there", strings.NewReader("same size"), nil), 409, differs)
	b.want("another size", b.send("PUT", "/api/ingest/v1/audio/there", strings.NewReader("x"), nil), 409, differs)
	b.want("its bytes", b.send("PUT", "/api/ingest/v1/audio/there", bytes.NewReader(data), nil), 200, audioAnswer("there", data))
}

func TestUploadsMeet(t *testing.T) {
	b := newBench(t)
	for round := range 5 {
		path := fmt.Sprintf("/api/ingest/v1/audio/meet/%d", round)
		statuses := make([]int, 4)
		var group sync.WaitGroup
		for i := range statuses {
			group.Go(func() {
				// Two callers send the same bytes, two others do not.
				statuses[i] = b.send("PUT", path, strings.NewReader(fmt.Sprintf("bytes %d", max(i, 1))), nil).status
			})
		}
		group.Wait()
		slices.Sort(statuses)
		if got := fmt.Sprint(statuses); got != "[200 201 409 409]" && got != "[201 409 409 409]" {
			t.Fatalf("round %d: %v", round, got)
		}
	}
}

func TestLargeAudioWithoutLength(t *testing.T) {
	b := newBench(t)
	data := bytes.Repeat([]byte("0123456789abcdef"), 20<<16) // 20 MiB: several parts
	wrong := http.Header{"X-Checksum-Crc32": {"00000000"}}
	if got := b.send("PUT", "/api/ingest/v1/audio/big", io.MultiReader(bytes.NewReader(data)), wrong); got.status != 400 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	b.want("streamed", b.send("PUT", "/api/ingest/v1/audio/big", io.MultiReader(bytes.NewReader(data)), nil), 201, audioAnswer("big", data))
	b.want("again", b.send("PUT", "/api/ingest/v1/audio/big", io.MultiReader(bytes.NewReader(data)), nil), 200, audioAnswer("big", data))
}

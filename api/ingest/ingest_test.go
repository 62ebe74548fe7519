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
	"github.com/callvault/callvault/internal/conversations"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/embedded"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// fixture is the family over a real catalog and a real store, served over HTTP.
type fixture struct {
	*testing.T
	c      *catalog.Catalog
	bucket *objstore.Bucket
	url    string
	doc    *openapi3.T
	router routers.Router
	header http.Header
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	c, err := catalog.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "catalog.db"), catalog.Rules{})
	f := &fixture{T: t, c: c, header: http.Header{"X-Internal-Token": {"secret"}, "X-Organization-Id": {"acme"}}}
	f.must(err)
	t.Cleanup(func() { f.must(c.Close()) })
	_, err = c.DB().Migrate(t.Context())
	f.must(err)
	for _, id := range []string{"acme", "other"} {
		_, err = c.CreateTenant(t.Context(), domain.Tenant{ID: id, RetentionDays: 3, DayLimit: 5, DownloadLimit: 5})
		f.must(err)
	}
	store := objstoretest.Open(t, objstoretest.MinIO(t))
	f.bucket = store.Recordings()
	f.serve(f.family(c, ingest.Bucket{Bucket: f.bucket}))
	return f
}

func (f *fixture) family(c ingest.Catalog, audio ingest.Audio) web.Family {
	return ingest.New(ingest.Config{InternalToken: "secret"}, ingest.Deps{Catalog: c, Audio: audio, Log: zap.NewNop()})
}

func (f *fixture) serve(family web.Family) {
	f.Helper()
	var err error
	f.doc, err = openapi3.NewLoader().LoadFromData(family.Spec)
	f.must(err)
	f.must(f.doc.Validate(f.Context()))
	f.router, err = legacy.NewRouter(f.doc)
	f.must(err)
	server := httptest.NewServer(family.Handler)
	f.Cleanup(server.Close)
	f.url = server.URL
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// answer is a response with its whole body.
type answer struct {
	status int
	header http.Header
	body   string
}

func (f *fixture) send(method, path string, body io.Reader, extra http.Header) answer {
	f.Helper()
	req, err := http.NewRequestWithContext(f.Context(), method, f.url+path, body)
	f.must(err)
	for name, values := range f.header {
		req.Header[name] = values
	}
	for name, values := range extra {
		req.Header[name] = values
	}
	res, err := http.DefaultClient.Do(req)
	f.must(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	f.must(err)
	f.conforms(req, res, text)
	return answer{res.StatusCode, res.Header, strings.TrimSpace(string(text))}
}

// conforms checks an answer against the OpenAPI document, when that describes the request.
func (f *fixture) conforms(req *http.Request, res *http.Response, text []byte) {
	f.Helper()
	plain := req.Clone(f.Context())
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
	route, params, err := f.router.FindRoute(plain)
	f.must(err)
	in := &openapi3filter.RequestValidationInput{Request: plain, PathParams: params, Route: route}
	f.must(openapi3filter.ValidateResponse(f.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: res.StatusCode, Header: res.Header, Body: io.NopCloser(bytes.NewReader(text)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true}}))
}

func (f *fixture) want(what string, got answer, status int, body string) {
	f.Helper()
	if got.status != status || got.body != body {
		f.Fatalf("%s: got %d %s\nwant %d %s", what, got.status, got.body, status, body)
	}
	if ct := got.header.Get("Content-Type"); ct != "application/json" {
		f.Fatalf("%s: content type %q", what, ct)
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
	f := newFixture(t)
	all := `{"kind":"agent","agentId":"a","name":"Bot"}
{"kind":"conversation","conversationId":"c","agentId":"a","startTime":"2024-01-15T10:30:00Z"}
` + messages(0, 1) + `{"kind":"recording","conversationId":"c","sessionId":"s","messageId":789,"type":"agent_tts","timestamp":"2020-12-12T14:23:45Z","objectKey":"k/1.opus"}`
	f.want("first", f.send("POST", recordsPath, strings.NewReader(all), nil), 200,
		`{"lines":4,"batches":1,"agents":1,"conversations":1,"messages":1,"recordings":1,"changed":4,"tooLate":1}`)
	f.want("again", f.send("POST", recordsPath, strings.NewReader(all), nil), 200,
		`{"lines":4,"batches":1,"agents":1,"conversations":1,"messages":1,"recordings":1,"changed":0,"tooLate":0}`)
	f.want("nothing", f.send("POST", recordsPath, strings.NewReader(""), nil), 200,
		`{"lines":0,"batches":0,"agents":0,"conversations":0,"messages":0,"recordings":0,"changed":0,"tooLate":0}`)
	f.want("a bad line", f.send("POST", recordsPath, strings.NewReader(messages(1, 5003)+`{"kind":"message"}`+"\n"+messages(6000, 6003)), nil), 400,
		`{"error":"line 5003: \"messageId\" is missing","line":5003,"stored":5000}`)
	f.want("what was stored", f.send("POST", recordsPath, strings.NewReader(messages(1, 5003)), nil), 200,
		`{"lines":5002,"batches":2,"agents":0,"conversations":0,"messages":5002,"recordings":0,"changed":2,"tooLate":0}`)
	f.want("a contradiction", f.send("POST", recordsPath, strings.NewReader("\n"+strings.ReplaceAll(all, "14:23:45", "14:23:46")), nil), 400,
		`{"error":"line 5: \"timestamp\" differs from the one that this recording was registered with; if this line is right, an operator corrects the recording (callvault recording correct)","line":5,"stored":0}`)
	moved := strings.NewReplacer(`"messageId":789`, `"messageId":790`, `{"kind":"agent"`, "\n"+`{"kind":"agent"`)
	f.want("another place", f.send("POST", recordsPath, strings.NewReader(moved.Replace(all)), nil), 400,
		`{"error":"line 5: \"messageId\" differs from the one that this recording was registered with; if this line is right, an operator corrects the recording (callvault recording correct)","line":5,"stored":0}`)
	f.want("another tenant's key", f.send("POST", recordsPath, strings.NewReader(all), http.Header{"X-Organization-Id": {"other"}}), 400,
		`{"error":"line 4: \"objectKey\" names an object that is not this tenant's","line":4,"stored":0}`)
}

func TestWhoMayCall(t *testing.T) {
	f := newFixture(t)
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
			f.want(fmt.Sprint(path, c.header), f.send(path.method, path.path, strings.NewReader("x"), c.header), c.status, c.body)
		}
	}
	got := f.send("GET", recordsPath, http.NoBody, nil)
	f.want("method", got, 405, `{"error":"Method Not Allowed."}`)
	if allow := got.header.Get("Allow"); allow != "POST" {
		t.Fatalf("Allow: %q", allow)
	}
	if got = f.send("POST", "/api/ingest/v1/audio/k", http.NoBody, nil); got.header.Get("Allow") != "PUT" {
		t.Fatalf("Allow: %q", got.header.Get("Allow"))
	}
	f.want("path", f.send("POST", "/api/ingest/v1/other", http.NoBody, nil), 404, `{"error":"Not Found."}`)
	f.want("a form", f.send("POST", recordsPath, strings.NewReader("x"), http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}), 415,
		`{"error":"The body must be JSON lines, not a form."}`)
	closed := ingest.New(ingest.Config{}, ingest.Deps{Catalog: f.c, Log: zap.NewNop()})
	f.serve(closed)
	f.want("no token is configured", f.send("POST", recordsPath, http.NoBody, http.Header{"X-Internal-Token": {""}}), 401, noToken)
}

// failingCatalog fails once it has registered after batches.
type failingCatalog struct {
	ingest.Catalog
	after int // batches that are taken first
}

func (d *failingCatalog) Register(ctx context.Context, tenant string, batch catalog.Batch) (catalog.Counts, error) {
	if d.after--; d.after < 0 {
		return catalog.Counts{}, domain.Errorf(domain.KindUnavailable, "connection refused by 10.0.0.1")
	}
	return d.Catalog.Register(ctx, tenant, batch)
}

func TestCatalogDown(t *testing.T) {
	f := newFixture(t)
	f.serve(f.family(&failingCatalog{Catalog: f.c, after: 1}, ingest.Bucket{Bucket: f.bucket}))
	got := f.send("POST", recordsPath, strings.NewReader(messages(0, 6000)), nil)
	f.want("down", got, 503, `{"error":"The service is not available. Please try again.","stored":5000}`)
	if got.header.Get("Retry-After") != "5" {
		t.Fatalf("Retry-After: %q", got.header.Get("Retry-After"))
	}
}

func TestCallerGoesAway(t *testing.T) {
	f := newFixture(t)
	f.send("POST", recordsPath, strings.NewReader(messages(0, 1)), nil) // inserts the conversation of the messages
	body, in := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+recordsPath, body)
	f.must(err)
	req.Header = f.header
	gone := io.ErrClosedPipe
	go func() {
		_, _ = io.WriteString(in, messages(0, 7000)) // when this fails the request fails too
		_ = in.CloseWithError(gone)
	}()
	res, err := http.DefaultClient.Do(req)
	if err == nil {
		res.Body.Close()
		if res.StatusCode != http.StatusBadRequest {
			t.Fatalf("a broken body answered %d", res.StatusCode)
		}
	}
	// Of 7,000 lines only the first batch can be stored: the second was not complete.
	got := f.send("POST", recordsPath, strings.NewReader(messages(5000, 7000)), nil)
	var counts struct{ Changed int }
	f.must(json.Unmarshal([]byte(got.body), &counts))
	if counts.Changed != 2000 {
		t.Fatalf("of the batch that never ended %d lines were stored", 2000-counts.Changed)
	}
}

func audioAnswer(key string, data []byte) string {
	return fmt.Sprintf(`{"objectKey":%q,"sizeBytes":%d,"crc32":"%08x","sha256":"%x"}`, key, len(data), crc32.ChecksumIEEE(data), sha256.Sum256(data))
}

func TestAudio(t *testing.T) {
	f := newFixture(t)
	data, other := []byte("some opus"), []byte("same size")
	put := func(path string, data []byte, extra http.Header) answer {
		f.Helper()
		return f.send("PUT", "/api/ingest/v1/audio/"+path, bytes.NewReader(data), extra)
	}
	digest := func(d []byte) string {
		sum := sha256.Sum256(d)
		return "md5=:x:, sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	}
	f.want("wrong crc", put("a/b.opus", data, http.Header{"X-Checksum-Crc32": {"00000000"}}), 400, `{"error":"The bytes do not match x-checksum-crc32."}`)
	f.want("wrong digest", put("a/b.opus", data, http.Header{"Content-Digest": {digest(other)}}), 400, `{"error":"The bytes do not match Content-Digest."}`)
	f.want("bad crc", put("a/b.opus", data, http.Header{"X-Checksum-Crc32": {"1"}}), 400, `{"error":"x-checksum-crc32 must be 8 hex digits such as a1b2c3d4"}`)
	f.want("bad digest", put("a/b.opus", data, http.Header{"Content-Digest": {"sha-256=abc"}}), 400, `{"error":"Content-Digest must be sha-256=:BASE64: of 32 bytes"}`)
	f.want("new: nothing of the refused was stored", put("a/b.opus", data, http.Header{"Content-Digest": {digest(data)},
		"X-Checksum-Crc32": {fmt.Sprintf("%08X", crc32.ChecksumIEEE(data))}}), 201, audioAnswer("a/b.opus", data))
	f.want("the same", put("a/b.opus", data, nil), 200, audioAnswer("a/b.opus", data))
	f.want("others", put("a/b.opus", other, nil), 409, `{"error":"The bytes are not those that are known for this object key: size or CRC-32 differ. If these bytes are right, an operator corrects the recording (callvault recording correct)."}`)
	f.want("another size", put("a/b.opus", data[1:], nil), 409, `{"error":"The bytes are not those that are known for this object key: size or CRC-32 differ. If these bytes are right, an operator corrects the recording (callvault recording correct)."}`)
	for _, bad := range []string{"a\tb", "audio/ogg; x=\xff", "audio/ü", "audio/" + strings.Repeat("x", 1024)} { // stores sign or keep these differently
		f.want("content type", put("a/type.opus", data, http.Header{"Content-Type": {bad}}), 400, `{"error":"Content-Type must be at most 1024 characters of ASCII without tabs."}`)
	}
	f.want("odd content type", put("a/type.opus", data, http.Header{"Content-Type": {"audio / ogg;   x"}}), 201, audioAnswer("a/type.opus", data))
	f.want("another tenant", put("a/b.opus", data, http.Header{"X-Organization-Id": {"other"}}), 400, `{"error":"the object key names an object that is not this tenant's"}`)
	f.want("empty", put("a/empty", nil, nil), 201, audioAnswer("a/empty", nil))
	f.want("escaped", put("a%2Fm%C3%BCnchen%20%231.opus", data, nil), 201, audioAnswer("a/münchen #1.opus", data))
	for _, bad := range []string{"", "a/../b", "a%2F..%2Fb", "%2Fetc/passwd", "a//b", "a/", "%00", "a/%FF", "a/./b", strings.Repeat("x", 1025)} {
		if got := put(bad, data, nil); got.status != 400 {
			t.Errorf("key %q: %d %s", bad, got.status, got.body)
		}
	}
	f.want("registered with another size", f.send("POST", recordsPath, strings.NewReader(
		`{"kind":"recording","conversationId":"c","sessionId":"s","messageId":1,"type":"t","timestamp":"2025-12-12T14:23:45Z","objectKey":"late.opus","sizeBytes":5}`), nil),
		200, `{"lines":1,"batches":1,"agents":0,"conversations":0,"messages":0,"recordings":1,"changed":2,"tooLate":1}`)
	ahead := time.Now().Add(49 * time.Hour).UTC().Format(time.RFC3339)
	f.want("far ahead", f.send("POST", recordsPath, strings.NewReader(
		`{"kind":"recording","conversationId":"c","sessionId":"s","messageId":2,"type":"t","timestamp":"`+ahead+`","objectKey":"ahead.opus"}`), nil),
		200, `{"lines":1,"batches":1,"agents":0,"conversations":0,"messages":0,"recordings":1,"changed":1,"tooLate":0,"ahead":1}`)
	f.want("not the registered bytes", put("late.opus", data, nil), 409,
		`{"error":"The bytes are not those that are known for this object key: size or CRC-32 differ. If these bytes are right, an operator corrects the recording (callvault recording correct)."}`)
	f.want("the registered bytes", put("late.opus", data[:5], nil), 201, audioAnswer("late.opus", data[:5]))
	f.serve(f.family(f.c, ingest.Bucket{Bucket: f.bucket, Refused: domain.Errorf(domain.KindForbidden, "none is taken in")}))
	f.want("where none is taken in", put("refused.opus", data, nil), 403, `{"error":"none is taken in"}`)
}

// The line of a recording names a wrong size. Its bytes are sent before and after an operator
// corrects it. Then the line comes again.
func TestCorrectedAudio(t *testing.T) {
	f := newFixture(t)
	line := fmt.Sprintf(`{"kind":"recording","conversationId":"c","sessionId":"s","messageId":1,"type":"t","timestamp":%q,"objectKey":"a.wav","sizeBytes":5}`,
		time.Now().UTC().Add(-24*time.Hour).Format(time.RFC3339))
	put := func() answer {
		return f.send("PUT", "/api/ingest/v1/audio/a.wav", strings.NewReader("elevenbytes"), nil)
	}
	f.want("the line", f.send("POST", recordsPath, strings.NewReader(line), nil), 200,
		`{"lines":1,"batches":1,"agents":0,"conversations":0,"messages":0,"recordings":1,"changed":2,"tooLate":0}`)
	f.want("the true bytes", put(), 409,
		`{"error":"The bytes are not those that are known for this object key: size or CRC-32 differ. If these bytes are right, an operator corrects the recording (callvault recording correct)."}`)
	size := int64(11)
	_, err := f.c.Correct(t.Context(), catalog.Correction{Tenant: "acme", ObjectKey: "a.wav", Reason: "r", Size: &size})
	f.must(err)
	f.want("the true bytes, corrected", put(), 201, audioAnswer("a.wav", []byte("elevenbytes")))
	f.want("the line again", f.send("POST", recordsPath, strings.NewReader(line), nil), 200,
		`{"lines":1,"batches":1,"agents":0,"conversations":0,"messages":0,"recordings":1,"changed":0,"tooLate":0}`)
}

// TestKeyPrefix attacks an object in the bucket of a tenant with a key prefix: no other tenant gets
// it by naming its key first.
func TestKeyPrefix(t *testing.T) {
	f := newFixture(t)
	_, err := f.c.SetTenant(t.Context(), "acme", func(tenant *domain.Tenant) { tenant.KeyPrefix = "acme/" })
	f.must(err)
	_, err = f.bucket.PutStream(t.Context(), "acme/s/conf.wav", strings.NewReader("secret"), 6, "audio/wav")
	f.must(err)
	other := http.Header{"X-Organization-Id": {"other"}}
	recording := `{"kind":"recording","conversationId":"c","sessionId":"s","messageId":1,"type":"t","timestamp":"` +
		time.Now().UTC().Format(time.RFC3339) + `","objectKey":"acme/s/conf.wav"}`
	conversation := `{"kind":"conversation","conversationId":"c","agentId":"a","startTime":"2024-01-15T10:30:00Z","recording":{"objectKey":"acme/s/conf.wav"}}`
	for field, line := range map[string]string{"objectKey": recording, "recording.objectKey": conversation} {
		f.want(field, f.send("POST", recordsPath, strings.NewReader(line), other), 400,
			`{"error":"line 1: \"`+field+`\" names an object that is not this tenant's","line":1,"stored":0}`)
	}
	f.want("audio", f.send("PUT", "/api/ingest/v1/audio/acme%2Fs/conf.wav", strings.NewReader("secret"), other), 400,
		`{"error":"the object key names an object that is not this tenant's"}`)
	if _, err := conversations.New(f.c.DB()).Export(t.Context(), "other", "c", false); domain.KindOf(err) != domain.KindNotFound {
		t.Errorf("the other tenant's export: %v", err)
	}
	f.want("its own line", f.send("POST", recordsPath, strings.NewReader(recording), nil), 200,
		`{"lines":1,"batches":1,"agents":0,"conversations":0,"messages":0,"recordings":1,"changed":2,"tooLate":0}`)
	f.want("its own bytes", f.send("PUT", "/api/ingest/v1/audio/acme/s/conf.wav", strings.NewReader("secret"), nil), 200, audioAnswer("acme/s/conf.wav", []byte("secret")))
	f.want("outside", f.send("PUT", "/api/ingest/v1/audio/other/a.wav", strings.NewReader("x"), nil), 400,
		`{"error":"the object key must begin with \"acme/\", this tenant's key prefix"}`)
}

// Parts of a key may be as long as the store takes them. Longer ones are refused with the reason:
// at once, also in a line, when it is known that the store refuses them.
func TestLongParts(t *testing.T) {
	f := newFixture(t)
	long := "a/" + strings.Repeat("x", 300)
	line := `{"kind":"recording","conversationId":"c","sessionId":"s","messageId":1,"type":"t","timestamp":"2025-12-12T14:23:45Z","objectKey":"` + long + `"}`
	got := f.send("PUT", "/api/ingest/v1/audio/"+long, strings.NewReader("voice"), nil)
	if got.status != 400 || !strings.Contains(got.body, "the object store does not take this key (XMinioInvalidObjectName: ") {
		t.Errorf("MinIO: %d %s", got.status, got.body) // MinIO keeps each part as a file, so it refuses what S3 takes
	}
	if got := f.send("POST", recordsPath, strings.NewReader(line), nil); got.status != 200 {
		t.Errorf("a line: %d %s", got.status, got.body)
	}
	f.serve(f.family(f.c, embeddedKeys{ingest.Bucket{Bucket: f.bucket}}))
	const reason = "an object key has a part of more than 255 bytes, which embedded storage can't hold"
	f.want("audio", f.send("PUT", "/api/ingest/v1/audio/"+long, strings.NewReader("voice"), nil), 400, `{"error":"`+reason+`"}`)
	f.want("a line", f.send("POST", recordsPath, strings.NewReader(line), nil), 400, `{"error":"line 1: `+reason+`","line":1,"stored":0}`)
}

// embeddedKeys accepts the keys that embedded storage accepts.
type embeddedKeys struct{ ingest.Bucket }

func (embeddedKeys) CheckKey(key string) error { return new(embedded.Disk).CheckKey(key) }

// Audio that the store refuses is answered with the reason, and not as an outage.
func TestStoreRefuses(t *testing.T) {
	f := newFixture(t)
	cfg := objstoretest.MinIO(t)
	objstoretest.Open(t, cfg)
	cfg.Endpoint = testenv.HTTPProxy(t, cfg.Endpoint, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut {
			return false
		}
		w.WriteHeader(http.StatusNotImplemented)
		_, _ = io.WriteString(w, `<Error><Code>NotImplemented</Code><Message>A header is not implemented.</Message></Error>`)
		return true
	}, nil)
	store, err := objstore.New(cfg)
	f.must(err)
	t.Cleanup(store.Close)
	f.serve(f.family(f.c, ingest.Bucket{Bucket: store.Recordings()}))
	f.want("refused", f.send("PUT", "/api/ingest/v1/audio/a", strings.NewReader("voice"), nil), 500,
		`{"error":"write `+cfg.Recordings+`/a: the object store refuses this (NotImplemented: A header is not implemented.)"}`)
}

// The platform may write audio into the bucket itself, unknown to the catalog.
func TestExistingAudio(t *testing.T) {
	f := newFixture(t)
	data := []byte("some opus")
	_, err := f.bucket.PutStream(t.Context(), "there", bytes.NewReader(data), -1, "audio/ogg")
	f.must(err)
	const differs = `{"error":"The object key exists already, with other bytes."}`
	f.want("other bytes", f.send("PUT", "/api/ingest/v1/audio/there", strings.NewReader("same size"), nil), 409, differs)
	f.want("another size", f.send("PUT", "/api/ingest/v1/audio/there", strings.NewReader("x"), nil), 409, differs)
	f.want("its bytes", f.send("PUT", "/api/ingest/v1/audio/there", bytes.NewReader(data), nil), 200, audioAnswer("there", data))
}

func TestConcurrentUploads(t *testing.T) {
	f := newFixture(t)
	for round := range 5 {
		path := fmt.Sprintf("/api/ingest/v1/audio/meet/%d", round)
		statuses := make([]int, 4)
		var group sync.WaitGroup
		for i := range statuses {
			group.Go(func() {
				// Two callers send the same bytes, two others do not.
				statuses[i] = f.send("PUT", path, strings.NewReader(fmt.Sprintf("bytes %d", max(i, 1))), nil).status
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
	f := newFixture(t)
	data := bytes.Repeat([]byte("0123456789abcdef"), 20<<16) // 20 MiB: several parts
	wrong := http.Header{"X-Checksum-Crc32": {"00000000"}}
	if got := f.send("PUT", "/api/ingest/v1/audio/big", io.MultiReader(bytes.NewReader(data)), wrong); got.status != 400 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	f.want("streamed", f.send("PUT", "/api/ingest/v1/audio/big", io.MultiReader(bytes.NewReader(data)), nil), 201, audioAnswer("big", data))
	f.want("again", f.send("PUT", "/api/ingest/v1/audio/big", io.MultiReader(bytes.NewReader(data)), nil), 200, audioAnswer("big", data))
}

package ingest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
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
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
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
		_, err = c.CreateTenant(t.Context(), domain.Tenant{ID: id, RetentionDays: 3, DayLimit: 5, DownloadLimit: 5}, audit.Origin{})
		f.must(err)
	}
	store := objstoretest.Open(t, objstoretest.MinIO(t))
	f.bucket = store.Recordings()
	f.serve(f.family(c, f.bucket))
	return f
}

func (f *fixture) family(c ingest.Catalog, audio ingest.Audio) web.Family {
	return ingest.New(ingest.Deps{Internal: internalToken(), Catalog: c, Audio: audio, Log: zap.NewNop()})
}

func internalToken() *web.SharedToken {
	return web.NewSharedToken("CALLVAULT_INTERNAL_TOKEN", "secret", zap.NewNop(), time.Now)
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
		`{"lines":4,"batches":1,"agents":1,"conversations":1,"messages":1,"recordings":1,"totals":0,"changed":4,"tooLate":1}`)
	f.want("again", f.send("POST", recordsPath, strings.NewReader(all), nil), 200,
		`{"lines":4,"batches":1,"agents":1,"conversations":1,"messages":1,"recordings":1,"totals":0,"changed":0,"tooLate":0}`)
	f.want("nothing", f.send("POST", recordsPath, strings.NewReader(""), nil), 200,
		`{"lines":0,"batches":0,"agents":0,"conversations":0,"messages":0,"recordings":0,"totals":0,"changed":0,"tooLate":0}`)
	f.want("a bad line", f.send("POST", recordsPath, strings.NewReader(messages(1, 5003)+`{"kind":"message"}`+"\n"+messages(6000, 6003)), nil), 400,
		`{"error":"line 5003: \"messageId\" is missing","line":5003,"stored":5000}`)
	f.want("what was stored", f.send("POST", recordsPath, strings.NewReader(messages(1, 5003)), nil), 200,
		`{"lines":5002,"batches":2,"agents":0,"conversations":0,"messages":5002,"recordings":0,"totals":0,"changed":2,"tooLate":0}`)
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
	for range 6 { // four were sent above
		f.send("PUT", "/api/ingest/v1/audio/k", http.NoBody, http.Header{"X-Internal-Token": {"guess"}})
	}
	limited := f.send("POST", recordsPath, http.NoBody, http.Header{"X-Internal-Token": {"guess"}})
	f.want("after ten wrong tokens", limited, 429, `{"error":"Too many wrong tokens came from this address. Try again later, or with the right one."}`)
	if limited.header.Get("Retry-After") == "" {
		t.Error("a 429 without Retry-After")
	}
	f.want("no token after these", f.send("POST", recordsPath, http.NoBody, http.Header{"X-Internal-Token": nil}), 401, noToken)
	f.want("the right one after these", f.send("POST", recordsPath, http.NoBody, nil), 200,
		`{"lines":0,"batches":0,"agents":0,"conversations":0,"messages":0,"recordings":0,"totals":0,"changed":0,"tooLate":0}`)
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
	closed := ingest.New(ingest.Deps{Catalog: f.c, Log: zap.NewNop()})
	f.serve(closed)
	f.want("no token is configured", f.send("POST", recordsPath, http.NoBody, http.Header{"X-Internal-Token": {""}}), 401, noToken)
}

// failingCatalog registers some batches and then fails.
type failingCatalog struct {
	ingest.Catalog
	succeed int // how many batches it still registers
}

func (c *failingCatalog) Register(ctx context.Context, tenant string, batch catalog.Batch) (catalog.Counts, error) {
	if c.succeed--; c.succeed < 0 {
		return catalog.Counts{}, domain.Errorf(domain.KindUnavailable, "connection refused by 10.0.0.1")
	}
	return c.Catalog.Register(ctx, tenant, batch)
}

func TestCatalogDown(t *testing.T) {
	f := newFixture(t)
	f.serve(f.family(&failingCatalog{Catalog: f.c, succeed: 1}, f.bucket))
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

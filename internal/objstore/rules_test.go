package objstore_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/lifecycle"

	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
)

func s3(t *testing.T, cfg objstore.Config) *minio.Client {
	t.Helper()
	endpoint, err := url.Parse(cfg.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	client, err := minio.New(endpoint.Host, &minio.Options{Creds: credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, "")})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// between opens a store behind a proxy that answers some requests itself.
func between(t *testing.T, cfg objstore.Config, mine func(http.ResponseWriter, *http.Request) bool) *objstore.Store {
	t.Helper()
	to, err := url.Parse(cfg.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !mine(rw, r) {
			proxy.ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(server.Close)
	cfg.Endpoint = server.URL
	store, err := objstore.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

// TestSetRulesOnMinIO: no rule ends objects, and rules of others stay.
func TestSetRulesOnMinIO(t *testing.T) {
	cfg := objstoretest.MinIO(t)
	store, client := objstoretest.Open(t, cfg), s3(t, cfg)
	rule := func(id, prefix string, days int) lifecycle.Rule {
		return lifecycle.Rule{ID: id, Status: "Enabled", RuleFilter: lifecycle.Filter{Prefix: prefix},
			Expiration: lifecycle.Expiration{Days: lifecycle.ExpirationDays(days)}}
	}
	if err := client.SetBucketLifecycle(t.Context(), cfg.Archives, &lifecycle.Configuration{Rules: []lifecycle.Rule{rule("own", "tmp/", 1)}}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutObject(t.Context(), cfg.Archives, "contract.pdf", strings.NewReader("x"), 1, minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	ends := func() bool {
		t.Helper()
		o, err := client.StatObject(t.Context(), cfg.Archives, "contract.pdf", minio.StatObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return !o.Expiration.IsZero()
	}
	for range 2 { // a repeat changes nothing
		if err := store.SetRules(t.Context(), "callvault"); err != nil {
			t.Fatal(err)
		}
		if ends() {
			t.Error("another team's contract.pdf has an end")
		}
		list, err := store.Archives().Rules(t.Context())
		if err != nil || len(list) == 0 || list[0].ID != "own" || list[0].Days != 1 || list[0].Prefix != "tmp/" {
			t.Errorf("the archives' rules are %+v, error %v", list, err)
		}
		for _, r := range list[1:] {
			if r.Ends {
				t.Errorf("callvault sets %+v", r)
			}
		}
		if list, err := store.Recordings().Rules(t.Context()); err != nil || len(list) > 0 {
			t.Errorf("the recordings' rules are %+v, error %v", list, err)
		}
	}
}

// TestSetRulesKeepsWhatItDoesNotKnow: other rules keep fields that minio-go does not know.
func TestSetRulesKeepsWhatItDoesNotKnow(t *testing.T) {
	cfg := objstoretest.MinIO(t)
	objstoretest.Open(t, cfg)
	own := `<ID>own</ID><Status>Enabled</Status><Filter><Prefix>a &amp; b/</Prefix></Filter><Transition><Days>1</Days><StorageClass>X</StorageClass></Transition>` +
		`<Transition><Days>9</Days><StorageClass>Y</StorageClass></Transition><Unheard><Of>1</Of></Unheard>`
	second := `<Rule><ID>callvault-abort-uploads-other</ID><Status>Enabled</Status><Filter><Prefix>other/archives/</Prefix></Filter></Rule>`
	texts := map[string]string{}
	for _, bucket := range []string{cfg.Recordings, cfg.Archives} {
		texts["/"+bucket+"/"] = `<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule>` + own + `</Rule>` + second + `</LifecycleConfiguration>`
	}
	store := between(t, cfg, func(rw http.ResponseWriter, r *http.Request) bool {
		switch {
		case !r.URL.Query().Has("lifecycle"):
			return false
		case r.Method == http.MethodPut:
			text, _ := io.ReadAll(r.Body)
			if r.Header.Get("Content-Md5") == "" {
				rw.WriteHeader(http.StatusBadRequest)
			}
			texts[r.URL.Path] = string(text)
		default:
			_, _ = fmt.Fprint(rw, texts[r.URL.Path])
		}
		return true
	})
	for range 2 {
		if err := store.SetRules(t.Context(), "callvault"); err != nil {
			t.Fatal(err)
		}
	}
	for bucket, ids := range map[string]string{
		cfg.Recordings: "own callvault-abort-uploads-other",
		cfg.Archives:   "own callvault-abort-uploads-other callvault-abort-uploads-callvault",
	} {
		text := texts["/"+bucket+"/"]
		var got []string
		for _, m := range regexp.MustCompile(`<ID>([^<]*)</ID>`).FindAllStringSubmatch(text, -1) {
			got = append(got, m[1])
		}
		if strings.Join(got, " ") != ids || !strings.Contains(text, "<Rule>"+own+"</Rule>") {
			t.Errorf("%s has the rules %v: %s", bucket, got, text)
		}
		if bucket == cfg.Archives && !strings.Contains(text, "<Filter><Prefix>callvault/archives/</Prefix></Filter><AbortIncompleteMultipartUpload>") {
			t.Errorf("the rule for unfinished uploads is for more than callvault's: %s", text)
		}
	}
}

// TestRemoveFreesVersions: in a bucket that keeps versions, a removal deletes all versions of this
// key and of no other.
func TestRemoveFreesVersions(t *testing.T) {
	cfg := objstoretest.MinIO(t)
	store, client := objstoretest.Open(t, cfg), s3(t, cfg)
	put := func(key string) {
		t.Helper()
		if _, err := store.Archives().Put(t.Context(), key, []byte(key), objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	versions := func(key string) (n int) {
		t.Helper()
		for v := range client.ListObjectsIter(t.Context(), cfg.Archives, minio.ListObjectsOptions{Prefix: key, Recursive: true, WithVersions: true}) {
			if v.Err != nil {
				t.Fatal(v.Err)
			}
			if v.Key == key {
				n++
			}
		}
		return n
	}
	put("a/1.zip") // before versioning is switched on, so it has the version null
	if err := client.EnableVersioning(t.Context(), cfg.Archives); err != nil {
		t.Fatal(err)
	}
	put("a/1.zip")
	for _, neighbour := range []string{"a/1.zip2", "a/1.zip.d/x", "a/1"} {
		put(neighbour)
		put(neighbour)
	}
	if err := client.RemoveObject(t.Context(), cfg.Archives, "a/1.zip", minio.RemoveObjectOptions{}); err != nil { // a marker
		t.Fatal(err)
	}
	put("a/1.zip")
	if n := versions("a/1.zip"); n != 4 {
		t.Fatalf("%d versions are to go, want 4", n)
	}
	remove := func(key string) {
		t.Helper()
		if err := store.Archives().Remove(t.Context(), key); err != nil {
			t.Error(err)
		}
		if n := versions(key); n > 0 {
			t.Errorf("%d versions of %s are left", n, key)
		}
	}
	for query, right := range map[string]string{"versions": "s3:ListBucketVersions", "versionId": "s3:DeleteObjectVersion"} {
		lacking := between(t, cfg, func(rw http.ResponseWriter, r *http.Request) bool {
			if !r.URL.Query().Has(query) {
				return false
			}
			rw.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(rw, `<Error><Code>AccessDenied</Code></Error>`)
			return true
		})
		if err := lacking.Archives().Remove(t.Context(), "a/1.zip"); err == nil || !strings.Contains(err.Error(), right) {
			t.Errorf("without the right %s: %v", right, err)
		}
	}
	remove("a/1.zip")
	remove("a/1.zip") // it leaves no delete marker either
	if err := client.SuspendVersioning(t.Context(), cfg.Archives); err != nil {
		t.Fatal(err)
	}
	put("a/1") // replaces the version null only
	if n := versions("a/1"); n != 3 {
		t.Errorf("%d versions of a/1, want 3", n)
	}
	remove("a/1")
	for _, neighbour := range []string{"a/1.zip2", "a/1.zip.d/x"} {
		if n := versions(neighbour); n != 2 {
			t.Errorf("%d versions of %s are left, want 2", n, neighbour)
		}
	}
}

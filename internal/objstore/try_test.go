package objstore_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
	"github.com/callvault/callvault/internal/testenv"
)

// fault is a store's deviation from S3.
type fault struct {
	mine   func(w http.ResponseWriter, r *http.Request) bool
	change func(r *http.Response) error
	lacks  []string
	stays  int // probes
}

func answer(w http.ResponseWriter, status int, code string) bool {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `<Error><Code>%s</Code></Error>`, code)
	return true
}

// lie replaces a refusal by 200.
func lie(r *http.Response, body string) {
	r.StatusCode, r.Status = http.StatusOK, "200 OK"
	r.Header = http.Header{"Etag": {`"aaaa"`}, "Content-Type": {"application/xml"}}
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
}

func hasChecksum(h http.Header) bool {
	for name := range h {
		if strings.HasPrefix(name, "X-Amz-Checksum-") || strings.HasPrefix(name, "X-Amz-Sdk-Checksum") {
			return true
		}
	}
	return false
}

func faults() map[string]fault {
	return map[string]fault{
		"all is well": {},
		"If-None-Match is passed over": {change: func(r *http.Response) error {
			if r.StatusCode == http.StatusPreconditionFailed && r.Request.Header.Get("If-None-Match") != "" {
				lie(r, `<CompleteMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><ETag>"aaaa"</ETag></CompleteMultipartUploadResult>`)
			}
			return nil
		}, lacks: []string{objstore.CanPutOnce, objstore.CanCompleteOnce}},
		"If-None-Match is refused": {mine: func(w http.ResponseWriter, r *http.Request) bool {
			return r.Header.Get("If-None-Match") != "" && answer(w, http.StatusNotImplemented, "NotImplemented")
		}, lacks: []string{objstore.CanPutOnce, objstore.CanCompleteOnce}},
		"checksums are refused": {mine: func(w http.ResponseWriter, r *http.Request) bool {
			return hasChecksum(r.Header) && answer(w, http.StatusBadRequest, "InvalidArgument")
		}, lacks: []string{objstore.CanChecksum}},
		"weak ETags": {change: func(r *http.Response) error {
			if tag := r.Header.Get("ETag"); tag != "" && r.Request.Method != http.MethodPut {
				r.Header.Set("ETag", "W/"+tag)
			}
			return nil
		}, lacks: []string{objstore.CanMatch}},
		"no ranges": {change: func(r *http.Response) error {
			r.Header.Del("Content-Range")
			return nil
		}, lacks: []string{objstore.CanRange}},
		"403 for what is not there": {change: func(r *http.Response) error {
			if r.StatusCode == http.StatusNotFound {
				r.StatusCode, r.Status = http.StatusForbidden, "403 Forbidden"
				r.Header.Del("X-Minio-Error-Code")
				r.Header.Del("Content-Length")
				r.Body, r.ContentLength = http.NoBody, 0
			}
			return nil
		}, lacks: []string{objstore.CanTellAbsent}},
		"no uploads in parts": {mine: func(w http.ResponseWriter, r *http.Request) bool {
			return r.URL.Query().Has("uploads") && answer(w, http.StatusNotImplemented, "NotImplemented")
		}, lacks: []string{objstore.CanUpload, objstore.CanCompleteOnce}},
		"nothing is deleted": {mine: func(w http.ResponseWriter, r *http.Request) bool {
			return r.Method == http.MethodDelete && !r.URL.Query().Has("uploadId") && answer(w, http.StatusForbidden, "AccessDenied")
		}, lacks: []string{objstore.CanDelete}, stays: 1},
		"nothing is written": {mine: func(w http.ResponseWriter, r *http.Request) bool {
			return r.Method == http.MethodPut && answer(w, http.StatusForbidden, "AccessDenied")
		}, lacks: []string{objstore.CanWrite}},
	}
}

// TestTry tries stores that lack a capability: the result names it, and no probe stays.
func TestTry(t *testing.T) {
	for name, f := range faults() {
		t.Run(name, func(t *testing.T) {
			cfg := objstoretest.MinIO(t)
			objstoretest.Open(t, cfg)
			cfg.Endpoint = testenv.HTTPProxy(t, cfg.Endpoint, f.mine, f.change)
			store, err := objstore.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			results, err := store.Archives().Try(t.Context(), "callvault/probes/", true)
			if err != nil {
				t.Fatal(err)
			}
			var lacks []string
			for _, r := range results {
				if !r.Has && r.Name != objstore.CanLongParts { // MinIO has none
					lacks = append(lacks, r.Name)
				}
				if r.Has != (r.Saw == "") {
					t.Errorf("%+v", r)
				}
			}
			slices.Sort(lacks)
			slices.Sort(f.lacks)
			if !slices.Equal(lacks, f.lacks) {
				t.Errorf("it lacks %v, want %v: %+v", lacks, f.lacks, results)
			}
			if keys := testenv.MinIO(t).Keys(t, cfg.Archives); len(keys) != f.stays {
				t.Errorf("it left %v", keys)
			}
			if slices.Contains(lacks, objstore.CanChecksum) {
				if _, err := store.Recordings().PutStream(t.Context(), "a", bytes.NewReader(make([]byte, objstore.PartSize+1)), -1, ""); err != nil {
					t.Error("it is not left out: ", err)
				}
				if _, err := store.Recordings().Stat(t.Context(), "a"); err != nil {
					t.Error("it is not left out: ", err)
				}
				wrong := uint32(1)
				if _, err := store.Recordings().Put(t.Context(), "b", nil, objstore.PutOptions{CRC32: &wrong}); domain.KindOf(err) != domain.KindStoreFault {
					t.Error("nobody compares it: ", err)
				}
			}
		})
	}
}

// TestTryBesideAnother: two trials of a bucket at once do not disturb each other, although each may
// see the other's probe.
func TestTryBesideAnother(t *testing.T) {
	cfg := objstoretest.MinIO(t)
	archives := objstoretest.Open(t, cfg).Archives()
	cfg.Endpoint = testenv.HTTPProxy(t, cfg.Endpoint, nil, func(r *http.Response) error {
		if r.Request.Method != http.MethodDelete || !strings.HasSuffix(r.Request.URL.Path, "/probe") {
			return nil
		}
		_, err := archives.Put(t.Context(), "callvault/probes/probe", []byte("another's"), objstore.PutOptions{})
		return err
	})
	results, err := objstoretest.Open(t, cfg).Archives().Try(t.Context(), "callvault/probes/", true)
	if err != nil || slices.ContainsFunc(results, func(r domain.Capability) bool { return !r.Has && r.Name != objstore.CanLongParts }) {
		t.Errorf("%+v, %v", results, err)
	}
}

// TestTryNeedsAnAnswer: a store that does not answer is an error and not a missing capability.
func TestTryNeedsAnAnswer(t *testing.T) {
	cfg := objstoretest.MinIO(t)
	cfg.Endpoint = "http://127.0.0.1:1"
	store, err := objstore.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if results, err := store.Archives().Try(t.Context(), "callvault/probes/", true); domain.KindOf(err) != domain.KindUnavailable {
		t.Errorf("%+v, %v", results, err)
	}
}

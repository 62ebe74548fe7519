package bench_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"
)

// madeUp serves a bucket of recordings whose objects are made up while they are read. It passes all
// other requests on to the real store.
func madeUp(t testing.TB, endpoint, bucket string, size func(key string) int64) string {
	t.Helper()
	store, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	behind := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(store)
		r.Out.Host = r.In.Host // the signature covers it
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, ours := strings.CutPrefix(r.URL.Path, "/"+bucket+"/")
		if !ours || key == "" {
			behind.ServeHTTP(w, r)
			return
		}
		w.Header().Set("ETag", `"made-up"`)
		w.Header().Set("Content-Type", "audio/ogg")
		http.ServeContent(w, r, "", time.Unix(1_700_000_000, 0), &zeros{size: size(key)})
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// zeros is a file of zeros.
type zeros struct{ at, size int64 }

func (z *zeros) Read(p []byte) (int, error) {
	n := int(min(int64(len(p)), z.size-z.at))
	if n <= 0 {
		return 0, io.EOF
	}
	clear(p[:n])
	z.at += int64(n)
	return n, nil
}

func (z *zeros) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += z.at
	case io.SeekEnd:
		offset += z.size
	}
	if offset < 0 {
		return 0, errors.New("before the beginning")
	}
	z.at = offset
	return offset, nil
}

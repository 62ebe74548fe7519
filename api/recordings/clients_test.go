package recordings_test

import (
	"bytes"
	"crypto/rand"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/testenv"
)

// bucket is the archives' bucket of a real store, as apitest.BuildHour needs it.
type bucket struct {
	t *testing.T
	*objstore.Bucket
}

func (b bucket) Put(key string, data []byte) {
	b.t.Helper()
	sum := crc32.ChecksumIEEE(data)
	if _, err := b.Bucket.Put(b.t.Context(), key, data, objstore.PutOptions{ContentType: "application/zip", CRC32: &sum, IfNoneMatch: true}); err != nil {
		b.t.Fatal(err)
	}
}

// served is a fixture over a real store, behind a real listener, with one archive of 20 MB.
type served struct {
	*fixture
	link, name, dir string
	data            []byte
}

func newServed(t *testing.T, redirect bool) *served {
	t.Helper()
	s3 := testenv.MinIO(t)
	store, err := objstore.New(objstore.Config{Endpoint: s3.Endpoint, Region: s3.Region, AccessKey: s3.AccessKey, SecretKey: s3.SecretKey,
		Recordings: s3.NewBucket(t, "recordings"), Archives: s3.NewBucket(t, "archives")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	s := &served{fixture: newFixture(t, apitest.SQLite(t)), data: make([]byte, 20<<20), dir: t.TempDir()}
	_, _ = rand.Read(s.data) // crypto/rand never fails
	archives := bucket{t, store.Archives()}
	s.set(func(t *domain.Tenant) { t.DownloadLimit = 100 })
	s.objects, s.redirect = archives, redirect
	s.handler = s.replica(s.cat)
	apitest.BuildHour(t, s.cat, archives, domain.HourKey{Tenant: "acme", Day: s.day, Hour: 14}, s.data)
	server := httptest.NewServer(s.handler)
	t.Cleanup(server.Close)
	s.link = server.URL + s.fixture.link(14)
	s.name = "acme_" + string(s.day) + "_14.zip"
	return s
}

// run runs a program in the directory of downloads.
func (s *served) run(name string, args ...string) {
	s.Helper()
	cmd := exec.CommandContext(s.Context(), name, args...)
	cmd.Dir = s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		s.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// writePart writes the first bytes of the archive into a file, like an interrupted download.
func (s *served) writePart(file string) {
	s.Helper()
	s.must(os.WriteFile(filepath.Join(s.dir, file), s.data[:1<<20], 0o600))
}

func (s *served) wantWhole(file string) {
	s.Helper()
	got, err := os.ReadFile(filepath.Join(s.dir, file))
	s.must(err)
	if !bytes.Equal(got, s.data) {
		s.Fatalf("%s has %d bytes and is not the archive", file, len(got))
	}
}

// TestClients downloads with common clients, whole and resumed, in both modes.
func TestClients(t *testing.T) {
	for name, redirect := range map[string]bool{"proxy": false, "redirect": true} {
		t.Run(name, func(t *testing.T) {
			s := newServed(t, redirect)
			s.run("curl", "-fsSL", "-o", "curl.zip", s.link)
			s.wantWhole("curl.zip")
			s.run("curl", "-fsSLOJ", s.link)
			s.wantWhole(s.name)
			s.writePart("resumed.zip")
			s.run("curl", "-fsSL", "-C", "-", "-o", "resumed.zip", s.link)
			s.wantWhole("resumed.zip")
			s.run("wget", "-q", "-O", "wget.zip", s.link)
			s.wantWhole("wget.zip")
			s.writePart("wget.zip")
			s.run("wget", "-q", "-c", "-O", "wget.zip", s.link)
			s.wantWhole("wget.zip")
			if !redirect { // wget would send HEAD to the presigned URL, which allows only GET
				s.writePart(s.name)
				s.run("wget", "-q", "-c", "--content-disposition", s.link)
				s.wantWhole(s.name)
			}
			s.run("python3", "-c", `import sys, shutil, urllib.request
with urllib.request.urlopen(sys.argv[1]) as r, open("python.zip", "wb") as f:
    assert r.headers["Content-Type"] == "application/zip", r.headers
    assert r.headers.get_filename() == sys.argv[2], r.headers
    shutil.copyfileobj(r, f)`, s.link, s.name)
			s.wantWhole("python.zip")
			s.run("node", "--input-type=module", "-e", `import { writeFile } from "node:fs/promises";
const r = await fetch(process.argv[1]);
if (r.status !== 200) throw new Error(String(r.status));
await writeFile("node.zip", Buffer.from(await r.arrayBuffer()));`, s.link)
			s.wantWhole("node.zip")
			s.goClient()
			s.onlyTheRest(redirect)
			s.ifRange()
			s.ranges()
		})
	}
}

// A request that continues a download is not counted, so it must not give the whole archive.
func (s *served) onlyTheRest(redirect bool) {
	s.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	get := func(url, asked string) *http.Response {
		r, err := http.NewRequestWithContext(s.Context(), http.MethodGet, url, nil)
		s.must(err)
		if asked != "" {
			r.Header.Set("Range", asked)
		}
		resp, err := client.Do(r)
		s.must(err)
		s.must(resp.Body.Close())
		return resp
	}
	resp := get(s.link, "bytes=1-")
	if !redirect {
		if resp.StatusCode != http.StatusPartialContent {
			s.Fatalf("the rest: %d", resp.StatusCode)
		}
		return
	}
	target := resp.Header.Get("Location")
	for asked, given := range map[string]bool{"": false, "bytes=0-": false, "bytes=1-": true} {
		if resp := get(target, asked); (resp.StatusCode == http.StatusPartialContent) != given || resp.StatusCode == http.StatusOK {
			s.Errorf("sent on with bytes=1-, then asked for %q: %d", asked, resp.StatusCode)
		}
	}
}

// ifRange resumes with the ETag of this archive, and with that of another, which gets all bytes.
func (s *served) ifRange() {
	s.Helper()
	do := func(method string, headers ...string) (*http.Response, []byte) {
		r, err := http.NewRequestWithContext(s.Context(), method, s.link, nil)
		s.must(err)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		resp, err := http.DefaultClient.Do(r)
		s.must(err)
		got, err := io.ReadAll(resp.Body)
		s.must(err)
		s.must(resp.Body.Close())
		return resp, got
	}
	head, _ := do(http.MethodHead)
	for named, status := range map[string]int{
		head.Header.Get("ETag"): http.StatusPartialContent, `"of the former revision"`: http.StatusOK, "Mon, 15 Jan 2024 10:30:00 GMT": http.StatusOK,
	} {
		want := s.data
		if status == http.StatusPartialContent {
			want = s.data[1<<20:]
		}
		if resp, got := do(http.MethodGet, "Range", "bytes=1048576-", "If-Range", named); resp.StatusCode != status || !bytes.Equal(got, want) {
			s.Errorf("If-Range %s: %d, %d bytes", named, resp.StatusCode, len(got))
		}
	}
}

// ranges asks for several ranges by curl, also for ranges that touch or overlap.
func (s *served) ranges() {
	s.Helper()
	for _, asked := range []string{"0-9,10-", "5-9,10-19,20-", "0-9,5-14", "7-9,0-9,0-3", "20-29,-5"} {
		s.run("curl", "-fsSL", "-H", "Authorization: Bearer x", "-r", asked, "-o", "ranges", s.link)
	}
}

// goClient downloads with Go's client. It keeps the Authorization header when it follows a redirect
// to another port of the same host, which stores refuse. So such a request is not redirected.
func (s *served) goClient() {
	s.Helper()
	for _, authorization := range []string{"", "Bearer " + s.token} {
		r, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.link, nil)
		s.must(err)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		resp, err := http.DefaultClient.Do(r)
		s.must(err)
		got, err := io.ReadAll(resp.Body)
		s.must(err)
		s.must(resp.Body.Close())
		if resp.StatusCode != http.StatusOK || !bytes.Equal(got, s.data) || !strings.Contains(resp.Header.Get("Content-Disposition"), s.name) {
			s.Fatalf("%d, %d bytes, %v", resp.StatusCode, len(got), resp.Header)
		}
	}
}

package docs_test

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api"
)

// documented gives a family without endpoints for every OpenAPI document of the program.
func documented(t *testing.T) []api.Family {
	t.Helper()
	paths, err := filepath.Glob("../*/openapi.yaml")
	if err != nil || len(paths) < 7 {
		t.Fatalf("%d documents, %v", len(paths), err)
	}
	families := make([]api.Family, 0, len(paths))
	for _, path := range paths {
		spec, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		families = append(families, api.Family{Name: filepath.Base(filepath.Dir(path)), Owns: func(string) bool { return false }, Spec: spec})
	}
	return families
}

// handler is the router of a public URL with a path.
func handler(families []api.Family) http.Handler {
	return api.New(api.Config{BasePath: "/vault"}, api.Deps{Families: families, Log: zap.NewNop(), Now: time.Now})
}

func ask(h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPageListsEveryDocument(t *testing.T) {
	families := documented(t)
	h := handler(families)
	a := ask(h, "GET", "/docs")
	page := a.Body.String()
	if a.Code != 200 || a.Header().Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(a.Header().Get("Content-Security-Policy"), "default-src 'none'") {
		t.Fatalf("%d %v", a.Code, a.Header())
	}
	for _, f := range families {
		if !strings.Contains(page, `href="docs/openapi/`+f.Name+`.yaml"`) {
			t.Errorf("%s is not listed:\n%s", f.Name, page)
		}
		a := ask(h, "GET", "/docs/openapi/"+f.Name+".yaml")
		if a.Code != 200 || a.Header().Get("Content-Type") != "application/yaml" || a.Body.String() != strings.Replace(string(f.Spec), "  - url: /\n", "  - url: /vault\n", 1) || a.Body.String() == string(f.Spec) {
			t.Errorf("%s: %d %v %.400s", f.Name, a.Code, a.Header(), a.Body)
		}
	}
	for _, title := range []string{">Daily recordings<", ">Admin<", ">Tokens<"} {
		if !strings.Contains(page, title) {
			t.Errorf("the page does not show %s:\n%s", title, page)
		}
	}
}

func TestOnlyWhatIsDescribedHere(t *testing.T) {
	var without []api.Family
	for _, f := range documented(t) {
		if f.Name != "admin" {
			without = append(without, f)
		}
	}
	h := handler(without)
	if a := ask(h, "GET", "/docs/openapi/admin.yaml"); a.Code != 404 || strings.Contains(ask(h, "GET", "/docs").Body.String(), "admin") {
		t.Errorf("the admin's document is shown: %d", a.Code)
	}
	if a := ask(handler(nil), "GET", "/docs"); a.Code != 404 {
		t.Errorf("a page of no document answers %d", a.Code)
	}
}

func TestAnswers(t *testing.T) {
	h := handler(documented(t))
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/docs/nothing", 404, `{"error":"Not Found"}`},
		{"GET", "/docs/assets/", 404, `{"error":"Not Found"}`},
		{"POST", "/docs", 405, `{"error":"Method Not Allowed"}`},
		{"PROPFIND2", "/docs/assets/start.js", 405, `{"error":"Method Not Allowed"}`},
		{"GET", "/docs/", 308, ""},
		{"HEAD", "/docs", 200, ""},
	} {
		a := ask(h, c.method, c.path)
		if a.Code != c.status || strings.TrimSpace(a.Body.String()) != c.body {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.Code, a.Body)
		}
		if c.status == 405 && a.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s %s: Allow is %q", c.method, c.path, a.Header().Get("Allow"))
		}
	}
	if to := ask(h, "GET", "/docs/").Header().Get("Location"); to != "../docs" {
		t.Errorf("/docs/ leads to %q", to)
	}
}

func TestViewerIsServedPackedAndPlain(t *testing.T) {
	h := handler(documented(t))
	plain := ask(h, "GET", "/docs/assets/scalar.js")
	packed := ask(h, "GET", "/docs/assets/scalar.js", "Accept-Encoding", "br, gzip")
	if packed.Header().Get("Content-Encoding") != "gzip" || plain.Header().Get("Content-Encoding") != "" || plain.Header().Get("Vary") != "Accept-Encoding" {
		t.Fatalf("%v\n%v", plain.Header(), packed.Header())
	}
	unpacked, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	script, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	if string(script) != plain.Body.String() || len(script) < 1<<20 {
		t.Errorf("unpacked it has %d bytes, plain %d", len(script), plain.Body.Len())
	}
	recipe, err := os.ReadFile("viewer/fetch")
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(script); !strings.Contains(string(recipe), "bundle="+hex.EncodeToString(sum[:])+" ") {
		t.Errorf("viewer/fetch fetches another viewer than %x", sum)
	}
	again := ask(h, "GET", "/docs/assets/scalar.js", "If-None-Match", packed.Header().Get("ETag"))
	if again.Code != 304 || again.Body.Len() != 0 {
		t.Errorf("a browser that has it gets %d with %d bytes", again.Code, again.Body.Len())
	}
}

// slowBrowser reads 8 KiB/s.
type slowBrowser struct {
	*httptest.ResponseRecorder
	deadline time.Time
}

func (b *slowBrowser) SetWriteDeadline(at time.Time) error {
	b.deadline = at
	return nil
}

func (b *slowBrowser) Write(p []byte) (int, error) {
	time.Sleep(time.Duration(len(p)) * time.Second / (8 << 10))
	if !b.deadline.IsZero() && time.Now().After(b.deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	return b.ResponseRecorder.Write(p)
}

// The viewer is large. A slow browser gets all of it.
func TestSlowBrowser(t *testing.T) {
	h := handler(documented(t))
	for _, encoding := range []string{"gzip", ""} {
		whole := ask(h, "GET", "/docs/assets/scalar.js", "Accept-Encoding", encoding)
		synctest.Test(t, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/docs/assets/scalar.js", http.NoBody)
			r.Header.Set("Accept-Encoding", encoding)
			slow := &slowBrowser{ResponseRecorder: httptest.NewRecorder()}
			h.ServeHTTP(slow, r)
			if slow.Body.Len() != whole.Body.Len() {
				t.Errorf("encoding %q: %d of %d bytes", encoding, slow.Body.Len(), whole.Body.Len())
			}
		})
	}
}

package web

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/domain"
)

func TestWantsNDJSON(t *testing.T) {
	for accept, want := range map[string]bool{
		"":                                    false,
		"*/*":                                 false,
		"application/json":                    false,
		"application/x-ndjson":                true,
		"Application/X-NDJSON; charset=utf-8": true,
		"application/x-ndjson;q=0":            false,
		"application/x-ndjson;q=x":            false,
		"application/json, application/x-ndjson;q=0.5":      false,
		"application/json;q=0.4,application/x-ndjson;q=0.5": true,
		"text/html, application/x-ndjson, */*;q=0.1":        true,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		if got := WantsNDJSON(r); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
}

func TestParseExportQuery(t *testing.T) {
	for raw, want := range map[string]string{
		"a=1&start_time=%zz":   "start_time",
		"a=1&cursor=1;2":       "cursor",
		"%zz=1":                "",
		"A%0d%0a=%zz":          "",
		"end_time=%&x=1":       "end_time",
		"a=1&per_page=3&&b=%2": "b",
	} {
		_, name, err := ParseExportQuery(raw)
		if domain.KindOf(err) != domain.KindInvalid || name != want || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v", raw, name, err)
		}
	}
	if q, _, err := ParseExportQuery("a=%31"); err != nil {
		t.Error(err)
	} else if v, _, err := q.Text("a", 9); v != "1" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
}

func TestStream(t *testing.T) {
	var sent strings.Builder
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stream := NewStream(w)
		for _, n := range []int{1, streamBuffer - 1, streamBuffer, 3 * streamBuffer, 0, 10} {
			piece := strings.Repeat("x", n) + "\n"
			sent.WriteString(piece)
			if got, err := stream.Append(func(to []byte) ([]byte, error) { return append(to, piece...), nil }); err != nil || got != len(piece) {
				t.Errorf("%d of %d bytes: %v", got, len(piece), err)
			}
			refused := errors.New("refused")
			if _, err := stream.Append(func(to []byte) ([]byte, error) { return append(to, "half a line"...), refused }); !errors.Is(err, refused) {
				t.Error(err)
			}
		}
		if err := stream.Flush(); err != nil {
			t.Error(err)
		}
		if r.URL.Path == "/broken" {
			Abort()
		}
	}))
	defer server.Close()
	for _, path := range []string{"/", "/broken"} {
		sent.Reset()
		answer, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if string(got) != sent.String() {
			t.Errorf("%s: %d bytes came, %d were sent", path, len(got), sent.Len())
		}
		if broken := err != nil; broken != (path == "/broken") {
			t.Errorf("%s ended with %v", path, err)
		}
	}
}

package web_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/domain"
)

// plainSigner signs with a checksum: enough to show what a cursor is bound to.
type plainSigner struct{}

func (plainSigner) Sign(_ context.Context, purpose auth.Purpose, about string, payload []byte) string {
	sum := sha256.Sum256([]byte(string(purpose) + "|" + about + "|" + string(payload)))
	return base64.RawURLEncoding.EncodeToString(payload) + "." + hex.EncodeToString(sum[:])
}

func (s plainSigner) Verify(ctx context.Context, purpose auth.Purpose, about, token string) ([]byte, error) {
	text, _, _ := strings.Cut(token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || s.Sign(ctx, purpose, about, payload) != token {
		return nil, domain.Errorf(domain.KindUnauthorized, "not genuine")
	}
	return payload, nil
}

type position struct {
	At int64  `json:"a"`
	ID string `json:"i"`
}

func TestCursor(t *testing.T) {
	want := position{At: 1744651778652000, ID: "müller/1"}
	cursor, err := web.SignCursor(t.Context(), plainSigner{}, "acme messages", want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := web.OpenCursor[position](t.Context(), plainSigner{}, "acme messages", cursor)
	if err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, wrong := range []string{"", "x", cursor + "x", strings.Repeat("x", web.MaxCursor+1)} {
		if _, err := web.OpenCursor[position](t.Context(), plainSigner{}, "acme messages", wrong); domain.KindOf(err) != domain.KindInvalid {
			t.Fatalf("%.20q: %v", wrong, err)
		}
	}
	if _, err := web.OpenCursor[position](t.Context(), plainSigner{}, "acme conversations", cursor); domain.KindOf(err) != domain.KindInvalid {
		t.Fatalf("about something else: %v", err)
	}
}

func FuzzQuery(f *testing.F) {
	for _, raw := range []string{"", "n=1", "n=-7", "n=+7", "n=1&n=2", "n=%zz", "n=%00", "n=%ff", "n=9223372036854775808", "n=0x1", "n= 1", "n=1;x=2"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := web.ParseQuery(raw)
		if err != nil {
			return
		}
		n, given, err := q.Int("n", -10, 1000)
		if err != nil && domain.KindOf(err) != domain.KindInvalid {
			t.Fatal(err)
		}
		if err == nil && given && (n < -10 || n > 1000) {
			t.Fatalf("%q gives %d", raw, n)
		}
		if text, _, err := q.Text("n", 8); err == nil && (len(text) > 8 || strings.ContainsRune(text, 0)) {
			t.Fatalf("%q gives %q", raw, text)
		}
	})
}

func TestBearer(t *testing.T) {
	for header, want := range map[string]string{"Bearer abc": "abc", "bearer abc": "abc", "BEARER  abc": "abc", "Basic abc": "", "abc": "", "Bearer": ""} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", header)
		if got, present := web.Bearer(r); got != want || !present {
			t.Errorf("%q gives %q, %v", header, got, present)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	if _, present := web.Bearer(r); present {
		t.Error("nothing is present")
	}
	r.Header["Authorization"] = []string{"Bearer a", "Bearer b"}
	if got, present := web.Bearer(r); got != "" || !present {
		t.Error("of two headers neither is taken")
	}
}

func TestSegments(t *testing.T) {
	parts, ok := web.Segments("/conversations/a%2Fb/audio")
	if !ok || len(parts) != 3 || parts[1] != "a/b" {
		t.Fatalf("%q, %v", parts, ok)
	}
	if _, ok := web.Segments("/a%zz"); ok {
		t.Fatal("a broken escape was taken")
	}
}

func TestUnder(t *testing.T) {
	owns := web.Under("/api/external", "/connect")
	for path, want := range map[string]bool{"/api/external": true, "/api/external/x": true, "/api/externally": false, "/connect/token": true, "/": false} {
		if owns(path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
}

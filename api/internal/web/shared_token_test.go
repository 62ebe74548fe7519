package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/callvault/callvault/internal/telemetry"
)

func requestFrom(t *testing.T, remote string) *http.Request {
	r := httptest.NewRequestWithContext(telemetry.WithRequest(t.Context(), "r-7"), http.MethodGet, "/", http.NoBody)
	r.RemoteAddr = remote
	return r
}

func TestSharedToken(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	at := time.Now()
	token := NewSharedToken("CALLVAULT_X_TOKEN", "secret", zap.New(core), func() time.Time { return at })
	r := requestFrom(t, "192.0.2.1:4711")
	for _, tokens := range [][]string{{"Secret"}, {"secret "}, {""}, {}, {"secret", "secret"}, {"secre"}} {
		if right, wait := token.Check(r, tokens...); right || wait != 0 {
			t.Errorf("%q: %v, %s", tokens, right, wait)
		}
	}
	for range 4 {
		token.Check(r, "guess")
	}
	at = at.Add(time.Minute)
	if right, wait := token.Check(r, "guess"); right || wait != 9*time.Minute {
		t.Errorf("the eleventh: %v, %s", right, wait)
	}
	if right, wait := token.Check(r, "secret"); !right || wait != 0 {
		t.Errorf("the right one after ten wrong ones: %v, %s", right, wait)
	}
	if logs.Len() != 10 {
		t.Errorf("%d lines of ten wrong tokens and one that was limited", logs.Len())
	}
	if got := fmt.Sprint(logs.All()[9].ContextMap()); got != "map[remote:192.0.2.1 request_id:r-7 setting:CALLVAULT_X_TOKEN]" {
		t.Errorf("the log says %s", got)
	}
	at = at.Add(9 * time.Minute)
	if _, wait := token.Check(r, "guess"); wait != 0 {
		t.Errorf("after ten minutes it waits %s", wait)
	}
	if right, _ := NewSharedToken("CALLVAULT_X_TOKEN", "", zap.NewNop(), time.Now).Check(r, ""); right {
		t.Error("the empty token is right where none is set")
	}
}

// TestManyAddresses sends wrong tokens from some addresses of a /64, then from very many networks.
func TestManyAddresses(t *testing.T) {
	token := NewSharedToken("CALLVAULT_X_TOKEN", "secret", zap.NewNop(), time.Now)
	limited := func(remote string) bool {
		_, wait := token.Check(requestFrom(t, remote), "guess")
		return wait > 0
	}
	for i := range 10 {
		limited(fmt.Sprintf("[2001:db8::%x]:1", i))
	}
	if !limited("[2001:db8::ffff]:1") || limited("[2001:db8:0:1::1]:1") {
		t.Error("a network is not counted as one address")
	}
	for i := range 3 * maxAddresses {
		limited(fmt.Sprintf("[2001:db9:%x:%x::1]:1", i>>16, i&0xffff))
		if held := len(token.recent) + len(token.former); held > maxAddresses {
			t.Fatalf("%d addresses are held", held)
		}
		if i%1000 == 0 && !limited("[2001:db8::1]:1") {
			t.Fatalf("a network that goes on is forgotten after %d others", i)
		}
	}
}

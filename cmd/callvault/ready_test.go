package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/config"
)

// TestReady asks servers that answer as roles do, and others.
func TestReady(t *testing.T) {
	adminToken := strings.Repeat("t", 32)
	for name, tc := range map[string]struct {
		status int
		body   string
		code   int
		want   string // of what is printed, on either output
	}{
		"ready":     {http.StatusOK, `{"status":"ok","checks":{"catalog":{"ok":true}}}`, exitOK, "ready\n"},
		"stopping":  {http.StatusServiceUnavailable, `{"status":"stopping"}`, exitFailed, "not ready: stopping\n"},
		"a part":    {http.StatusServiceUnavailable, `{"status":"unavailable","checks":{"queue":{"ok":false,"error":"Redis is away"},"catalog":{"ok":true}}}`, exitFailed, "not ready: unavailable\nqueue: Redis is away\n"},
		"a name":    {http.StatusServiceUnavailable, `{"status":"unavailable","checks":{"queue":{"ok":false}}}`, exitFailed, "queue: its log says why"},
		"a page":    {http.StatusNotFound, `<html>`, exitFailed, "it answers 404 Not Found, as no role does"},
		"no status": {http.StatusBadGateway, `{}`, exitFailed, "it answers 502 Bad Gateway, as no role does"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/readyz" {
				t.Errorf("%s is asked", r.URL.Path)
			}
			if r.Header.Get("Authorization") != "Bearer "+app.ReadinessKey(adminToken) {
				t.Errorf("the readiness key is %q", r.Header.Get("Authorization"))
			}
			w.WriteHeader(tc.status)
			if _, err := fmt.Fprint(w, tc.body); err != nil {
				t.Error(err)
			}
		}))
		_, port, err := net.SplitHostPort(server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		for _, listen := range []string{"127.0.0.1:" + port, "0.0.0.0:" + port, ":" + port} {
			code, out, errs := callvault(t, config.Env{"CALLVAULT_LISTEN": listen, "CALLVAULT_ADMIN_TOKEN": adminToken}, "ready")
			if code != tc.code || !strings.Contains(out+errs, tc.want) {
				t.Errorf("%s at %s: exit %d, printed %q and %q", name, listen, code, out, errs)
			}
		}
		server.Close()
		if code, _, errs := callvault(t, config.Env{"CALLVAULT_LISTEN": "0.0.0.0:1"}, "ready", "127.0.0.1:"+port); code != exitFailed || !strings.Contains(errs, "connection refused\nStart one, or name where it listens") {
			t.Errorf("nobody listens: exit %d, said %q", code, errs)
		}
	}
	if code, _, errs := callvault(t, nil, "ready", "8080"); code != exitUsage || !strings.Contains(errs, "HOST:PORT") {
		t.Errorf("exit %d, said %q", code, errs)
	}
}

package main

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/config"
)

// TestStopAtTheStart checks that a role which is stopped while it waits for its catalog exits with
// 0.
func TestStopAtTheStart(t *testing.T) {
	for _, role := range []string{"api", "worker", "scheduler"} {
		t.Run(role, func(t *testing.T) {
			silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer silent.Close()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			go func() {
				if conn, err := silent.Accept(); err == nil {
					stop()
					defer conn.Close()
				}
				<-ctx.Done()
			}()
			env := config.Env{
				"CALLVAULT_DATABASE_URL": "postgres://callvault@" + silent.Addr().String() + "/callvault?sslmode=disable", "CALLVAULT_REDIS_URL": "redis://127.0.0.1:1",
				"CALLVAULT_S3_ENDPOINT": "http://127.0.0.1:1", "CALLVAULT_S3_ACCESS_KEY": "key", "CALLVAULT_S3_SECRET_KEY": "secret",
				"CALLVAULT_PUBLIC_URL": "http://127.0.0.1", "CALLVAULT_LISTEN": "127.0.0.1:0",
				"CALLVAULT_URL": "http://127.0.0.1", // pull reads it
			}
			var out, errs bytes.Buffer
			if code := run(ctx, []string{role}, strings.NewReader(""), &out, &errs, env); code != exitOK || !strings.Contains(errs.String(), "told to stop") || strings.Contains(errs.String(), "unknown variable") {
				t.Errorf("exit %d, printed %q and %q", code, out.String(), errs.String())
			}
		})
	}
}

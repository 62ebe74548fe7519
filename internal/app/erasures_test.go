package app

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// restored makes a data directory whose archives bucket has an order that its catalog lacks, as
// after a restore: the conversation c-1 is there again.
func restored(t *testing.T, order string) config.Config {
	t.Helper()
	s := config.NewSource(nil)
	cfg, err := s.Complete(config.Parts{Data: t.TempDir(), Recordings: "recordings", Archives: "archives", Prefix: domain.DefaultArchivesPrefix, TakeAudio: true})
	must(t, err)
	cfg.Listen = "127.0.0.1:0"
	must(t, s.Finish(&cfg, config.Standalone()))
	must(t, WithParts(t.Context(), cfg, true, zap.NewNop(), func(ctx context.Context, p *Parts) error {
		if _, err := p.Catalog.CreateTenant(ctx, domain.NewTenant("acme", 3), audit.Origin{}); err != nil {
			return err
		}
		c := domain.Conversation{ID: "c-1", AgentID: "agent", Start: time.Now().Add(-time.Hour)}
		if _, err := p.Catalog.Register(ctx, "acme", catalog.Batch{Conversations: []catalog.Line[domain.Conversation]{{Number: 1, Value: c}}}); err != nil {
			return err
		}
		text, err := json.Marshal(map[string]any{"id": "er_1", "tenant": order, "reason": "r", "askedBy": "admin", "askedAt": time.Now(),
			"conversations": []string{"c-1"}, "hours": []string{}})
		if err != nil {
			return err
		}
		_, err = p.Archives.Put(ctx, cfg.Prefix+"/erasures/er_1.json", text, objstore.PutOptions{})
		return err
	}))
	return cfg
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// countConversations counts those that the catalog has.
func countConversations(ctx context.Context, t *testing.T, p *Parts) (n int) {
	t.Helper()
	must(t, p.Catalog.DB().QueryRowContext(ctx, `SELECT count(*) FROM conversations`).Scan(&n))
	return n
}

// awaitReady waits until a process is ready.
func awaitReady(ctx context.Context, t *testing.T, url string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); status(ctx, t, url+readyPath) != http.StatusOK; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not get ready")
		}
	}
}

func status(ctx context.Context, t *testing.T, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	must(t, err)
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	must(t, res.Body.Close())
	return res.StatusCode
}

// Nothing is served, and no command builds, before the missing orders are hidden.
func TestMissingErasuresAreRepeatedFirst(t *testing.T) {
	for name, start := range map[string]func(cfg config.Config, work func(ctx context.Context, p *Parts) error) error{
		"roles": func(cfg config.Config, work func(ctx context.Context, p *Parts) error) error {
			return ServeWhile(t.Context(), cfg, zap.NewNop(), func(ctx context.Context, s Serving) error {
				awaitReady(ctx, t, s.URL)
				return work(ctx, s.Parts)
			})
		},
		"a command with a worker": func(cfg config.Config, work func(ctx context.Context, p *Parts) error) error {
			return WithWorker(t.Context(), cfg, zap.NewNop(), func(ctx context.Context, p *Parts, _ bool) error { return work(ctx, p) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			must(t, start(restored(t, "acme"), func(ctx context.Context, p *Parts) error {
				if n := countConversations(ctx, t, p); n != 0 {
					t.Errorf("%d conversations", n)
				}
				return nil
			}))
		})
	}
}

func TestNothingIsServedBeforeErasuresAreRepeated(t *testing.T) {
	cfg := restored(t, "acme")
	must(t, WithParts(t.Context(), cfg, false, zap.NewNop(), func(ctx context.Context, p *Parts) error {
		_, err := p.Catalog.CreateHold(ctx, holds.Order{Tenant: "acme", Name: "h", Reason: "r", All: true}, audit.Origin{})
		return err
	}))
	err := WithWorker(t.Context(), cfg, zap.NewNop(), func(context.Context, *Parts, bool) error { return nil })
	if domain.KindOf(err) != domain.KindConflict {
		t.Errorf("a command that builds: %v", err)
	}
	must(t, ServeWhile(t.Context(), cfg, zap.NewNop(), func(ctx context.Context, s Serving) error {
		for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/oauth/token": 503, "/api/v1/exports": 503, "/console/": 503} {
			if got := status(ctx, t, s.URL+path); got != want {
				t.Errorf("%s answers %d, want %d", path, got, want)
			}
		}
		if n := countConversations(ctx, t, s.Parts); n != 1 {
			t.Errorf("%d conversations under a hold", n)
		}
		_, err := s.Parts.Catalog.DB().ExecContext(ctx, `UPDATE holds SET released_us = 1`) // long ago
		must(t, err)
		awaitReady(ctx, t, s.URL)
		if n := countConversations(ctx, t, s.Parts); n != 0 {
			t.Errorf("%d conversations after the hold's release", n)
		}
		if got := status(ctx, t, s.URL+"/oauth/token"); got == http.StatusServiceUnavailable {
			t.Error("it is ready and serves nothing")
		}
		return nil
	}))
}

// A tenant that was created after the backup is missing too. Its orders are kept for when it is
// created again, and stop nobody.
func TestErasuresOfAnUnknownTenantStopNothing(t *testing.T) {
	must(t, ServeWhile(t.Context(), restored(t, "later"), zap.NewNop(), func(ctx context.Context, s Serving) error {
		awaitReady(ctx, t, s.URL)
		if _, err := s.Parts.Catalog.CreateTenant(ctx, domain.NewTenant("later", 3), audit.Origin{}); err != nil {
			return err
		}
		must(t, s.Parts.Eraser(zap.NewNop()).Step(ctx))
		c := domain.Conversation{ID: "c-1", AgentID: "agent", Start: time.Now().Add(-time.Hour)}
		n, err := s.Parts.Catalog.Register(ctx, "later", catalog.Batch{Conversations: []catalog.Line[domain.Conversation]{{Number: 1, Value: c}}})
		if err != nil || n.Erased != 1 {
			t.Errorf("its line comes again: %+v, %v", n, err)
		}
		return nil
	}))
}

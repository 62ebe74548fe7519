package app

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/config"
)

// TestReadinessNeedsRoom: a process whose embedded parts cannot write is not ready, and says why.
func TestReadinessNeedsRoom(t *testing.T) {
	now := time.Unix(1e9, 0)
	r := &diskCheck{dir: filepath.Join(t.TempDir(), "data"), now: func() time.Time { return now }}
	if err := os.Mkdir(r.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	h := NewHealth(zap.NewNop(), func() time.Time { return now }, Check{Name: "disk", Probe: r.check})
	ready := func() (int, string) {
		w := httptest.NewRecorder()
		h.Ready(w, httptest.NewRequest(http.MethodGet, "/readyz", http.NoBody))
		var answer struct {
			Checks map[string]struct{ Error string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		return w.Code, answer.Checks["disk"].Error
	}
	if code, text := ready(); code != 200 || text != "" {
		t.Errorf("with room it answers %d, %s", code, text)
	}
	r.least = 1 << 62
	now = now.Add(diskCheckLife)
	if code, text := ready(); code != 503 || !strings.Contains(text, "the disk is full: ") || strings.Contains(text, r.dir) {
		t.Errorf("without room it answers %d, %s", code, text)
	}
	r.least = 0
	if err := os.Remove(r.dir); err != nil {
		t.Fatal(err)
	}
	now = now.Add(diskCheckLife)
	if code, text := ready(); code != 503 || text == "" {
		t.Errorf("without its directory it answers %d, %s", code, text)
	}
}

func TestOnlyEmbeddedPartsNeedRoom(t *testing.T) {
	p := parts(t, config.Serving{})
	has := func() bool {
		for _, c := range p.checks() {
			if c.Name == "disk" {
				return true
			}
		}
		return false
	}
	if has() {
		t.Error("a role without data looks at the disk")
	}
	p.Dir = mustLock(t, t.TempDir())
	if !has() {
		t.Error("a standalone process does not look at its disk")
	}
	if err := p.Dir.Close(); err != nil {
		t.Error(err)
	}
}

package app

import (
	"context"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/domain"
)

// A catalog from before the log began does not go on with it by another secret.
func TestLogWithoutItsSecret(t *testing.T) {
	s := config.NewSource(nil)
	cfg, err := s.Complete(config.Parts{Data: t.TempDir(), Recordings: "recordings", Archives: "archives", Prefix: domain.DefaultArchivesPrefix, TakeAudio: true})
	must(t, err)
	open := func(do func(ctx context.Context, p *Parts) error) error {
		return WithParts(t.Context(), cfg, true, zap.NewNop(), do)
	}
	forget := func(ctx context.Context, p *Parts) error {
		for _, statement := range []string{`DELETE FROM keys WHERE purpose IN ('log', 'log_salt')`, `DELETE FROM log_keys`} {
			if _, err := p.Catalog.DB().ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	}
	must(t, open(forget))
	must(t, open(func(ctx context.Context, p *Parts) error { // nothing was sealed yet
		if err := p.SealLog(ctx); err != nil {
			return err
		}
		return forget(ctx, p)
	}))
	err = open(func(context.Context, *Parts) error { return nil })
	if domain.KindOf(err) != domain.KindBadCatalog || !strings.Contains(err.Error(), "/log/") {
		t.Errorf("%v", err)
	}
}

package app

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/evidence"
)

// logOrigin gives the name of this installation's log.
func (p *Parts) logOrigin(ctx context.Context) (string, error) {
	installation, err := p.Catalog.Installation(ctx)
	if err == nil && installation == "" {
		err = domain.Errorf(domain.KindUnavailable, "the catalog belongs to no installation yet; run: callvault migrate up")
	}
	return evidence.Origin(installation), err
}

// LogKeys reads the keys of the log.
func (p *Parts) LogKeys(ctx context.Context) (evidence.Keys, error) {
	origin, err := p.logOrigin(ctx)
	if err != nil {
		return evidence.Keys{}, err
	}
	return auth.OpenLogKeys(ctx, p.Catalog, p.Config.MasterKey.Reveal(), origin)
}

// RotateLogKey makes a new key for the log and returns its public key.
func (p *Parts) RotateLogKey(ctx context.Context, o audit.Origin) (string, error) {
	origin, err := p.logOrigin(ctx)
	if err != nil {
		return "", err
	}
	return auth.RotateLogKey(ctx, p.Catalog, p.Config.MasterKey.Reveal(), origin, o)
}

// TrustLogKeys makes public keys of the log known that the catalog lacks. It says how many it
// lacked. Error: KindInvalid for keys of another log.
func (p *Parts) TrustLogKeys(ctx context.Context, keys []string, o audit.Origin) (int, error) {
	origin, err := p.logOrigin(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := evidence.Policy(origin, keys); err != nil {
		return 0, err
	}
	return p.Catalog.TrustLogKeys(ctx, keys, o)
}

// ensureLogKeys makes the keys of the log where they are missing.
func (p *Parts) ensureLogKeys(ctx context.Context) (int, error) {
	installation, err := p.Catalog.EnsureInstallation(ctx)
	if err != nil {
		return 0, err
	}
	origin := evidence.Origin(installation)
	if err := p.checkLogSecret(ctx, origin); err != nil {
		return 0, err
	}
	return auth.EnsureLogKeys(ctx, p.Catalog, p.Config.MasterKey.Reveal(), origin, audit.Origin{Actor: "command"})
}

// checkLogSecret refuses to make the first secret of the salts where the bucket has a log already.
// With another secret, every line that is in the log would become a leaf once more.
func (p *Parts) checkLogSecret(ctx context.Context, origin string) error {
	known, err := auth.HasLogSecret(ctx, p.Catalog)
	if err != nil || known {
		return err
	}
	begun, err := evidence.Begun(ctx, p.Archives, p.Config.Prefix, origin)
	if err != nil || !begun {
		return err
	}
	if known, err = auth.HasLogSecret(ctx, p.Catalog); err != nil || known { // another process has made both meanwhile
		return err
	}
	return domain.Errorf(domain.KindBadCatalog, "the archives bucket has a log of this installation, and the catalog lacks the secret that it is made with, as after the restore of a backup from before the log began; "+
		"restore a later backup, or move all objects below %s elsewhere, so that another log begins", evidence.Folder(p.Config.Prefix, origin))
}

// sealer makes the log's sealer.
func (p *Parts) sealer(log *zap.Logger) *evidence.Sealer {
	return evidence.NewSealer(evidence.Config{Prefix: p.Config.Prefix, Interval: min(p.Config.HealInterval, time.Minute)}, p.Catalog.Merkle(), p.Archives, p.LogKeys, log)
}

// SealLog seals all that waits for its number in the log, unless another process is sealing.
func (p *Parts) SealLog(ctx context.Context) error {
	if err := p.checkObjects(ctx); err != nil { // the bucket must be this installation's
		return err
	}
	return p.sealer(zap.NewNop()).Pass(ctx)
}

// addSealer adds the log's sealer.
func (p *Parts) addSealer(g *Group, log *zap.Logger) {
	s := p.sealer(log)
	g.Add(Component{Name: "sealer", Stage: StageScheduler, Run: p.afterOwnerCheck(s.Run)})
}

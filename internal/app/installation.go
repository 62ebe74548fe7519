package app

import (
	"cmp"
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// adoptDetail is the detail of catalog.ActionAdopt.
type adoptDetail struct {
	Bucket string `json:"bucket"`
	Prefix string `json:"prefix"`
	From   string `json:"from"` // installation
	To     string `json:"to"`
}

// markBucket writes the object that names this installation as the owner of the prefix in the
// archives bucket, and sets the bucket's rules. With adopt it replaces the name of an installation
// whose catalog is lost. It always does so in an embedded object store, which has no other user.
func (p *Parts) markBucket(ctx context.Context, adopt bool) error {
	id, err := p.Catalog.EnsureInstallation(ctx)
	if err != nil {
		return err
	}
	if adopt || p.s3 == nil {
		if err := p.adopt(ctx, id); err != nil {
			return err
		}
	}
	if err := objstore.Own(ctx, p.Archives, p.Config.Prefix, id); err != nil {
		return err
	}
	if p.s3 == nil {
		return nil
	}
	return p.s3.SetRules(ctx, p.Config.Prefix)
}

// adopt writes the audit log before it changes the bucket, since one transaction can't do both.
func (p *Parts) adopt(ctx context.Context, id string) error {
	b := p.Archives
	former, err := objstore.Owner(ctx, b, p.Config.Prefix)
	if err != nil || former == "" || former == id {
		return err
	}
	detail := adoptDetail{Bucket: b.Name(), Prefix: p.Config.Prefix, From: former, To: id}
	if err := p.Catalog.AppendAudit(ctx, audit.Origin{Actor: "command"}, "", catalog.ActionAdopt, detail); err != nil {
		return err
	}
	p.prepared.AdoptedFrom = former
	return objstore.Adopt(ctx, b, p.Config.Prefix, id)
}

// checkOwner checks that the prefix in the archives bucket is this installation's. After one
// success it does not ask again.
func (p *Parts) checkOwner(ctx context.Context) error {
	if p.ownerChecked.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	id, err := p.Catalog.Installation(ctx)
	if err != nil {
		return err
	}
	if err := objstore.CheckOwner(ctx, p.Archives, p.Config.Prefix, id); err != nil {
		return err
	}
	p.ownerChecked.Store(true)
	return nil
}

// checkInstallation refuses to start roles when the prefix belongs to another installation, or to
// none. When this can't be checked yet, the roles start, but nothing is built before a check
// succeeds; they end if it finds another owner.
func (p *Parts) checkInstallation(ctx context.Context, g *Group, log *zap.Logger) error {
	err := p.checkOwner(ctx)
	if err == nil || isOtherOwner(err) {
		return err
	}
	log.Warn("could not check which installation the archives bucket belongs to; nothing is built before a check succeeds", zap.Error(err))
	p.ownerKnown = make(chan struct{})
	g.Add(Component{Name: "installation", Stage: StageClients, Run: p.awaitOwner})
	return nil
}

// isOtherOwner reports whether checkOwner found another owner, or none.
func isOtherOwner(err error) bool {
	kind := domain.KindOf(err)
	return kind == domain.KindConflict || kind == domain.KindNotFound
}

// ownerInterval is the time between two checks while the store does not answer.
const ownerInterval = time.Second

// awaitOwner checks until it gets an answer, and fails when there is another owner, or none.
func (p *Parts) awaitOwner(ctx context.Context) error {
	tick := time.NewTicker(ownerInterval)
	defer tick.Stop()
	for err := p.checkOwner(ctx); err != nil; err = p.checkOwner(ctx) {
		if isOtherOwner(err) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
	close(p.ownerKnown)
	<-ctx.Done()
	return nil
}

// afterOwnerCheck returns a function that runs run once checkOwner has succeeded.
func (p *Parts) afterOwnerCheck(run func(ctx context.Context) error) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		if p.ownerKnown != nil {
			select {
			case <-p.ownerKnown:
			case <-ctx.Done():
				return nil
			}
		}
		return run(ctx)
	}
}

// checkObjects checks both buckets, and who owns the archives.
func (p *Parts) checkObjects(ctx context.Context) error {
	if err := cmp.Or(p.Recordings.Check(ctx), p.Archives.Check(ctx)); err != nil {
		return err
	}
	return p.checkOwner(ctx)
}

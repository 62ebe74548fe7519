package app

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// adoptDetail is the detail of catalog.ActionAdopt.
type adoptDetail struct {
	Bucket string `json:"bucket"`
	Prefix string `json:"prefix"`
	From   string `json:"from"` // installation
	To     string `json:"to"`
}

// takeBucket marks the archives bucket's keys as this installation's, and sets the bucket's rules.
// With adopt it takes the keys over from an installation whose catalog is lost; an embedded object
// store has no other user.
func (p *Parts) takeBucket(ctx context.Context, adopt bool) error {
	id, err := p.Catalog.EnsureInstallation(ctx)
	if err != nil {
		return err
	}
	if adopt || p.ownStore {
		if err := p.adopt(ctx, id); err != nil {
			return err
		}
	}
	if err := p.Store.Archives().Own(ctx, p.Config.Prefix, id); err != nil {
		return err
	}
	return p.Store.SetRules(ctx, p.Config.Prefix)
}

// adopt writes the audit log before it changes the bucket: one transaction can't do both.
func (p *Parts) adopt(ctx context.Context, id string) error {
	b := p.Store.Archives()
	former, err := b.Owner(ctx, p.Config.Prefix)
	if err != nil || former == "" || former == id {
		return err
	}
	detail := adoptDetail{Bucket: b.Name(), Prefix: p.Config.Prefix, From: former, To: id}
	if err := p.Catalog.AppendAudit(ctx, catalog.Origin{Actor: "command"}, "", catalog.ActionAdopt, detail); err != nil {
		return err
	}
	p.prepared.AdoptedFrom = former
	return b.Adopt(ctx, p.Config.Prefix, id)
}

// checkOwner checks that the archives bucket's keys are this installation's, until that succeeds once.
func (p *Parts) checkOwner(ctx context.Context) error {
	if p.owned.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	id, err := p.Catalog.Installation(ctx)
	if err != nil {
		return err
	}
	if err := p.Store.Archives().CheckOwner(ctx, p.Config.Prefix, id); err != nil {
		return err
	}
	p.owned.Store(true)
	return nil
}

// checkInstallation refuses to start roles on another installation's keys, or nobody's. Where that can't
// be checked yet they start, but nothing is built before a check succeeds, and they end if it then
// finds such keys.
func (p *Parts) checkInstallation(ctx context.Context, g *Group, log *zap.Logger) error {
	err := p.checkOwner(ctx)
	if err == nil || notOurs(err) {
		return err
	}
	log.Warn("could not check which installation the archives bucket belongs to; nothing is built before a check succeeds", zap.Error(err))
	p.ours = make(chan struct{})
	g.Add(Component{Name: "installation", Stage: StageClients, Run: p.awaitOwner})
	return nil
}

// notOurs says whether checkOwner found the keys to be another installation's, or nobody's.
func notOurs(err error) bool {
	kind := domain.KindOf(err)
	return kind == domain.KindConflict || kind == domain.KindNotFound
}

// ownerInterval is how long to wait before a store that was away is asked again.
const ownerInterval = time.Second

// awaitOwner fails when the bucket is seen to be another installation's, or nobody's.
func (p *Parts) awaitOwner(ctx context.Context) error {
	again := time.NewTicker(ownerInterval)
	defer again.Stop()
	for err := p.checkOwner(ctx); err != nil; err = p.checkOwner(ctx) {
		if notOurs(err) {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil
		}
	}
	close(p.ours)
	<-ctx.Done()
	return nil
}

// onOurs has run wait until it is known that the archives bucket is this installation's.
func (p *Parts) onOurs(run func(ctx context.Context) error) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		if p.ours != nil {
			select {
			case <-p.ours:
			case <-ctx.Done():
				return nil
			}
		}
		return run(ctx)
	}
}

// checkObjects is the object store's readiness.
func (p *Parts) checkObjects(ctx context.Context) error {
	if err := p.Store.Check(ctx); err != nil {
		return err
	}
	return p.checkOwner(ctx)
}

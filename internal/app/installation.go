package app

import (
	"context"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// adoption is the detail of the audit log's line.
type adoption struct {
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

// adopt writes its line into the audit log before it acts: the bucket is not in the catalog.
func (p *Parts) adopt(ctx context.Context, id string) error {
	b := p.Store.Archives()
	former, err := b.Owner(ctx, p.Config.Prefix)
	if err != nil || former == "" || former == id {
		return err
	}
	detail := adoption{Bucket: b.Name(), Prefix: p.Config.Prefix, From: former, To: id}
	if err := p.Catalog.AppendAudit(ctx, catalog.Origin{Actor: "command"}, "", catalog.ActionAdopt, detail); err != nil {
		return err
	}
	return b.Adopt(ctx, p.Config.Prefix, id)
}

// checkOwner asks whose the archives bucket's keys are, until it once heard that they are ours.
func (p *Parts) checkOwner(ctx context.Context) error {
	if p.owned.Load() {
		return nil
	}
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

// refuseOthers ends the start of a role on another installation's keys. An object store that is away
// is no reason: readiness asks again.
func (p *Parts) refuseOthers(ctx context.Context, log *zap.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err := p.checkOwner(ctx)
	switch domain.KindOf(err) {
	case domain.KindConflict, domain.KindNotFound:
		return err
	}
	if err != nil {
		log.Warn("it is not known yet whose the archives bucket is; readiness asks again", zap.Error(err))
	}
	return nil
}

// checkObjects is the object store's readiness.
func (p *Parts) checkObjects(ctx context.Context) error {
	if err := p.Store.Check(ctx); err != nil {
		return err
	}
	return p.checkOwner(ctx)
}

package app

import (
	"context"
	"errors"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/doctor"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/evidence"
	"github.com/callvault/callvault/internal/ingest"
	"github.com/callvault/callvault/internal/lifecycle"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/dir"
	"github.com/callvault/callvault/worker"
	"github.com/callvault/callvault/worker/patrol"
)

// Recordings is the recordings bucket, in S3 or in a directory, as its users see it.
type Recordings interface {
	doctor.Bucket
	worker.Recordings
	ingest.AudioBucket
	lifecycle.Sources
	CheckKey(key string) error
}

// Archives is the archives bucket, in S3 or in a directory, as its users see it.
type Archives interface {
	doctor.Bucket
	worker.Archives
	lifecycle.Archives
	patrol.Bucket
	lifecycle.ErasureStore
	evidence.Bucket
}

// takeOver takes over what a former version has left in the data directory, if this process has
// locked it. It brings up the schema first: a former program refuses the new one, so that it can't
// miss its objects.
func (p *Parts) takeOver(ctx context.Context, log *zap.Logger) error {
	if !p.Embedded() || p.Config.S3Endpoint != "" {
		return nil
	}
	steps, err := p.Catalog.DB().Migrate(ctx)
	p.prepared.Migrations += steps
	if err != nil {
		return err
	}
	begun := false
	err = dir.TakeOver(p.objects(), func() {
		begun = true
		log.Info("taking over the objects of a former version", zap.String("directory", p.objects()))
	})
	if begun && err == nil {
		log.Info("took over the objects of a former version")
	}
	return err
}

// objects is the folder of the buckets that are in the data directory.
func (p *Parts) objects() string { return filepath.Join(absolute(p.Config.Data), objectsName) }

// openObjects opens the object store: S3 where the settings name one, else the directory below the
// data directory. Only with alone it makes folders that are missing there.
func (p *Parts) openObjects(g *Group, alone bool) (err error) {
	c := p.Config
	var observe func(objstore.Observed)
	if p.metrics != nil {
		observe = p.metrics.Store
	}
	if c.S3Endpoint != "" {
		p.s3, err = objstore.New(objstore.Config{
			Endpoint: c.S3Endpoint, PublicEndpoint: c.S3Public, Region: c.S3Region, AccessKey: c.S3AccessKey.Reveal(),
			SecretKey: c.S3SecretKey.Reveal(), Recordings: c.Recordings, Archives: c.Archives, Lock: p.lockMode(), Observe: observe,
		})
		if err != nil {
			return err
		}
		p.Recordings, p.Archives = p.s3.Recordings(), p.s3.Archives()
		g.Add(Component{Name: "object store client", Stage: StageClients, Close: func() error {
			p.s3.Close()
			return nil
		}})
		return nil
	}
	return p.openBuckets(g, dir.Config{Alone: alone, Observe: observe})
}

// openBuckets opens both buckets of the data directory, each by cfg and its own path.
func (p *Parts) openBuckets(g *Group, cfg dir.Config) error {
	open := func(name string) (*dir.Bucket, error) {
		cfg.Path = filepath.Join(p.objects(), name)
		b, err := dir.Open(cfg)
		if err == nil {
			g.Add(Component{Name: "directory of " + name, Stage: StageClients, Close: b.Close})
		}
		return b, err
	}
	recordings, err := open(p.Config.Recordings)
	if err != nil {
		return err
	}
	archives, err := open(p.Config.Archives)
	p.Recordings, p.Archives = recordings, archives
	return err
}

// lockMode is how archives are locked.
func (p *Parts) lockMode() objstore.LockMode { return objstore.ParseLockMode(p.Config.ArchiveLock) }

// checkLock checks that the archives bucket can lock archives, where the settings ask for it.
func (p *Parts) checkLock(ctx context.Context) error {
	if p.s3 == nil || p.lockMode() == objstore.NoLock {
		return nil
	}
	return p.s3.Archives().CheckLock(ctx)
}

// checkStore asks the object store once, at the start of a role. It returns an error when the store
// refuses for good. A store that does not answer may come back; readiness reports it meanwhile.
func (p *Parts) checkStore(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	for _, check := range []func(context.Context) error{p.Recordings.Check, p.Archives.Check, p.checkLock} {
		if err := check(ctx); domain.KindOf(err) == domain.KindRefused {
			return withAdvice(err)
		}
	}
	return nil
}

// CheckRecordings asks the recordings bucket once, for a command that is about to write to it.
func (p *Parts) CheckRecordings(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	if err := p.TakesAudio(); err != nil {
		return err
	}
	return withAdvice(p.Recordings.Check(ctx))
}

// withAdvice adds to the message of an object store's error what to do about it.
func withAdvice(err error) error {
	var e *domain.Error
	if advice := objstore.Advice(err); advice != "" && errors.As(err, &e) {
		return domain.Wrap(e.Kind, e.Cause, "%s; %s", e.Msg, advice)
	}
	return err
}

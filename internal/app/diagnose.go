package app

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/doctor"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore/embedded"
)

// Diagnosis is what Diagnose is asked for.
type Diagnosis struct {
	Config   config.Config
	Settings *config.Error // what of it cannot be used; nil when all can
	Unknown  []string      // variables that are no settings
	Try      bool          // see doctor.Subject
	Limit    time.Duration // of each check
	Report   func(doctor.Result)
}

// Diagnose examines the parts that the configuration names, and embedded ones: those of a running
// standalone process, or for as long as it takes those of its directory. It prepares nothing, and
// makes no directory. Its error is about starting and stopping embedded parts, never about what was
// found.
func Diagnose(ctx context.Context, dg Diagnosis, log *zap.Logger) (results []doctor.Result, err error) {
	p := &Parts{Config: dg.Config}
	s := doctor.Subject{Settings: dg.Settings, Unknown: dg.Unknown, Try: dg.Try, Limit: dg.Limit, Now: time.Now}
	noCatalog, noQueue, noObjects := dg.Config.Embedded()
	unset := func(none bool, variable string) bool { // one that cannot be used is not one that is unset
		return none && (dg.Settings == nil || !slices.ContainsFunc(dg.Settings.Problems, func(p config.Problem) bool { return p.Variable == variable }))
	}
	s.EmbeddedCatalog, s.EmbeddedQueue = unset(noCatalog, "CALLVAULT_DATABASE_URL"), unset(noQueue, "CALLVAULT_REDIS_URL")
	s.EmbeddedObjects = unset(noObjects, "CALLVAULT_S3_ENDPOINT")
	redis.SetLogger(redisLog{log.Named("redis")}) // it would write to stderr by itself
	g := NewGroup(log, dg.Config.DrainTimeout)
	if s.EmbeddedCatalog || s.EmbeddedQueue || s.EmbeddedObjects {
		if err := p.lend(ctx, g, &s, log); err != nil {
			s.Absent = err.Error()
		}
	}
	s.Config = p.Config
	err = alongside(ctx, g, func(ctx context.Context) error {
		results, err = doctor.Examine(ctx, s, dg.Report)
		return err
	})
	return results, err
}

// lend gives s the embedded parts.
func (p *Parts) lend(ctx context.Context, g *Group, s *doctor.Subject, log *zap.Logger) error {
	p.Config.Data = absolute(p.Config.Data)
	if _, err := os.Stat(p.Config.Data); errors.Is(err, fs.ErrNotExist) {
		return domain.Errorf(domain.KindNotFound, "no callvault standalone has run here yet: there is no directory %s", p.Config.Data)
	}
	mark := marker(s.EmbeddedCatalog, s.EmbeddedObjects)
	if err := holds(p.Config.Data, mark, lockName); err != nil { // the lock alone may be that of a first start under way
		return err
	}
	if err := p.lockOrJoin(ctx, g); err != nil {
		return err
	}
	if p.Dir != nil {
		if err := holds(p.Config.Data, mark); err != nil {
			return err
		}
	}
	disk := (*embedded.Disk)(nil)
	var err error
	if p.Beside != nil {
		s.Running = p.Beside.URL
		p.Beside.Fill(&p.Config.Parts)
		if s.EmbeddedObjects = s.EmbeddedObjects && !p.Beside.OutsideS3; s.EmbeddedObjects {
			disk, err = embedded.OpenDisk(objectsDir(p.Config.Data))
		}
	} else {
		disk, err = p.startEmbedded(ctx, g, s.EmbeddedCatalog, false, s.EmbeddedObjects, log)
	}
	if err != nil {
		return err
	}
	if disk != nil {
		s.Sync, s.CheckKey = disk.Sync, disk.CheckKey
	}
	return nil
}

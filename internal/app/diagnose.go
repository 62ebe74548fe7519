package app

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/doctor"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore/dir"
)

// Diagnose examines the parts that the subject's configuration names. For the others it examines
// embedded ones: of a running standalone process, else of the data directory, whose files it reads
// without locking it. Without Try it changes nothing. Its error is about closing parts, never about
// a result.
func Diagnose(ctx context.Context, s doctor.Subject, report func(doctor.Result), log *zap.Logger) (results []doctor.Result, err error) {
	p := &Parts{Config: s.Config}
	noCatalog, noQueue, noObjects := s.Config.Embedded()
	// A value that cannot be used is not an unset one.
	s.EmbeddedCatalog = noCatalog && !s.Settings.Has("CALLVAULT_DATABASE_URL")
	s.EmbeddedQueue = noQueue && !s.Settings.Has("CALLVAULT_REDIS_URL")
	s.EmbeddedObjects = noObjects && !s.Settings.Has("CALLVAULT_S3_ENDPOINT")
	redis.SetLogger(redisLog{log.Named("redis")}) // its own logger writes to stderr
	g := NewGroup(log, s.Config.DrainTimeout)
	if s.EmbeddedCatalog || s.EmbeddedQueue || s.EmbeddedObjects {
		if err := p.findEmbedded(ctx, g, &s); err != nil {
			s.Absent = err.Error()
		}
	}
	s.Config = p.Config
	err = runWhile(ctx, g, func(ctx context.Context) error {
		results, err = doctor.Examine(ctx, s, report)
		return err
	})
	return results, err
}

// findEmbedded finds the embedded parts and writes into s where they are.
func (p *Parts) findEmbedded(ctx context.Context, g *Group, s *doctor.Subject) error {
	p.Config.Data = absolute(p.Config.Data)
	if _, err := os.Stat(p.Config.Data); errors.Is(err, fs.ErrNotExist) {
		return domain.Errorf(domain.KindNotFound, "no callvault standalone has run here yet: there is no directory %s", p.Config.Data)
	}
	file := dataFile(s.EmbeddedCatalog, s.EmbeddedObjects)
	if err := requireData(p.Config.Data, file, lockName); err != nil { // a first start may have made only the lock
		return err
	}
	finding, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	running, err := findRunning(finding, p.Config.Data)
	if err != nil {
		return err
	}
	if running != nil {
		s.Running = running.URL
		running.Fill(&p.Config.Parts)
		s.EmbeddedObjects = s.EmbeddedObjects && p.Config.S3Endpoint == ""
	} else if err := requireData(p.Config.Data, file); err != nil {
		return err
	} else if s.EmbeddedCatalog {
		p.Config.DatabaseURL = catalogURL(p.Config.Data)
	}
	if !s.EmbeddedObjects {
		return nil
	}
	s.Unopened = p.openBuckets(g, dir.Config{ReadOnly: !s.Try})
	s.Recordings, s.Archives = p.Recordings, p.Archives
	return nil
}

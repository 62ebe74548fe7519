package patrol

import (
	"context"
	"errors"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/callvault/callvault/client/verify"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

func (t *turn) readArchives(ctx context.Context) (end bool, err error) {
	list, err := t.catalog.PatrolledArchives(ctx, t.last.ObjectKey, t.cfg.Batch)
	if err != nil {
		return false, err
	}
	for _, a := range list {
		n, err := t.checkArchive(ctx, a)
		if err != nil {
			return false, err
		}
		if t.done(catalog.Position{Tenant: a.Tenant, Day: a.Day, ObjectKey: a.ObjectKey}, n) {
			return false, nil
		}
	}
	return len(list) < t.cfg.Batch, nil
}

// checkArchive reads an archive and reports what is wrong with it, or right again. It gives how
// many bytes it read. Its error is an outage.
func (t *turn) checkArchive(ctx context.Context, a catalog.PatrolArchive) (int64, error) {
	var at *archiveReader
	var report verify.Report
	err := t.insist(ctx, a.Faulty, func() []version { return t.otherArchives(ctx, a) }, func() (err error) {
		at = &archiveReader{ctx: ctx, bucket: t.archives, archive: a, limiter: t.limiter}
		if report, err = verify.Reader(ctx, &objstore.Pieces{Size: a.Size, Piece: archivePiece, Get: at.get}, a.Size); errors.Is(err, errOtherSize) {
			err = domain.Wrap(domain.KindInvalid, err, "read %s", a.ObjectKey)
		}
		return err
	})
	reason := ""
	switch kind := domain.KindOf(err); {
	case err == nil && (!report.OK() || report.ManifestSHA256 != a.ManifestSHA256):
		reason = catalog.ReasonChecksum
	case errors.Is(err, errOtherSize):
		reason = catalog.ReasonSize
	case kind == domain.KindNotFound:
		reason = catalog.ReasonNotFound
	case kind == domain.KindUnreadable:
		reason = catalog.ReasonUnreadable
	case err != nil:
		return at.read, err
	}
	if reason == "" {
		if a.Suspect {
			err = t.catalog.ClearSuspect(ctx, a.ObjectKey, at.etag)
		}
		if a.Faulty && err == nil {
			err = t.catalog.EndFault(ctx, catalog.Fault{Kind: catalog.FaultOfArchive, Tenant: a.Tenant, Day: a.Day, Hour: a.Hour, ObjectKey: a.ObjectKey})
		}
		return at.read, err
	}
	rebuilt, err := t.catalog.BrokenArchive(ctx, a, reason, at.etag)
	if rebuilt {
		t.cfg.OnBroken()
		t.log.Error("an archive is not what was published; its hour is built again", zap.String("object", a.ObjectKey), zap.String("reason", reason))
	}
	return at.read, err
}

// otherArchives gives a few other archives, by which the failure of one is told from an outage.
func (t *turn) otherArchives(ctx context.Context, a catalog.PatrolArchive) (some []version) {
	list, _ := t.catalog.PatrolledArchives(ctx, "", 4) // without them the failure is an outage
	next, _ := t.catalog.PatrolledArchives(ctx, a.ObjectKey, 4)
	for _, o := range append(next, list...) {
		if o.ObjectKey != a.ObjectKey {
			some = append(some, version{t.archives, o.ObjectKey, o.VersionID})
		}
	}
	return some
}

var errOtherSize = errors.New("the object has another size than the archive that was published")

// archivePiece is how many bytes of an archive are read at once.
const archivePiece = 1 << 20

// archiveReader reads parts of an archive.
type archiveReader struct {
	ctx     context.Context
	bucket  Bucket
	archive catalog.PatrolArchive
	limiter *rate.Limiter
	etag    string // of the first part, which the others must have
	read    int64  // bytes
}

func (a *archiveReader) get(from, n int64) (*objstore.Object, error) {
	if err := a.limiter.WaitN(a.ctx, int(n)); err != nil {
		return nil, err
	}
	o, err := a.bucket.Get(a.ctx, a.archive.ObjectKey, objstore.GetOptions{From: from, To: from + n, IfMatch: a.etag, Version: a.archive.VersionID})
	if err != nil {
		if domain.KindOf(err) == domain.KindConflict && a.etag == "" { // shorter than the range
			err = errOtherSize
		}
		return nil, err
	}
	a.etag, a.read = o.ETag, a.read+n
	if o.Size != a.archive.Size {
		return nil, errors.Join(errOtherSize, o.Body.Close())
	}
	return o, nil
}

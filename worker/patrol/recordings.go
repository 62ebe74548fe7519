package patrol

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// newRecording is how long after its registration a recording without audio is no fault.
const newRecording = 24 * time.Hour

func (t *turn) readRecordings(ctx context.Context) (end bool, err error) {
	list, err := t.catalog.PatrolledRecordings(ctx, t.last, t.cfg.Batch)
	if err != nil {
		return false, err
	}
	learnt := map[catalog.DayKey][]catalog.LearntSum{}
	stopped := false
	for _, r := range list {
		var sum *catalog.LearntSum
		var n int64
		if sum, n, err = t.checkRecording(ctx, r); err != nil {
			break
		}
		if sum != nil {
			k := catalog.DayKey{Tenant: r.Tenant, Day: r.Day}
			learnt[k] = append(learnt[k], *sum)
		}
		if stopped = t.done(r.Position, n); stopped {
			break
		}
	}
	// What was read stays read, also when this worker is stopping.
	saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for k, sums := range learnt {
		for some := range slices.Chunk(sums, catalog.MaxSums) {
			err = errors.Join(err, t.catalog.LearnSums(saving, k.Tenant, k.Day, domain.SumPatrol, some))
		}
	}
	return err == nil && !stopped && len(list) < t.cfg.Batch, err
}

// recheck looks again at recordings that are known to be faulty, and at archives that are suspect
// or faulty. One that fails does not stop the others.
func (t *turn) recheck(ctx context.Context) error {
	recordings, err := t.catalog.FaultyRecordings(ctx, t.cfg.Recheck, t.cfg.Batch)
	if err != nil {
		return err
	}
	archives, err := t.catalog.SuspectArchives(ctx, t.cfg.Recheck, t.cfg.Batch)
	if err != nil {
		return err
	}
	ended := func() bool { return ctx.Err() != nil || !t.now().Before(t.ends) } // the others are due at the next step
	var failures []error
	for _, r := range recordings {
		sum, _, err := t.checkRecording(ctx, r)
		if err == nil && sum != nil {
			err = t.catalog.LearnSums(ctx, r.Tenant, r.Day, domain.SumPatrol, []catalog.LearntSum{*sum})
		}
		if failures = append(failures, err); ended() {
			return errors.Join(failures...)
		}
	}
	for _, a := range archives {
		_, err := t.checkArchive(ctx, a)
		if failures = append(failures, err); ended() {
			break
		}
	}
	return errors.Join(failures...)
}

// checkRecording reads one recording and reports what is wrong with it, or right again. It gives
// what is to be learnt, nil for nothing, and how many bytes it read. Its error is an outage.
func (t *turn) checkRecording(ctx context.Context, r catalog.PatrolRecording) (*catalog.LearntSum, int64, error) {
	var got *catalog.LearntSum
	err := t.insist(ctx, r.Faulty, func() []version { return t.others(ctx, r) }, func() (err error) {
		got, err = t.readSum(ctx, r.ObjectKey)
		return err
	})
	reason, err := t.reasonOf(r, got, err)
	if err != nil {
		return nil, 0, err
	}
	if reason != "" {
		var found *domain.SHA256
		if got != nil {
			found = &got.SHA256
		}
		isNew, err := t.catalog.RecordingFault(ctx, r, reason, found)
		if isNew {
			t.log.Error("a recording is not what it was in the store", zap.String("object", r.ObjectKey), zap.String("reason", reason))
		}
		return nil, sizeOf(got), err
	}
	if r.Faulty {
		err = t.catalog.EndFault(ctx, catalog.Fault{Kind: catalog.FaultOfRecording, Tenant: r.Tenant, Day: r.Day, Hour: r.Hour, ObjectKey: r.ObjectKey})
	}
	if got == nil || r.SHA256 != nil && r.ETag == got.ETag {
		return nil, sizeOf(got), err
	}
	return got, got.Size, err
}

func sizeOf(got *catalog.LearntSum) int64 {
	if got == nil {
		return 0
	}
	return got.Size
}

// reasonOf says what is wrong with a recording; "" for nothing. got is nil where err is not.
func (p *Patrol) reasonOf(r catalog.PatrolRecording, got *catalog.LearntSum, err error) (string, error) {
	switch kind := domain.KindOf(err); {
	case err == nil && (r.Size != nil && *r.Size != got.Size):
		return catalog.ReasonSize, nil
	case err == nil && (r.SHA256 != nil && *r.SHA256 != got.SHA256 || r.CRC32 != nil && *r.CRC32 != got.CRC32):
		return catalog.ReasonChecksum, nil
	case err == nil:
		return "", nil
	case kind == domain.KindNotFound || kind == domain.KindInvalid:
		if r.ETag == "" && p.now().Sub(r.Registered) < newRecording && !r.Faulty {
			return "", nil // its audio was never seen, and may still come
		}
		return catalog.ReasonNotFound, nil
	case kind == domain.KindUnreadable:
		return catalog.ReasonUnreadable, nil
	}
	return "", err
}

// others gives a few other recordings, by which the failure of one is told from an outage.
func (p *Patrol) others(ctx context.Context, r catalog.PatrolRecording) (some []version) {
	list, _ := p.catalog.PatrolledRecordings(ctx, catalog.Position{}, 4) // without them the failure is an outage
	next, _ := p.catalog.PatrolledRecordings(ctx, r.Position, 4)
	for _, o := range append(next, list...) {
		if o.ObjectKey != r.ObjectKey {
			some = append(some, version{p.recordings, o.ObjectKey, ""})
		}
	}
	return some
}

// readSum reads a whole object.
func (t *turn) readSum(ctx context.Context, key string) (_ *catalog.LearntSum, err error) {
	o, err := t.recordings.Get(ctx, key, objstore.GetOptions{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, o.Body.Close()) }()
	whole, crc := sha256.New(), crc32.NewIEEE()
	n, err := io.Copy(io.MultiWriter(whole, crc), &limitedReader{ctx, o.Body, t.limiter})
	if err != nil {
		return nil, err
	}
	return &catalog.LearntSum{ObjectKey: key, Size: n, CRC32: crc.Sum32(), SHA256: domain.SHA256(whole.Sum(nil)), ETag: o.ETag}, nil
}

// limitedReader reads at the limiter's rate.
type limitedReader struct {
	ctx     context.Context
	from    io.Reader
	limiter *rate.Limiter
}

func (l *limitedReader) Read(buf []byte) (int, error) {
	n, err := l.from.Read(buf[:min(len(buf), maxPiece)])
	if wait := l.limiter.WaitN(l.ctx, n); wait != nil {
		return n, wait
	}
	return n, err
}

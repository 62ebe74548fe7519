package web

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

// Custody knows which SHA-256 a recording's object must have, and writes down that it has another
// one. Error: KindUnavailable.
type Custody interface {
	KnownSum(ctx context.Context, tenant, key string) (*domain.SHA256, error)
	AuditMismatch(ctx context.Context, o audit.Origin, tenant, reader, key string, found domain.SHA256) error
}

// otherSum says that an object's bytes have another SHA-256 than is known.
type otherSum struct{ found domain.SHA256 }

func (e *otherSum) Error() string { return "the bytes have the SHA-256 " + e.found.String() }

// compareSum gives an error of KindUnreadable when bytes have another sum than they must have.
func compareSum(known *domain.SHA256, found domain.SHA256) error {
	if *known == found {
		return nil
	}
	return domain.Wrap(domain.KindUnreadable, &otherSum{found}, "the recording has other bytes than were registered")
}

// RecordingAnswer gives a recording's bytes. If the answer has all of them, they are compared with
// the SHA-256 that callvault knows. Other bytes are given without the last one.
type RecordingAnswer struct {
	Custody Custody
	Log     *zap.Logger
	Origin  audit.Origin
	Tenant  string
	Key     string // of the object
}

// Prepare is Content.Prepare. Errors also: KindUnavailable, of the catalog; KindUnreadable when the
// object is empty and the recording is not.
func (a RecordingAnswer) Prepare(ctx context.Context, c Content, plan Plan) (p *Prepared, err error) {
	if plan.whole() {
		if c.Sum, err = a.Custody.KnownSum(ctx, a.Tenant, a.Key); err != nil {
			return nil, err
		}
	}
	p, err = c.Prepare(ctx, plan)
	a.tellOtherSum(ctx, err)
	return p, err
}

// whole says whether the answer has all bytes in their order.
func (p Plan) whole() bool { return len(p.ranges) <= 1 && p.Length() == p.size }

// BrokeOff logs why the bytes were not sent to their end.
func (a RecordingAnswer) BrokeOff(ctx context.Context, reason error) {
	if !a.tellOtherSum(ctx, reason) {
		a.Log.Info("a recording broke off", zap.String("object", a.Key), telemetry.In(ctx), zap.Error(reason))
	}
}

// auditTimeout bounds an audit line about an answer that has ended.
const auditTimeout = 15 * time.Second

// tellOtherSum says whether the reason is another SHA-256. If it is, tellOtherSum logs that and
// writes a line into the audit log.
func (a RecordingAnswer) tellOtherSum(ctx context.Context, reason error) bool {
	var other *otherSum
	if !errors.As(reason, &other) {
		return false
	}
	log := a.Log.With(zap.String("object", a.Key), telemetry.In(ctx))
	log.Error("a recording has another SHA-256 than is known and was not given whole", zap.Stringer("sha256", other.found))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
	defer cancel()
	if err := a.Custody.AuditMismatch(ctx, a.Origin, a.Tenant, domain.ReaderAudio, a.Key, other.found); err != nil {
		log.Error("the audit log has no line about it", zap.Error(err))
	}
	return true
}

package evidence_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/evidence"
	"github.com/callvault/callvault/internal/objstore"
)

// A sealer that failed says that the log is sealed again after a pass of its own, not while another
// sealer is at work.
func TestSealedAgain(t *testing.T) {
	f := open(t, "sqlite://"+t.TempDir()+"/c.db", bucket(t))
	core, logs := observer.New(zap.InfoLevel)
	said := func() int { return logs.FilterMessage("the log is sealed again").Len() }
	ctx, stop := context.WithCancel(f.ctx)
	defer stop()
	log := f.c.Merkle()
	var other merkle.Sealer
	passes := 0
	keys := func(ctx context.Context) (evidence.Keys, error) { // it is called as a pass begins
		switch passes++; passes {
		case 2:
			var acquired bool
			var err error
			if other, acquired, err = log.Acquire(ctx, time.Minute); err != nil || !acquired {
				t.Errorf("the other sealer: %t, error %v", acquired, err)
			}
		case 4:
			if logs.FilterMessage("the log could not be sealed; trying on").Len() != 1 || said() != 0 {
				t.Errorf("beside another sealer: %v", logs.All())
			}
			if err := log.Release(ctx, other); err != nil {
				t.Error(err)
			}
		case 6:
			stop()
		}
		return f.keys(ctx)
	}
	s := evidence.NewSealer(evidence.Config{Prefix: prefix, Interval: 10 * time.Millisecond}, log, &failing{Bucket: f.bucket, times: 1}, keys, zap.New(core))
	f.must(s.Run(ctx))
	if said() != 1 {
		t.Errorf("after a pass of its own: %v", logs.All())
	}
}

// failing is a bucket that does not answer the first times.
type failing struct {
	evidence.Bucket
	times int
}

func (b *failing) Put(ctx context.Context, key string, data []byte, opts objstore.PutOptions) (string, error) {
	if b.times--; b.times >= 0 {
		return noPut{}.Put(ctx, key, data, opts)
	}
	return b.Bucket.Put(ctx, key, data, opts)
}

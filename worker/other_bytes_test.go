package worker_test

import (
	"context"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/worker"
)

// otherBytes is a bucket that says of every object that its bytes have another checksum.
type otherBytes struct{ worker.Archives }

func (o otherBytes) Stat(ctx context.Context, key string) (objstore.Info, error) {
	info, err := o.Archives.Stat(ctx, key)
	info.CRC32 = new(uint32)
	return info, err
}

// An archive whose stored bytes are not those that were written is not published.
func TestStoreHoldsOtherBytes(t *testing.T) {
	f := newFixture(t)
	f.add(hour(1), 600)
	f.plan()
	b := worker.NewBuilder(config(), f.catalog, f.store.Recordings(), otherBytes{f.store.Archives()}, time.Now, f.log)
	f.expectKind(b.BuildHour(f.ctx, task(1)), domain.KindStoreFault)
	if v := f.view(1); v.State != catalog.StatePending || v.Failures != 1 || v.Archive != nil {
		t.Errorf("%s after %d failures: %+v", v.State, v.Failures, v.Archive)
	}
}

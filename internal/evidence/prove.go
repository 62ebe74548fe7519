package evidence

import (
	"context"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/domain"
)

// Provable is what Prove reads: a *merkle.Log.
type Provable interface {
	Tiles
	Newest(ctx context.Context) (merkle.Checkpoint, error)
	LeafOf(ctx context.Context, k merkle.Key) (int64, error)
}

// Prove proves by the newest checkpoint that the log has a leaf. It returns the proof as text
// (c2sp.org/tlog-proof). Error: KindNotFound until the first checkpoint that covers the leaf, which
// is a minute at most after the leaf was added while the object store answers.
func Prove(ctx context.Context, log Provable, k merkle.Key) ([]byte, error) {
	n, err := log.LeafOf(ctx, k)
	if err != nil {
		return nil, err
	}
	c, err := log.Newest(ctx)
	if err != nil {
		return nil, err
	}
	if n >= c.Size {
		return nil, domain.Errorf(domain.KindNotFound, "no checkpoint of the log covers the %s %d yet", k.Kind, k.Ref)
	}
	proof, err := tlog.ProveRecord(c.Size, n, newTree(ctx, log))
	if err != nil {
		return nil, err
	}
	return torchwood.FormatProof(n, proof, []byte(c.Note)), nil
}

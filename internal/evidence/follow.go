package evidence

import (
	"context"

	"go.uber.org/zap"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/domain"
)

// follow brings the catalog to the newest checkpoint of the bucket, by exact keys, one after the
// other. Mostly there is none that the catalog lacks. There is one after an answer was lost, or a
// sealer was killed between the bucket and the catalog: then its leaves are known. And there are
// some after the catalog was restored from a backup.
func (p *pass) follow(ctx context.Context) error {
	lost := int64(0)
	for {
		state, err := p.log.State(ctx)
		if err != nil {
			return err
		}
		key := p.folder + checkpointKey(state.Checkpoint+1)
		data, err := read(ctx, p.bucket, key)
		if domain.KindOf(err) == domain.KindNotFound {
			if lost > 0 {
				p.logger.Warn("the bucket's log was longer than the catalog's, as after the restore of a backup; it goes on from there, and callvault log verify names what was lost",
					zap.Int64("leaves", lost), zap.Int64("checkpoint", state.Checkpoint))
			}
			return nil
		}
		if err != nil {
			return err
		}
		next, err := parsePublished(data, p.policy)
		if err == nil && (next.N != state.Checkpoint+1 || next.Size < state.CheckpointSize) {
			err = domain.Errorf(domain.KindBadCatalog, "it is another checkpoint")
		}
		if err != nil {
			return domain.Wrap(domain.KindBadCatalog, err, "the log cannot go on from %s", key)
		}
		adopted, err := p.adopt(ctx, state, next)
		if err != nil {
			return err
		}
		lost += adopted
	}
}

// adopt makes a checkpoint of the bucket the catalog's newest one. It says how many leaves the
// catalog did not have.
func (p *pass) adopt(ctx context.Context, state merkle.State, next published) (int64, error) {
	tree := newTree(ctx, p.log)
	if next.Size <= state.Size {
		root, err := tlog.TreeHash(next.Size, tree)
		if err != nil {
			return 0, err
		}
		if root == next.Root {
			return 0, p.log.Record(ctx, p.right, next.Checkpoint)
		}
	}
	if state.Size > state.CheckpointSize { // these numbers are other leaves'
		return 0, p.log.Reset(ctx, p.right)
	}
	if next.first > state.Size {
		return 0, domain.Errorf(domain.KindBadCatalog, "checkpoint %d of the bucket lacks leaves after %d", next.N, state.Size)
	}
	hashes := next.leaves[state.Size-next.first:]
	b := merkle.Batch{From: state.Size, Checkpoint: &next.Checkpoint}
	for i, h := range hashes {
		b.Leaves = append(b.Leaves, merkle.Leaf{N: state.Size + int64(i), Hash: h})
	}
	var err error
	if b.Tiles, err = tree.grow(state.Size, hashes); err != nil {
		return 0, err
	}
	if root, err := tlog.TreeHash(next.Size, tree); err != nil || root != next.Root {
		return 0, domain.Wrap(domain.KindBadCatalog, err, "checkpoint %d of the bucket does not continue the catalog's log; run: callvault log verify", next.N)
	}
	return int64(len(hashes)), p.log.Number(ctx, p.right, b)
}

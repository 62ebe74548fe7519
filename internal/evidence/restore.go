package evidence

import (
	"context"
	"slices"

	"go.uber.org/zap"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// Begun reports whether the bucket has a log of this origin.
func Begun(ctx context.Context, bucket Bucket, prefix, origin string) (bool, error) {
	err := objstore.Readable(ctx, bucket, Folder(prefix, origin)+checkpointKey(1))
	if domain.KindOf(err) == domain.KindNotFound {
		return false, nil
	}
	return err == nil, err
}

// putBack writes the checkpoints and tiles that the catalog knows and the bucket has lost, as after
// the restore of an older bucket. A catalog that is restored later would else not find them there,
// and would give their numbers to other leaves.
func (p *pass) putBack(ctx context.Context) error {
	state, err := p.log.State(ctx)
	if err != nil {
		return err
	}
	kept, err := p.newestKept(ctx, state.Checkpoint)
	if err != nil || kept == state.Checkpoint {
		return err
	}
	tiled, err := p.known(ctx, kept-1) // the tiles of a checkpoint are written after it
	if err != nil {
		return err
	}
	if err := p.log.Tiled(ctx, p.right, min(tiled.Size, state.Tiled)); err != nil {
		return err
	}
	if err := p.publishTiles(ctx); err != nil {
		return err
	}
	before, err := p.known(ctx, kept)
	// The newest one comes last: where it is missing, another pass begins anew.
	for n := kept + 1; err == nil && n <= state.Checkpoint; n++ {
		var c merkle.Checkpoint
		if c, err = p.known(ctx, n); err == nil {
			err = p.putAgain(ctx, c, before.Size)
		}
		before = c
	}
	if err != nil {
		return err
	}
	p.logger.Warn("the bucket had lost checkpoints of the log, as after the restore of an older bucket; they were written again",
		zap.Int64("from", kept+1), zap.Int64("to", state.Checkpoint))
	return nil
}

// newestKept gives the newest checkpoint of the first n that the bucket has; 0 for none.
func (p *pass) newestKept(ctx context.Context, n int64) (int64, error) {
	for ; n > 0; n-- {
		err := objstore.Readable(ctx, p.bucket, p.folder+checkpointKey(n))
		if domain.KindOf(err) != domain.KindNotFound {
			return n, err
		}
	}
	return 0, nil
}

// known gives a checkpoint of the catalog; without leaves before the first one.
func (p *pass) known(ctx context.Context, n int64) (c merkle.Checkpoint, err error) {
	if n <= 0 {
		return c, nil
	}
	list, err := p.log.Checkpoints(ctx, n-1, 1)
	if err == nil && (len(list) == 0 || list[0].N != n) {
		err = domain.Errorf(domain.KindBadCatalog, "the catalog lacks checkpoint %d of the log; run: callvault log verify", n)
	}
	if err != nil {
		return c, err
	}
	return list[0], nil
}

// putAgain writes a checkpoint of the catalog to the bucket. The checkpoint before it has the first
// before leaves.
func (p *pass) putAgain(ctx context.Context, c merkle.Checkpoint, before int64) error {
	tree := newTree(ctx, p.log)
	root, err := tlog.TreeHash(c.Size, tree)
	if err != nil {
		return err
	}
	if root != c.Root {
		return domain.Errorf(domain.KindBadCatalog, "checkpoint %d, which the bucket has lost, is not of the catalog's leaves; run: callvault log verify", c.N)
	}
	object, err := p.object(c, before, tree)
	if err != nil {
		return err
	}
	_, err = p.bucket.Put(ctx, p.folder+checkpointKey(c.N), object, objstore.PutOptions{ContentType: "text/plain", IfNoneMatch: true})
	if domain.KindOf(err) == domain.KindConflict {
		return nil
	}
	return err
}

// refuseGap fails where the bucket lacks the next checkpoint and has later ones. The bucket has
// lost the next one then, and the catalog, which was restored from a backup, would write another
// one in its place. It asks once, and again after the catalog was restored.
func (p *pass) refuseGap(ctx context.Context, next int64) error {
	if p.next == next {
		return nil
	}
	key := p.folder + checkpointKey(next)
	keys, err := p.bucket.KeysAfter(ctx, p.folder+"checkpoints", p.folder+checkpointKey(next-1))
	if err != nil {
		return err
	}
	if len(keys) > 0 && !slices.Contains(keys, key) {
		return domain.Errorf(domain.KindBadCatalog, "the bucket has %s, but lost %s, by which the log goes on; restore this object, or a catalog that knows it: another one in its place would make a second log", keys[0], key)
	}
	p.next = next
	return nil
}

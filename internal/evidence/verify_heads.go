package evidence

import (
	"context"

	"filippo.io/torchwood"
	"github.com/dustin/go-humanize/english"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/domain"
)

// compareHeads compares the tree of this size with the checkpoints that are of it.
func (v *verifier) compareHeads(ctx context.Context, e edge, size int64) error {
	h := &v.heads
	if h.kept != nil && h.kept.N == size {
		root, err := tlog.TreeHash(size, newTree(ctx, e))
		if err != nil {
			return err
		}
		if root != h.kept.Hash {
			v.found(FoundCheckpoint, 0, -1, "the log does not begin with the %s of the kept checkpoint: it did not only grow since", english.Plural(int(size), "leaf", "leaves"))
		}
	}
	for {
		if h.ended {
			return nil
		}
		if len(h.next) == 0 {
			list, err := v.log.Checkpoints(ctx, h.last, 1000)
			if err != nil {
				return err
			}
			if h.next = list; len(list) == 0 || list[0].N > v.state.Checkpoint {
				h.ended = true
				return nil
			}
		}
		c := h.next[0]
		if c.Size > size || c.N > v.state.Checkpoint {
			return nil
		}
		if err := v.compareHead(ctx, e, size, c); err != nil {
			return err
		}
		h.next, h.last, h.size = h.next[1:], c.N, c.Size
	}
}

// compareHead compares a checkpoint of the catalog with the tree and with the bucket.
func (v *verifier) compareHead(ctx context.Context, e edge, size int64, c merkle.Checkpoint) error {
	h := &v.heads
	if c.N != h.last+1 || c.Size != size {
		v.found(FoundCheckpoint, 0, -1, "the catalog lacks checkpoints between %d and %d, or they are out of order", h.last, c.N)
	}
	v.report.Checkpoints++
	root, err := tlog.TreeHash(size, newTree(ctx, e))
	if err != nil {
		return err
	}
	broken := root != c.Root && !h.broken
	if broken {
		h.broken = true
		v.found(FoundCheckpoint, 0, -1, "the leaves from %d to %d are not those of checkpoint %d; all before are", h.size, c.Size-1, c.N)
	}
	signed, _, err := torchwood.VerifyCheckpoint([]byte(c.Note), v.policy)
	if err != nil || signed.N != c.Size || signed.Hash != c.Root {
		v.found(FoundCheckpoint, 0, -1, "checkpoint %d in the catalog is not signed by a key of this log", c.N)
	}
	every := (v.state.Checkpoint + v.opts.Objects - 1) / v.opts.Objects
	if !broken && (v.state.Checkpoint-c.N)%every > 0 {
		return nil
	}
	v.report.Objects++
	before, leaves := h.size, broken || root == c.Root // leaves of a broken log are named once
	if c.N != h.last+1 {
		before = -1
	}
	v.reads.Go(func() error { return v.compareObject(ctx, c, before, leaves, broken) })
	return nil
}

// compareObject compares a checkpoint of the catalog with the bucket's, and where leaves is set,
// its leaves. The checkpoint before it has the first before leaves; below 0 that is unknown.
func (v *verifier) compareObject(ctx context.Context, c merkle.Checkpoint, before int64, leaves, broken bool) error {
	key := v.folder + checkpointKey(c.N)
	data, err := read(ctx, v.bucket, key)
	if domain.KindOf(err) == domain.KindNotFound {
		v.found(FoundCheckpoint, 0, -1, "the bucket lacks %s", key)
		return nil
	}
	if err != nil {
		return err
	}
	p, err := parsePublished(data, v.policy)
	switch {
	case err != nil:
		v.found(FoundCheckpoint, 0, -1, "%s in the bucket cannot be used: %v", key, err)
	case p.N != c.N || p.Size != c.Size || p.Root != c.Root || before >= 0 && p.first != firstOf(before):
		v.found(FoundCheckpoint, 0, -1, "%s in the bucket is of another log than checkpoint %d of the catalog", key, c.N)
	case leaves:
		return v.compareLeaves(ctx, p, key, broken)
	}
	return nil
}

// compareLeaves compares the leaves of a checkpoint's object with the catalog's hashes. It names
// those of the catalog where they are broken, else the object.
func (v *verifier) compareLeaves(ctx context.Context, p published, key string, broken bool) error {
	var tile []byte
	for i, want := range p.leaves {
		n := p.first + int64(i)
		at := int(n%torchwood.TileWidth) * tlog.HashSize
		if at == 0 {
			var err error
			if tile, err = v.storedTile(ctx, 0, n/torchwood.TileWidth); err != nil {
				return err
			}
		}
		if len(tile) < at+tlog.HashSize || tlog.Hash(tile[at:]) == want {
			continue
		}
		if !broken {
			v.found(FoundCheckpoint, 0, n, "%s in the bucket was changed: it has another hash of leaf %d than its checkpoint", key, n)
			return nil
		}
		if err := v.nameLeaf(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

package evidence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"strings"

	"filippo.io/torchwood"
	"github.com/dustin/go-humanize/english"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/domain"
)

// heads are what the tree must have been at some sizes: the checkpoints, in order.
type heads struct {
	next   []merkle.Checkpoint // read from the catalog
	last   int64               // number of the last one that was read
	size   int64               // of the last one that was compared
	broken bool                // one was of another tree; so are all later ones
	ended  bool                // the catalog has no more of them
	kept   *torchwood.Checkpoint
}

// edge has the last tile of each level of the tree, as far as the tree is recomputed. All later
// hashes are made of these tiles.
type edge [][]byte

// Tile implements [Tiles].
func (e edge) Tile(_ context.Context, level int, _ int64) ([]byte, error) { return e[level], nil }

// since reads the checkpoint that somebody kept. It may also be an object of the bucket or a proof,
// which end with one.
func (v *verifier) since(context.Context) error {
	if v.opts.Since == "" {
		return nil
	}
	text := v.opts.Since
	if head, rest, _ := strings.Cut(text, "\n\n"); strings.HasPrefix(head, checkpointHead) || strings.HasPrefix(head, "c2sp.org/tlog-proof") {
		text = rest
	}
	c, _, err := torchwood.VerifyCheckpoint([]byte(text), v.policy)
	if err != nil {
		return domain.Wrap(domain.KindInvalid, err, "the kept checkpoint is none that a known key of this log has signed")
	}
	v.heads.kept, v.report.Since = &c, c.N
	if c.N > v.state.Size {
		v.found(FoundCheckpoint, 0, -1, "the kept checkpoint is of %s, and the log has only %d: what came after is gone", english.Plural(int(c.N), "leaf", "leaves"), v.state.Size)
	}
	return nil
}

// leaves recomputes the tree leaf by leaf.
func (v *verifier) leaves(ctx context.Context) error {
	const page = 8 * torchwood.TileWidth
	var e edge
	var next int64
	for next < v.state.Size {
		end := min(next+page, v.state.Size)
		rows, err := v.log.Leaves(ctx, next, end)
		if err != nil {
			return err
		}
		for ; next < end; next++ {
			row := merkle.LeafRow{N: -1}
			if len(rows) > 0 && rows[0].N == next {
				row, rows = rows[0], rows[1:]
			}
			if err := v.leaf(ctx, &e, next, row); err != nil {
				return err
			}
			for ; len(rows) > 0 && rows[0].N == next; rows = rows[1:] {
				v.found(FoundDoubled, lineOf(rows[0].Key), next, "leaf %d has more than one row: also that of the %s %d", next, rows[0].Kind, rows[0].Ref)
			}
		}
		v.opts.Progress(next, v.state.Size)
	}
	if lost := v.report.Lost; lost > v.opts.Lost {
		v.found(FoundLost, 0, v.lastLost, "the catalog does not have the lines of %s, the last of which is leaf %d: it lost them when it was restored from a backup, "+
			"or somebody took them away; where restores explain them all, verify with --lost %d", english.Plural(int(lost), "leaf", "leaves"), v.lastLost, lost)
	}
	if v.heads.last < v.state.Checkpoint {
		v.found(FoundCheckpoint, 0, -1, "the catalog lacks the checkpoints from %d to %d", v.heads.last+1, v.state.Checkpoint)
	}
	return v.lastTiles(ctx, e)
}

// leaf compares the next leaf with its row, and adds it to the tree.
func (v *verifier) leaf(ctx context.Context, e *edge, n int64, row merkle.LeafRow) error {
	tile, err := v.tile(ctx, 0, n/torchwood.TileWidth)
	if err != nil {
		return err
	}
	var hash tlog.Hash
	if at := int(n%torchwood.TileWidth) * tlog.HashSize; len(tile) >= at+tlog.HashSize {
		hash = tlog.Hash(tile[at:])
	} else {
		v.found(FoundTree, 0, n, "the catalog has no hash of leaf %d", n)
		if row.N == n && !row.Missing {
			hash = LeafHash(v.keys.Secret, row.Record)
		}
	}
	switch {
	case row.N != n:
		v.found(FoundDropped, 0, n, "the row of leaf %d is gone", n)
	case row.Key == merkle.Key{}:
		v.report.Lost, v.lastLost = v.report.Lost+1, n
	case row.Missing:
		v.torn = addNamed(v.torn, torn{row.Key, hash, FoundDropped})
		v.found(FoundDropped, lineOf(row.Key), n, "the %s %d (leaf %d) is gone", row.Kind, row.Ref, n)
	case LeafHash(v.keys.Secret, row.Record) != hash:
		v.torn = addNamed(v.torn, torn{row.Key, hash, FoundChanged})
		v.stray = addNamed(v.stray, row.Record)
		v.found(FoundChanged, lineOf(row.Key), n, "the %s %d (leaf %d) was changed", row.Kind, row.Ref, n)
	case row.NoLinks:
		v.found(FoundLinks, row.Ref, n, "the links that line %d names are gone", row.Ref)
	}
	if err := v.grow(ctx, e, 0, n, hash); err != nil {
		return err
	}
	return v.compareHeads(ctx, *e, n+1)
}

func lineOf(k merkle.Key) int64 {
	if k.Kind == merkle.KindLine {
		return k.Ref
	}
	return 0
}

// tile reads a tile of the catalog; it keeps the last one of the leaves.
func (v *verifier) tile(ctx context.Context, level int, n int64) ([]byte, error) {
	if level == 0 && v.cached.n == n && v.cached.data != nil {
		return v.cached.data, nil
	}
	data, err := v.storedTile(ctx, level, n)
	if level == 0 {
		v.cached.n, v.cached.data = n, data
	}
	return data, err
}

// storedTile reads a tile of the catalog; nil when there is none.
func (v *verifier) storedTile(ctx context.Context, level int, n int64) ([]byte, error) {
	data, err := v.log.Tile(ctx, level, n)
	if domain.KindOf(err) == domain.KindNotFound {
		err = nil
	}
	return data, err
}

// grow adds hash n of a level, and where that fills a tile, the tile's hash to the level above.
func (v *verifier) grow(ctx context.Context, e *edge, level int, n int64, hash tlog.Hash) error {
	if level == len(*e) {
		*e = append(*e, nil)
	}
	if n%torchwood.TileWidth == 0 {
		(*e)[level] = nil // not its bytes: they may be compared meanwhile
	}
	(*e)[level] = append((*e)[level], hash[:]...)
	if len((*e)[level]) < torchwood.TileWidth*tlog.HashSize {
		return nil
	}
	full := tlog.Tile{H: torchwood.TileHeight, L: level, N: n / torchwood.TileWidth, W: torchwood.TileWidth}
	if err := v.compareTile(ctx, full, (*e)[level]); err != nil {
		return err
	}
	above, err := tlog.HashFromTile(full, (*e)[level], tlog.StoredHashIndex((level+1)*torchwood.TileHeight-1, 2*full.N))
	if err != nil {
		return err
	}
	right, err := tlog.HashFromTile(full, (*e)[level], tlog.StoredHashIndex((level+1)*torchwood.TileHeight-1, 2*full.N+1))
	if err != nil {
		return err
	}
	return v.grow(ctx, e, level+1, full.N, tlog.NodeHash(above, right))
}

// lastTiles compares the tiles that are not full with the catalog's.
func (v *verifier) lastTiles(ctx context.Context, e edge) error {
	size := v.state.Size
	for level, data := range e {
		if size%torchwood.TileWidth > 0 {
			if err := v.compareStored(ctx, level, size/torchwood.TileWidth, data); err != nil {
				return err
			}
		}
		size /= torchwood.TileWidth
	}
	return nil
}

// compareStored compares a recomputed tile with the catalog's, which may have grown since.
func (v *verifier) compareStored(ctx context.Context, level int, n int64, data []byte) error {
	stored, err := v.tile(ctx, level, n)
	if err == nil && (len(stored) < len(data) || !bytes.Equal(stored[:len(data)], data)) {
		v.found(FoundTree, 0, -1, "the catalog's hashes of level %d, tile %d, are not those of the leaves", level*torchwood.TileHeight, n)
	}
	return err
}

// compareTile compares a full tile with the catalog's and with the bucket's.
func (v *verifier) compareTile(ctx context.Context, t tlog.Tile, data []byte) error {
	if t.L > 0 {
		if err := v.compareStored(ctx, t.L, t.N, data); err != nil {
			return err
		}
	}
	if (t.N+1)<<(torchwood.TileHeight*(t.L+1)) > v.state.Tiled {
		return nil // it is not in the bucket yet
	}
	v.report.Tiles++
	v.reads.Go(func() error {
		key := v.folder + torchwood.TilePath(t)
		stored, err := read(ctx, v.bucket, key)
		switch {
		case domain.KindOf(err) == domain.KindNotFound:
			v.found(FoundTree, 0, -1, "the bucket lacks %s", key)
		case err != nil:
			return err
		case !bytes.Equal(stored, data):
			return v.nameLeaves(ctx, t, key, stored, data)
		}
		return nil
	})
	return nil
}

// nameLeaves names the leaves in which a tile of the bucket and one of the catalog differ.
func (v *verifier) nameLeaves(ctx context.Context, t tlog.Tile, key string, stored, data []byte) error {
	v.found(FoundTree, 0, -1, "%s in the bucket is not what the catalog's log gives", key)
	if t.L > 0 {
		return nil
	}
	for i := range int64(t.W) {
		from, to := i*tlog.HashSize, (i+1)*tlog.HashSize
		if int64(len(stored)) >= to && bytes.Equal(stored[from:to], data[from:to]) {
			continue
		}
		if err := v.nameLeaf(ctx, t.N*torchwood.TileWidth+i); err != nil {
			return err
		}
	}
	return nil
}

// nameLeaf names a leaf of which the bucket has another hash.
func (v *verifier) nameLeaf(ctx context.Context, n int64) error {
	rows, err := v.log.Leaves(ctx, n, n+1)
	if err != nil || len(rows) == 0 {
		return err
	}
	v.found(FoundChanged, lineOf(rows[0].Key), n, "the %s %d (leaf %d) was changed: the bucket has another hash of it", rows[0].Kind, rows[0].Ref, n)
	return nil
}

// links finds links whose sum is another one.
func (v *verifier) links(ctx context.Context) error {
	const page = 1000
	for after := []byte{}; ; {
		list, err := v.log.Links(ctx, after, page)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, l := range list {
			if sum := sha256.Sum256([]byte(l.Text)); !bytes.Equal(sum[:], l.Sum) {
				v.found(FoundLinks, 0, -1, "the links %x were changed", l.Sum)
			}
			after = l.Sum
		}
	}
}

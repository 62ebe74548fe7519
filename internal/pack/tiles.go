package pack

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/evidence"
)

// provenExport waits for a checkpoint that covers the line of the pack: another sealer may be at
// work.
func (w *writer) provenExport(ctx context.Context, manifest string, since time.Time) (catalog.EvidenceLine, merkle.Checkpoint, error) {
	for deadline := time.Now().Add(exportWait); ; {
		line, err := w.catalog.EvidenceExport(ctx, w.Tenant, manifest, since)
		if err != nil {
			return line, merkle.Checkpoint{}, err
		}
		head, err := w.catalog.Merkle().Newest(ctx)
		if err != nil && domain.KindOf(err) != domain.KindNotFound {
			return line, head, err
		}
		if err == nil && line.Leaf >= 0 && line.Leaf < head.Size {
			policy, err := evidence.Policy(w.Keys.Origin, w.Keys.Verifiers)
			if err == nil {
				_, _, err = torchwood.VerifyCheckpoint([]byte(head.Note), policy)
			}
			return line, head, err
		}
		if time.Now().After(deadline) {
			return line, head, domain.Errorf(domain.KindUnavailable, "the log got no checkpoint in %s; callvault doctor says why, and then make the pack again", exportWait)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return line, head, ctx.Err()
		}
		if err := w.Seal(ctx); err != nil {
			return line, head, fmt.Errorf("seal the log: %w", err)
		}
	}
}

// tiles writes the tiles that lead from the checkpoint to the leaves of the pack. It checks them by
// the checkpoint, as readers of the pack will.
func (w *writer) tiles(ctx context.Context, head merkle.Checkpoint) error {
	r := &tileWriter{writer: w, ctx: ctx, upper: map[tlog.Tile][]byte{}, saved: map[tlog.Tile]bool{}}
	tree := tlog.TileHashReader(tlog.Tree{N: head.Size, Hash: head.Root}, r)
	for _, n := range slices.Sorted(maps.Keys(w.leaves)) {
		if _, err := tree.ReadHashes([]int64{tlog.StoredHashIndex(0, n<<torchwood.TileHeight)}); err != nil {
			return fmt.Errorf("the catalog's hashes of the log do not lead to its checkpoint; callvault log verify says where: %w", err)
		}
	}
	return r.err
}

// tileWriter reads tiles from the catalog, and writes those that were found right.
type tileWriter struct {
	*writer
	ctx   context.Context      // ReadTiles gets none
	upper map[tlog.Tile][]byte // tiles above the lowest level, of which there are few
	saved map[tlog.Tile]bool
	err   error
}

// Height implements [tlog.TileReader].
func (r *tileWriter) Height() int { return torchwood.TileHeight }

// ReadTiles implements [tlog.TileReader].
func (r *tileWriter) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(tiles))
	for i, t := range tiles {
		if data, ok := r.upper[t]; ok {
			out[i] = data
			continue
		}
		data, err := r.catalog.Merkle().Tile(r.ctx, t.L, t.N)
		if err != nil {
			return nil, err
		}
		if len(data) < t.W*tlog.HashSize {
			return nil, fmt.Errorf("the catalog's tile %d of level %d has %d bytes", t.N, t.L, len(data))
		}
		out[i] = data[:t.W*tlog.HashSize]
		if t.L > 0 {
			r.upper[t] = out[i]
		}
	}
	return out, nil
}

// SaveTiles implements [tlog.TileReader]: it is called with tiles that are right.
func (r *tileWriter) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	for i, t := range tiles {
		if r.saved[t] || r.err != nil {
			continue
		}
		r.saved[t] = true
		r.err = r.save(torchwood.TilePath(t), data[i])
	}
}

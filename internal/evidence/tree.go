package evidence

import (
	"context"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/callvault/callvault/internal/catalog/merkle"
)

// Tiles reads the tree's hashes. A tile has at least the hashes of the tree that the caller reads;
// the tree in the catalog may have grown since.
type Tiles interface {
	Tile(ctx context.Context, level int, n int64) ([]byte, error)
}

// tree reads hashes from their tiles, and has those that grow added. It is for one use, because it
// keeps what it has read.
type tree struct {
	ctx   context.Context // ReadHashes gets none
	from  Tiles
	tiles map[tlog.Tile][]byte
	fresh map[int64]tlog.Hash // by index
}

func newTree(ctx context.Context, from Tiles) *tree {
	return &tree{ctx: ctx, from: from, tiles: map[tlog.Tile][]byte{}, fresh: map[int64]tlog.Hash{}}
}

// ReadHashes implements [tlog.HashReader].
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if h, ok := t.fresh[index]; ok {
			out[i] = h
			continue
		}
		tile := tlog.TileForIndex(torchwood.TileHeight, index)
		at := tlog.Tile{L: tile.L, N: tile.N}
		data, ok := t.tiles[at]
		if !ok {
			var err error
			if data, err = t.from.Tile(t.ctx, tile.L, tile.N); err != nil {
				return nil, err
			}
			t.tiles[at] = data
		}
		var err error
		if out[i], err = tlog.HashFromTile(tile, data, index); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// grow adds leaves after the first size ones, and gives the tiles that change.
func (t *tree) grow(size int64, leaves []tlog.Hash) ([]merkle.Tile, error) {
	for i, h := range leaves {
		n := size + int64(i)
		stored, err := tlog.StoredHashesForRecordHash(n, h, t)
		if err != nil {
			return nil, err
		}
		for level, h := range stored {
			t.fresh[tlog.StoredHashIndex(level, n>>level)] = h
		}
	}
	var tiles []merkle.Tile
	for _, tile := range tlog.NewTiles(torchwood.TileHeight, size, size+int64(len(leaves))) {
		data, err := tlog.ReadTileData(tile, t)
		if err != nil {
			return nil, err
		}
		tiles = append(tiles, merkle.Tile{Level: tile.L, N: tile.N, Hashes: data})
	}
	return tiles, nil
}

package evidence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/torchwood"
	"go.uber.org/zap"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// Bucket has the checkpoints and full tiles. Nothing in it is ever overwritten.
type Bucket interface {
	Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error)
	Put(ctx context.Context, key string, data []byte, opts objstore.PutOptions) (etag string, err error)
	KeysAfter(ctx context.Context, folder, after string) ([]string, error)
}

// Config is when and how much the sealer writes. Zero fields take the defaults.
type Config struct {
	Prefix   string        // of all keys in the bucket
	Interval time.Duration // between passes (1 min)
	Lease    time.Duration // how long others wait for a sealer that was killed (1 min)
	Batch    int           // leaves in one transaction (2,000)
	// MaxLeaves bounds the leaves between two checkpoints (16,384), and so what a checkpoint's
	// object has.
	MaxLeaves int
}

// Sealer gives queued leaves their numbers and writes checkpoints. Any number of sealers may run,
// in any number of processes; each runs one pass at a time.
type Sealer struct {
	cfg    Config
	log    *merkle.Log
	bucket Bucket
	keys   func(ctx context.Context) (Keys, error)
	logger *zap.Logger
	next   int64 // the checkpoint that may be written without looking for later ones; 0 for none
}

// NewSealer makes a sealer. keys reads the keys: they may change while it runs.
func NewSealer(cfg Config, log *merkle.Log, bucket Bucket, keys func(ctx context.Context) (Keys, error), logger *zap.Logger) *Sealer {
	cfg.Interval, cfg.Lease = cmp.Or(cfg.Interval, time.Minute), cmp.Or(cfg.Lease, time.Minute)
	cfg.Batch, cfg.MaxLeaves = cmp.Or(cfg.Batch, 2000), cmp.Or(cfg.MaxLeaves, 1<<14)
	return &Sealer{cfg: cfg, log: log, bucket: bucket, keys: keys, logger: logger.Named("sealer")}
}

// Run runs a pass each minute until ctx ends. A pass that fails is repeated by the next one.
func (s *Sealer) Run(ctx context.Context) error {
	tick := time.NewTicker(s.cfg.Interval)
	defer tick.Stop()
	var before error
	for {
		worked, err := s.pass(ctx)
		if ctx.Err() != nil {
			return nil
		}
		switch {
		case err == nil && !worked: // another sealer is at work, so this one has not tried
			err = before
		case err != nil && fmt.Sprint(err) != fmt.Sprint(before):
			s.logger.Warn("the log could not be sealed; trying on", zap.Error(err))
		case err == nil && before != nil:
			s.logger.Info("the log is sealed again")
		}
		before = err
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// releaseTimeout bounds what a pass does after its context has ended.
const releaseTimeout = 5 * time.Second

// pass is one pass of the sealer that has the lease.
type pass struct {
	*Sealer
	right  merkle.Sealer
	keys   Keys
	policy torchwood.Policy
	folder string // of the log in the bucket
}

// Pass seals all that is queued, unless another sealer is at work.
func (s *Sealer) Pass(ctx context.Context) error {
	_, err := s.pass(ctx)
	return err
}

// pass says whether it sealed all that was queued; false without an error when another sealer is
// at work.
func (s *Sealer) pass(ctx context.Context) (worked bool, err error) {
	keys, err := s.keys(ctx)
	if err != nil {
		return false, err
	}
	policy, err := Policy(keys.Origin, keys.Verifiers)
	if err != nil {
		return false, err
	}
	right, acquired, err := s.log.Acquire(ctx, s.cfg.Lease)
	if err != nil || !acquired {
		return false, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
		defer cancel()
		err = errors.Join(err, s.log.Release(ctx, right))
	}()
	p := &pass{Sealer: s, right: right, keys: keys, policy: policy, folder: Folder(s.cfg.Prefix, keys.Origin)}
	err = p.putBack(ctx)
	for more := true; err == nil && more; {
		more, err = p.step(ctx)
	}
	if domain.KindOf(err) == domain.KindLost { // another one has taken over, and goes on
		return false, nil
	}
	return err == nil, err
}

// step numbers leaves for one checkpoint at most, and writes it. It says whether more wait.
func (p *pass) step(ctx context.Context) (more bool, err error) {
	if err := p.follow(ctx); err != nil { // first, since numbers may belong to others after a restore
		return false, err
	}
	if err := p.publishTiles(ctx); err != nil {
		return false, err
	}
	for {
		state, err := p.log.State(ctx)
		if err != nil {
			return false, err
		}
		room := int64(p.cfg.MaxLeaves) - (state.Size - state.CheckpointSize)
		numbered := 0
		if room > 0 {
			if numbered, err = p.number(ctx, state, int(min(room, int64(p.cfg.Batch)))); err != nil {
				return false, err
			}
		}
		if numbered > 0 {
			continue
		}
		if state.Size == state.CheckpointSize {
			return false, nil
		}
		err = p.checkpoint(ctx, state)
		return err == nil, err
	}
}

// number gives the next leaves their numbers, at most limit. It says how many rows it has dealt
// with.
func (p *pass) number(ctx context.Context, state merkle.State, limit int) (int, error) {
	records, err := p.log.Queued(ctx, limit)
	if err != nil {
		return 0, err
	}
	b := merkle.Batch{From: state.Size}
	if rest := limit - len(records); rest > 0 && state.Backfilled < state.BackfillTo {
		former, err := p.log.Backfill(ctx, rest)
		if err != nil {
			return 0, err
		}
		b.Backfilled = state.BackfillTo // where no line is left
		if len(former) == rest {
			b.Backfilled = former[rest-1].Ref
		}
		records = append(records, former...)
	}
	if len(records) == 0 && b.Backfilled == 0 {
		return 0, nil
	}
	fresh, err := p.classify(ctx, records, &b)
	if err != nil {
		return 0, err
	}
	if b.Tiles, err = newTree(ctx, p.log).grow(state.Size, fresh); err != nil {
		return 0, err
	}
	return max(len(records), 1), p.log.Number(ctx, p.right, b)
}

// classify puts records into b: as new leaves, whose hashes it returns, as leaves that were
// adopted, or as gone.
func (p *pass) classify(ctx context.Context, records []merkle.Record, b *merkle.Batch) (fresh []tlog.Hash, err error) {
	hashes := make([]tlog.Hash, len(records))
	for i, r := range records {
		if !r.Missing {
			hashes[i] = LeafHash(p.keys.Secret, r)
		}
	}
	adopted, err := p.log.Adopted(ctx, hashes)
	if err != nil {
		return nil, err
	}
	for i, r := range records {
		leaf := merkle.Leaf{Key: r.Key, Hash: hashes[i]}
		n, known := adopted[hashes[i]]
		switch {
		case r.Missing:
			b.Gone = append(b.Gone, r.Key)
		case known:
			leaf.N = n
			b.Recognised = append(b.Recognised, leaf)
		default:
			leaf.N = b.From + int64(len(fresh))
			fresh, b.Leaves = append(fresh, leaf.Hash), append(b.Leaves, leaf)
		}
	}
	return fresh, nil
}

// checkpoint writes the next checkpoint over all leaves with a number.
func (p *pass) checkpoint(ctx context.Context, state merkle.State) error {
	tree := newTree(ctx, p.log)
	root, err := tlog.TreeHash(state.Size, tree)
	if err != nil {
		return err
	}
	if err := p.proveBefore(ctx, state, root, tree); err != nil {
		return err
	}
	next := merkle.Checkpoint{N: state.Checkpoint + 1, Size: state.Size, Root: root}
	if next.Note, err = p.keys.sign(state.Size, root); err != nil {
		return err
	}
	object, err := p.object(next, state.CheckpointSize, tree)
	if err != nil {
		return err
	}
	if err := p.refuseGap(ctx, next.N); err != nil {
		return err
	}
	_, err = p.bucket.Put(ctx, p.folder+checkpointKey(next.N), object, objstore.PutOptions{ContentType: "text/plain", IfNoneMatch: true})
	switch {
	case err == nil:
		p.next++
		err = p.log.Record(ctx, p.right, next)
	case domain.KindOf(err) == domain.KindConflict: // an earlier try of ours, or another sealer's
		err = nil
	}
	if err != nil {
		return err
	}
	return p.follow(ctx)
}

// object gives a checkpoint as the bucket has it. The checkpoint before it has the first before
// leaves.
func (p *pass) object(c merkle.Checkpoint, before int64, tree *tree) (object []byte, err error) {
	out := published{Checkpoint: c, first: firstOf(before)}
	indexes := make([]int64, 0, c.Size-out.first)
	for n := out.first; n < c.Size; n++ {
		indexes = append(indexes, tlog.StoredHashIndex(0, n))
	}
	if out.leaves, err = tree.ReadHashes(indexes); err != nil {
		return nil, err
	}
	object = out.format()
	if _, err := parsePublished(object, p.policy); err != nil { // it can never be overwritten
		return nil, fmt.Errorf("checkpoint %d was not written, since no reader would accept it: %w", c.N, err)
	}
	return object, nil
}

// proveBefore proves the last checkpoint to be a prefix of the tree.
func (p *pass) proveBefore(ctx context.Context, state merkle.State, root tlog.Hash, tree *tree) error {
	if state.Checkpoint == 0 {
		return nil
	}
	before, err := p.log.Newest(ctx)
	if err != nil {
		return err
	}
	proof, err := tlog.ProveTree(state.Size, before.Size, tree)
	if err == nil {
		err = tlog.CheckTree(proof, state.Size, root, before.Size, before.Root)
	}
	if err != nil {
		return domain.Wrap(domain.KindBadCatalog, err, "the log in the catalog does not continue checkpoint %d; run: callvault log verify", before.N)
	}
	return nil
}

// publishTiles writes the full tiles of the last checkpoint to the bucket. It does so before the
// next checkpoint, so that full tiles and one checkpoint are enough to know every leaf.
func (p *pass) publishTiles(ctx context.Context) error {
	state, err := p.log.State(ctx)
	if err != nil || state.Tiled >= state.CheckpointSize {
		return err
	}
	for _, tile := range tlog.NewTiles(torchwood.TileHeight, state.Tiled, state.CheckpointSize) {
		if tile.W < torchwood.TileWidth {
			continue
		}
		data, err := p.log.Tile(ctx, tile.L, tile.N)
		if err != nil {
			return err
		}
		_, err = p.bucket.Put(ctx, p.folder+torchwood.TilePath(tile), data, objstore.PutOptions{IfNoneMatch: true})
		if err != nil && domain.KindOf(err) != domain.KindConflict {
			return err
		}
	}
	return p.log.Tiled(ctx, p.right, state.CheckpointSize)
}

// read reads an object of the log whole.
func read(ctx context.Context, bucket Bucket, key string) ([]byte, error) {
	object, err := bucket.Get(ctx, key, objstore.GetOptions{})
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(object.Body)
	return data, errors.Join(err, object.Body.Close())
}

package evidence_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/evidence"
	"github.com/callvault/callvault/internal/objstore"
)

func TestSealAndVerify(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.lines(700)
		f.seal(evidence.Config{MaxLeaves: 300, Batch: 100})
		r := f.sound()
		if r.Size != 701 || r.Checkpoint != 3 || r.Checkpoints != 3 || r.Objects != 3 || r.Tiles != 2 || r.Waiting != 0 {
			f.Errorf("%+v", r)
		}
		f.seal(evidence.Config{})
		if again := f.sound(); again.Checkpoint != 3 {
			f.Errorf("a pass without new lines: %+v", again)
		}
		f.line(1)
		if r := f.sound(); r.Waiting != 1 {
			f.Errorf("%+v", r)
		}
		f.seal(evidence.Config{})
		if r := f.sound(); r.Size != 702 || r.Checkpoint != 4 {
			f.Errorf("%+v", r)
		}
	})
}

// A leaf is proven by the first checkpoint that covers it, to whoever has one of the keys.
func TestProofsAndKeys(t *testing.T) {
	onBoth(t, func(f *fixture) {
		key := merkle.Key{Kind: merkle.KindSeal, Ref: f.addSeal(aSeal)}
		log := f.c.Merkle()
		if _, err := evidence.Prove(f.ctx, log, key); domain.KindOf(err) != domain.KindNotFound {
			f.Errorf("before it has a number: %v", err)
		}
		f.lines(300)
		f.seal(evidence.Config{})
		before, err := f.keys(f.ctx)
		f.must(err)
		public, err := auth.RotateLogKey(f.ctx, f.c, "", before.Origin, audit.Origin{Actor: "command"})
		f.must(err)
		f.seal(evidence.Config{})
		proof, err := evidence.Prove(f.ctx, log, key)
		f.must(err)
		after, err := f.keys(f.ctx)
		f.must(err)
		if !slices.Equal(after.Verifiers, append([]string{public}, before.Verifiers...)) {
			f.Errorf("the keys are %v", after.Verifiers)
		}
		check := func(want bool, leaf string, keys ...string) {
			f.Helper()
			policy, err := evidence.Policy(after.Origin, keys)
			f.must(err)
			err = torchwood.VerifyProof(policy, tlog.RecordHash([]byte(leaf)), proof)
			if (err == nil) != want {
				f.Errorf("%s by %v: %v", leaf, keys, err)
			}
		}
		check(true, aSeal, public)
		check(true, aSeal, before.Verifiers...) // both sign after a rotation
		check(false, `{"day":"2025-12-13"}`, public)
		_, err = f.c.DB().ExecContext(f.ctx, `UPDATE keys SET retired_us = retired_us - 691200000000`) // 8 days
		f.must(err)
		f.line(0)
		f.seal(evidence.Config{})
		proof, err = evidence.Prove(f.ctx, log, key)
		f.must(err)
		check(false, aSeal, before.Verifiers...)
		check(true, aSeal, after.Verifiers...)
		f.sound() // the public key of former checkpoints stays
		for range 20 {
			_, err = auth.RotateLogKey(f.ctx, f.c, "", before.Origin, audit.Origin{Actor: "command"})
			f.must(err)
		}
		if n := f.count(`SELECT count(*) FROM keys WHERE purpose = 'log'`); n != 21 { // the first one is deleted
			f.Errorf("%d private keys are kept", n)
		}
		if after, err = f.keys(f.ctx); err != nil || len(after.Signers) != 16 {
			f.Errorf("%d keys sign, error %v", len(after.Signers), err)
		}
	})
}

// A checkpoint that no reader would accept is not written, since it could never be overwritten.
func TestUnreadableCheckpoint(t *testing.T) {
	f := open(t, "sqlite://"+t.TempDir()+"/c.db", bucket(t))
	keys, err := f.keys(f.ctx)
	f.must(err)
	_, other, err := evidence.NewKey(keys.Origin)
	f.must(err)
	_, err = f.c.DB().ExecContext(f.ctx, `UPDATE log_keys SET verifier = $1`, other)
	f.must(err)
	if err := f.sealer(evidence.Config{}).Pass(f.ctx); domain.KindOf(err) != domain.KindBadCatalog {
		t.Errorf("a checkpoint by an unknown key: %v", err)
	}
	_, err = f.c.DB().ExecContext(f.ctx, `UPDATE log_keys SET verifier = $1`, keys.Verifiers[0])
	f.must(err)
	f.seal(evidence.Config{})
	f.sound()
}

// Of several who rotate the key at once, those that come late are told so.
func TestRotateAtOnce(t *testing.T) {
	onBoth(t, func(f *fixture) {
		keys, err := f.keys(f.ctx)
		f.must(err)
		before := f.count(`SELECT count(*) FROM log_keys`)
		done := make(chan error)
		for range 8 {
			go func() {
				_, err := auth.RotateLogKey(f.ctx, f.c, "", keys.Origin, audit.Origin{Actor: "command"})
				done <- err
			}()
		}
		won := int64(0)
		for range 8 {
			switch err := <-done; {
			case err == nil:
				won++
			case domain.KindOf(err) != domain.KindConflict:
				f.Error(err)
			}
		}
		all, current := f.count(`SELECT count(*) FROM log_keys`), f.count(`SELECT count(*) FROM log_keys WHERE retired_us IS NULL`)
		if won == 0 || all != before+won || current != 1 {
			f.Errorf("of 8 rotations %d succeeded; there are %d keys, %d of them current", won, all, current)
		}
	})
}

// A file with a key that is not written canonically is refused, and no private key is repeated. The
// catalog may have one key in two ways.
func TestKeysAreCanonical(t *testing.T) {
	_, key, err := evidence.NewKey("callvault/x")
	if err != nil {
		t.Fatal(err)
	}
	name, rest, _ := strings.Cut(key, "+")
	hash, data, _ := strings.Cut(rest, "+")
	upper := name + "+" + strings.ToUpper(hash) + "+" + data
	for name, text := range map[string]string{
		"no canonical hash": name + "+0" + hash + "+" + data, "a private key": "PRIVATE+KEY+callvault/x+secret", "a long line": key + "\n" + strings.Repeat("x", 70_000),
	} {
		if _, err := evidence.ParseKeys(text); domain.KindOf(err) != domain.KindInvalid || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = evidence.Policy(name, []string{key, upper, key})
	if err != nil {
		t.Error(err)
	}
}

// A sealer that has lost its right writes nothing, and one that was killed is waited for.
func TestFencing(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.lines(3)
		log := f.c.Merkle()
		former, acquired, err := log.Acquire(f.ctx, 200*time.Millisecond)
		f.must(err)
		f.seal(evidence.Config{Lease: 200 * time.Millisecond})
		if state, err := log.State(f.ctx); err != nil || !acquired || state.Size != 0 {
			f.Errorf("beside another sealer: %+v, error %v", state, err)
		}
		time.Sleep(250 * time.Millisecond)
		f.seal(evidence.Config{Lease: 200 * time.Millisecond})
		r := f.sound()
		if r.Size != 4 || r.Checkpoint != 1 {
			f.Errorf("after it: %+v", r)
		}
		leaf := merkle.Leaf{N: 4, Key: merkle.Key{Kind: merkle.KindLine, Ref: 99}}
		for name, err := range map[string]error{
			"number": log.Number(f.ctx, former, merkle.Batch{From: 4, Leaves: []merkle.Leaf{leaf}}),
			"record": log.Record(f.ctx, former, merkle.Checkpoint{N: 2, Size: 4}),
			"reset":  log.Reset(f.ctx, former), "tiled": log.Tiled(f.ctx, former, 4),
		} {
			if domain.KindOf(err) != domain.KindLost {
				f.Errorf("%s: %v", name, err)
			}
		}
		f.sound()
	})
}

// Lines from before the log are numbered too, once, beside those that come meanwhile.
func TestBackfill(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.lines(500)
		f.exec(`DELETE FROM audit WHERE seq IN (17, 18, 501)`, `DELETE FROM log_queue`, `UPDATE log_state SET backfill_to = 501`)
		f.lines(20)
		if r := f.sound(); r.Waiting != 518 {
			f.Errorf("before: %+v", r)
		}
		f.seal(evidence.Config{Batch: 64, MaxLeaves: 200})
		if r := f.sound(); r.Waiting != 0 || r.Size != 518 || f.count(`SELECT count(DISTINCT ref) FROM log_leaves`) != 518 {
			f.Errorf("after: %+v", r)
		}
	})
}

// While the object store is away the log only waits, and numbers no more than one checkpoint takes.
func TestOutage(t *testing.T) {
	f := open(t, "sqlite://"+t.TempDir()+"/c.db", bucket(t))
	f.lines(100)
	well := f.bucket
	f.bucket = away{well}
	if err := f.sealer(evidence.Config{MaxLeaves: 30}).Pass(f.ctx); domain.KindOf(err) != domain.KindUnavailable {
		t.Errorf("%v", err)
	}
	f.bucket = noPut{well}
	if err := f.sealer(evidence.Config{MaxLeaves: 30}).Pass(f.ctx); domain.KindOf(err) != domain.KindUnavailable {
		t.Errorf("%v", err)
	}
	if state, err := f.c.Merkle().State(f.ctx); err != nil || state.Size != 30 || state.Checkpoint != 0 {
		t.Errorf("%+v, error %v", state, err)
	}
	f.bucket = well
	f.seal(evidence.Config{MaxLeaves: 30})
	if r := f.sound(); r.Size != 101 || r.Checkpoint != 4 {
		t.Errorf("%+v", r)
	}
}

// away is a bucket that does not answer, noPut one that takes nothing.
type (
	away  struct{ evidence.Bucket }
	noPut struct{ evidence.Bucket }
)

func (away) Get(context.Context, string, objstore.GetOptions) (*objstore.Object, error) {
	return nil, domain.Errorf(domain.KindUnavailable, "no answer")
}

func (noPut) Put(context.Context, string, []byte, objstore.PutOptions) (string, error) {
	return "", domain.Errorf(domain.KindUnavailable, "no answer")
}

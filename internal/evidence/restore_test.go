package evidence_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/evidence"
	"github.com/callvault/callvault/internal/objstore"
)

// object reads an object of the log; "" when there is none.
func (f *fixture) object(name string) string {
	f.Helper()
	o, err := f.bucket.Get(f.ctx, f.folder()+name, objstore.GetOptions{})
	if domain.KindOf(err) == domain.KindNotFound {
		return ""
	}
	f.must(err)
	data, err := io.ReadAll(o.Body)
	f.must(err)
	f.must(o.Body.Close())
	return string(data)
}

func (f *fixture) folder() string {
	f.Helper()
	keys, err := f.keys(f.ctx)
	f.must(err)
	return evidence.Folder(prefix, keys.Origin)
}

// lose deletes objects of the log, as the restore of an older bucket does.
func (f *fixture) lose(names ...string) {
	f.Helper()
	for _, name := range names {
		f.must(f.bucket.(interface {
			Remove(ctx context.Context, key string) error
		}).Remove(f.ctx, f.folder()+name))
	}
}

// sealed makes a log of so many checkpoints, with 200 lines in each.
func (f *fixture) sealed(checkpoints int) {
	f.Helper()
	for range checkpoints {
		f.lines(200)
		f.seal(evidence.Config{})
	}
}

func checkpoint(n int) string { return fmt.Sprintf("checkpoints/%012d", n) }

// What the bucket lost is written again, the same, before anything else is: so a catalog that is
// restored later still goes on after it.
func TestRestoredBucket(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.sealed(2)
		old := f.backup()
		f.sealed(3)
		lost := []string{checkpoint(3), checkpoint(4), checkpoint(5), "tile/0/001", "tile/0/002"}
		before := map[string]string{}
		for _, name := range lost {
			if before[name] = f.object(name); before[name] == "" {
				t.Fatalf("there is no %s", name)
			}
		}
		f.lose(lost...)
		f.seal(evidence.Config{})
		for _, name := range lost {
			if f.object(name) != before[name] {
				t.Errorf("%s was not written again as it was", name)
			}
		}
		if r := f.sound(); r.Checkpoint != 5 {
			t.Errorf("%+v", r)
		}
		f.exec(old...)
		f.sealed(1)
		keys, err := f.keys(f.ctx)
		f.must(err)
		r, err := evidence.Verify(f.ctx, f.c.Merkle(), f.bucket, prefix, keys, evidence.VerifyOptions{Lost: 600})
		f.must(err)
		if text := findings(r); text != "" || r.Checkpoint != 6 || r.Lost != 600 {
			t.Errorf("%+v\n%s", r, text)
		}
		for _, want := range []int64{600, 0} {
			if b, err := f.c.Backlog(f.ctx); err != nil || b.Log.Lost != 600 || b.Log.LostLately != want {
				t.Errorf("%+v, %v; want %d lost lately", b.Log, err, want)
			}
			f.exec(`UPDATE log_checkpoints SET at_us = at_us - 86400000000`)
		}
		f.chain(6)
	})
}

// A bucket that was lost whole is written again whole.
func TestLostBucket(t *testing.T) {
	f := open(t, "sqlite://"+t.TempDir()+"/c.db", bucket(t))
	f.sealed(3)
	f.bucket = bucket(t)
	f.sealed(1)
	if r := f.sound(); r.Checkpoint != 4 {
		t.Errorf("%+v", r)
	}
	f.chain(4)
}

// No checkpoint is written in the place of one that the bucket lost and the catalog never knew.
func TestLostCheckpoint(t *testing.T) {
	f := open(t, "sqlite://"+t.TempDir()+"/c.db", bucket(t))
	f.sealed(2)
	old := f.backup()
	f.sealed(2)
	third := f.object(checkpoint(3))
	f.lose(checkpoint(3))
	f.exec(old...)
	f.lines(5)
	if err := f.sealer(evidence.Config{}).Pass(f.ctx); domain.KindOf(err) != domain.KindBadCatalog || !strings.Contains(err.Error(), "second log") {
		t.Errorf("a checkpoint in the place of a lost one: %v", err)
	}
	if f.object(checkpoint(3)) != "" {
		t.Error("it was written")
	}
	_, err := f.bucket.Put(f.ctx, f.folder()+checkpoint(3), []byte(third), objstore.PutOptions{})
	f.must(err)
	f.seal(evidence.Config{})
	f.chain(5)
}

// The leaves in a checkpoint's object, by which a restored catalog goes on, are compared too.
func TestChangedObject(t *testing.T) {
	f := open(t, "sqlite://"+t.TempDir()+"/c.db", bucket(t))
	f.sealed(3)
	text := f.object(checkpoint(2))
	head, signed, _ := strings.Cut(text, "\n\n")
	number, leaves, _ := strings.Cut(head, "\n")
	flipped := map[byte]string{'A': "B"}[leaves[9]]
	if flipped == "" {
		flipped = "A"
	}
	for want, leaves := range map[string]string{
		"was changed: it has another hash of leaf 0 ": leaves[:9] + flipped + leaves[10:],
		"is of another log than checkpoint 2":         "leaves 401 ",
	} {
		g := *f
		g.bucket = over{Bucket: f.bucket, key: checkpoint(2), data: []byte(number + "\n" + leaves + "\n\n" + signed)}
		if said := findings(g.verify("")); !strings.Contains(said, want) || strings.Count(said, "\n") != 1 {
			t.Errorf("%s: found\n%s", want, said)
		}
	}
}

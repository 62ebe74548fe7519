package evidence_test

import (
	"context"
	"database/sql"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/evidence"
	"github.com/callvault/callvault/internal/objstore"
)

// killing is a bucket whose callers are killed at random: before a request, after it, or they get
// no clear answer.
type killing struct {
	evidence.Bucket
	kill context.CancelFunc
}

func (k killing) dies(ctx context.Context) error {
	switch rand.IntN(6) {
	case 0:
		k.kill()
		return ctx.Err()
	case 1:
		return domain.Errorf(domain.KindUnavailable, "no answer")
	case 2:
		time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
	}
	return nil
}

func (k killing) Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error) {
	if err := k.dies(ctx); err != nil {
		return nil, err
	}
	return k.Bucket.Get(ctx, key, opts)
}

func (k killing) Put(ctx context.Context, key string, data []byte, opts objstore.PutOptions) (string, error) {
	if err := k.dies(ctx); err != nil {
		return "", err
	}
	etag, err := k.Bucket.Put(context.WithoutCancel(ctx), key, data, opts)
	if dead := k.dies(ctx); dead != nil {
		return "", dead
	}
	return etag, err
}

// Sealers that are killed at random while lines are written put every line into the log once, and
// each checkpoint is a prefix of the next.
func TestKilledSealers(t *testing.T) {
	f := open(t, catalogtest.Postgres(t), bucket(t))
	const enough = 15                                        // checkpoints
	going, stop := context.WithTimeout(f.ctx, 2*time.Minute) // a slow machine has time
	defer stop()
	var work sync.WaitGroup
	for range 2 {
		work.Go(func() {
			for going.Err() == nil {
				ctx, kill := context.WithTimeout(f.ctx, time.Duration(rand.IntN(400))*time.Millisecond)
				g := *f
				g.bucket = killing{f.bucket, kill}
				_ = g.sealer(evidence.Config{Batch: 7, MaxLeaves: 40, Lease: 50 * time.Millisecond}).Pass(ctx)
				kill()
				if state, err := f.c.Merkle().State(f.ctx); err != nil || state.Checkpoint >= enough {
					stop()
				}
			}
		})
	}
	for i := range 3 {
		work.Go(func() {
			for n := 0; going.Err() == nil; n++ {
				err := f.c.DB().Update(f.ctx, func(tx *db.Tx) error {
					if err := (audit.Origin{Actor: "command"}).Append(f.ctx, tx, int64(n), "acme", "test", map[string]int{"of": i, "n": n}); err != nil {
						return err
					}
					time.Sleep(time.Duration(rand.IntN(5)) * time.Millisecond) // others commit before
					if n%9 == 0 {
						return context.Canceled // leaves a gap between the numbers
					}
					return nil
				})
				if err != nil && n%9 > 0 {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	time.Sleep(60 * time.Millisecond) // the last lease
	f.seal(evidence.Config{})
	r := f.sound()
	lines := f.count(`SELECT count(*) FROM audit`)
	if r.Size != lines || r.Waiting != 0 || f.count(`SELECT count(DISTINCT ref) FROM log_leaves`) != lines || r.Checkpoint < enough {
		t.Errorf("%d lines, %+v", lines, r)
	}
	t.Logf("%d lines, %d checkpoints, %d sealers", lines, r.Checkpoint, f.count(`SELECT token FROM log_state`))
	f.chain(r.Checkpoint)
}

// chain checks, from the bucket alone, that each checkpoint is a prefix of the next.
func (f *fixture) chain(last int64) {
	f.Helper()
	keys, err := f.keys(f.ctx)
	f.must(err)
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, err error) {
		for _, i := range indexes {
			out = append(out, stored[i])
		}
		return out, nil
	})
	size := int64(0)
	for n := int64(1); n <= last; n++ {
		object, err := f.bucket.Get(f.ctx, fmt.Sprintf("%scheckpoints/%012d", evidence.Folder(prefix, keys.Origin), n), objstore.GetOptions{})
		f.must(err)
		var first int64
		var hashes, origin, root string
		var of, leaves int64
		_, err = fmt.Fscanf(object.Body, "callvault log checkpoint %d\nleaves %d %s\n\n%s\n%d\n%s\n", &of, &first, &hashes, &origin, &leaves, &root)
		f.must(err)
		object.Body.Close()
		raw, err := base64.StdEncoding.DecodeString(hashes)
		f.must(err)
		for i := range int64(len(raw) / tlog.HashSize) {
			h := tlog.Hash(raw[i*tlog.HashSize:])
			if at := first + i; at < size {
				if stored[tlog.StoredHashIndex(0, at)] != h {
					f.Errorf("checkpoint %d has another leaf %d", n, at)
				}
				continue
			}
			more, err := tlog.StoredHashesForRecordHash(size, h, reader)
			f.must(err)
			stored = append(stored, more...)
			size++
		}
		got, err := tlog.TreeHash(size, reader)
		f.must(err)
		if got.String() != root || leaves != size || of != n {
			f.Errorf("checkpoint %d is not of the leaves that it and all before have", n)
		}
	}
}

// A catalog that is restored from a backup goes on after the bucket's newest checkpoint, knows the
// lines that it still has, and says what it has lost.
func TestRestoredCatalog(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.lines(300)
		f.seal(evidence.Config{})
		f.lines(20) // in the backup they have numbers that no checkpoint covers
		well := f.bucket
		f.bucket = noPut{well}
		if err := f.sealer(evidence.Config{}).Pass(f.ctx); err == nil {
			f.Error("a checkpoint without an object")
		}
		f.bucket = well
		f.lines(3) // they are queued in the backup
		old := f.backup()
		f.seal(evidence.Config{})
		f.lines(400) // they are lost
		f.seal(evidence.Config{MaxLeaves: 150})
		f.line(0)
		kept := f.note()
		f.exec(old...)
		f.lines(5)
		if said := findings(f.verify("")); !strings.Contains(said, "which the catalog lacks: it was restored from a backup") {
			f.Errorf("before a sealer runs:\n%s", said)
		}
		f.seal(evidence.Config{})
		f.lines(300)
		f.seal(evidence.Config{})
		keys, err := f.keys(f.ctx)
		f.must(err)
		r, err := evidence.Verify(f.ctx, f.c.Merkle(), f.bucket, prefix, keys, evidence.VerifyOptions{Since: kept, Lost: 400})
		f.must(err)
		if text := findings(r); text != "" || r.Lost != 400 || r.Size != 301+20+3+400+5+300 || r.Since != 724 {
			f.Errorf("%+v\n%s", r, text)
		}
		if said := findings(f.verify("")); !strings.HasPrefix(said, "lost: the catalog does not have the lines of 400 leaves, the last of which is leaf 723: ") || strings.Count(said, "\n") != 1 {
			f.Errorf("what was lost:\n%s", said)
		}
		f.chain(r.Checkpoint)
	})
}

// note gives the newest checkpoint.
func (f *fixture) note() string {
	f.Helper()
	c, err := f.c.Merkle().Newest(f.ctx)
	f.must(err)
	return c.Note
}

// backup gives the statements that bring the log and the audit log back to what they are now.
func (f *fixture) backup() (statements []string) {
	f.Helper()
	tables := []string{"audit", "log_queue", "log_leaves", "log_adopted", "log_tiles", "log_checkpoints", "log_state"}
	for _, table := range tables {
		_, err := f.c.DB().ExecContext(f.ctx, `CREATE TABLE backup_`+table+` AS SELECT * FROM `+table)
		f.must(err)
		of := ""
		if table == "audit" && f.c.DB().Postgres() {
			of = "(seq, at_us, tenant, actor, action, detail, links) OVERRIDING SYSTEM VALUE "
		}
		statements = append(statements, `DELETE FROM `+table, `INSERT INTO `+table+` `+of+`SELECT * FROM backup_`+table)
	}
	f.must(db.Each(f.ctx, f.c.DB(), func(rows *sql.Rows) error {
		var last int64
		err := rows.Scan(&last)
		if f.c.DB().Postgres() {
			statements = append(statements, fmt.Sprintf(`SELECT setval(pg_get_serial_sequence('audit', 'seq'), %d)`, last))
		} else {
			statements = append(statements, fmt.Sprintf(`UPDATE sqlite_sequence SET seq = %d WHERE name = 'audit'`, last))
		}
		return err
	}, `SELECT max(seq) FROM audit`))
	return statements
}

// Numbers that a catalog gave while another one wrote the next checkpoint are taken back.
func TestNumbersOfOthers(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.lines(10)
		f.seal(evidence.Config{})
		old := f.backup()
		f.lines(5) // they are lost
		f.seal(evidence.Config{})
		f.exec(old...)
		f.lines(7)
		well := f.bucket
		f.bucket = noPut{over{Bucket: well, key: "checkpoints/000000000002"}} // the other one writes it a moment later
		if err := f.sealer(evidence.Config{}).Pass(f.ctx); err == nil {
			f.Error("a checkpoint without an object")
		}
		if state, err := f.c.Merkle().State(f.ctx); err != nil || state.Size != 18 {
			f.Errorf("%+v, error %v", state, err)
		}
		f.bucket = well
		f.seal(evidence.Config{})
		keys, err := f.keys(f.ctx)
		f.must(err)
		r, err := evidence.Verify(f.ctx, f.c.Merkle(), f.bucket, prefix, keys, evidence.VerifyOptions{Lost: 5})
		f.must(err)
		if text := findings(r); text != "" || r.Lost != 5 || r.Size != 11+5+7 || r.Checkpoint != 3 {
			f.Errorf("%+v\n%s", r, text)
		}
		f.chain(3)
	})
}

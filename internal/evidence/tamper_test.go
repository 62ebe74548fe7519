package evidence_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/evidence"
	"github.com/callvault/callvault/internal/objstore"
)

// addSeal adds a seal of a day to the log and gives its id.
func (f *fixture) addSeal(text string) (id int64) {
	f.Helper()
	f.must(f.c.DB().Update(f.ctx, func(tx *db.Tx) (err error) {
		if id, err = merkle.Add(f.ctx, tx, merkle.KindSeal, []byte(text)); err != nil {
			return err
		}
		_, err = tx.ExecContext(f.ctx, `INSERT INTO day_seals VALUES ('acme', '2025-12-12', $1, 0)`, id)
		return err
	}))
	return id
}

// over is a bucket in which one object has other bytes, or is gone.
type over struct {
	evidence.Bucket
	key  string
	data []byte // nil: it is gone
}

func (o over) Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error) {
	if !strings.HasSuffix(key, o.key) {
		return o.Bucket.Get(ctx, key, opts)
	}
	if o.data == nil {
		return o.Bucket.Get(ctx, key+".gone", opts)
	}
	object, err := o.Bucket.Get(ctx, key, opts)
	if err == nil {
		object.Body = body{strings.NewReader(string(o.data))}
	}
	return object, err
}

type body struct{ *strings.Reader }

func (body) Close() error { return nil }

// rebuilt gives statements that make a table anew, without its keys and constraints, so that it
// takes rows that change adds.
func rebuilt(table, change string) []string {
	return []string{`ALTER TABLE ` + table + ` RENAME TO former`, `CREATE TABLE ` + table + ` AS SELECT * FROM former`, `DROP TABLE former`, change}
}

const insertLine = `INSERT INTO audit (at_us, tenant, actor, action, detail) VALUES (5, 'acme', 'x', 'y', '{}')`

const aSeal = `{"tenant":"acme","utcDay":"2025-12-12","x":1}`

const copyLine = `INSERT INTO audit (at_us, tenant, actor, action, detail) SELECT at_us, tenant, actor, action, detail FROM audit WHERE seq = `

// Whatever the owner of the database changes is named, each by itself. The last 100 leaves are in
// no full tile.
func TestTampering(t *testing.T) {
	for _, c := range []struct {
		name       string
		statements []string
		bucket     *over
		want       []string // each is in a finding of its own
	}{
		{"changed", []string{`UPDATE audit SET actor = 'nobody' WHERE seq = 7`}, nil, []string{"changed: the line 7 "}},
		{"changed time, in no full tile", []string{`UPDATE audit SET at_us = at_us + 1 WHERE seq = 600`}, nil, []string{"changed: the line 600 "}},
		{"dropped", []string{`DELETE FROM audit WHERE seq = 8`}, nil, []string{"dropped: the line 8 "}},
		{"dropped with its leaf", []string{`DELETE FROM audit WHERE seq = 8`, `DELETE FROM log_leaves WHERE ref = 8 AND kind = 'line'`}, nil, []string{"dropped: the row of leaf 7 is gone"}},
		{"dropped, and said to be lost", []string{`DELETE FROM audit WHERE seq = 8`, `UPDATE log_leaves SET ref = NULL, kind = NULL WHERE ref = 8 AND kind = 'line'`}, nil, []string{"lost: "}},
		{"doubled", []string{copyLine + `9`}, nil, []string{"doubled: the line 613 was inserted: it doubles line 9"}},
		{"inserted", []string{insertLine}, nil, []string{"inserted: the line 613 "}},
		{"moved", []string{copyLine + `10`, `DELETE FROM audit WHERE seq = 10`}, nil, []string{"moved: the line 10 was moved: what it said stands in line 613 now", "inserted: the line 613"}},
		{"swapped", []string{
			`UPDATE audit SET at_us = 2019 - at_us, detail = CASE seq WHEN 11 THEN '{"n":10}' ELSE '{"n":9}' END WHERE seq IN (11, 12)`,
		}, nil, []string{"moved: the line 11 was moved: what it said stands in line 12", "moved: the line 12 was moved: what it said stands in line 11"}},
		{"a seal", []string{`UPDATE log_records SET data = replace(data, '1}', '2}') WHERE id = 1`}, nil, []string{"changed: the seal 1 "}},
		{"a seal without the queue", []string{`INSERT INTO log_records (kind, data) VALUES ('seal', '{}')`}, nil, []string{"inserted: the seal 2 "}},
		{"a seal that no day has", []string{`DELETE FROM day_seals`}, nil, []string{"dropped: the seal 1 is gone from its day"}},
		{"a seal of another day", []string{`UPDATE day_seals SET day = '2025-12-13'`}, nil, []string{"dropped: the seal 1 is gone from its day"}},
		{"before it had a number", []string{`DELETE FROM audit WHERE seq = 612`}, nil, []string{"dropped: the line 612 is gone: it was taken away before"}},
		{"taken away while it waited, and another one put there", []string{
			`UPDATE log_queue SET gone = TRUE WHERE ref = 612 AND kind = 'line'`, `UPDATE audit SET actor = 'nobody' WHERE seq = 612`,
		}, nil, []string{"dropped: the line 612 is gone: it was taken away before", "inserted: the line 612 "}},
		{"inserted, and said to be gone", []string{
			insertLine, `INSERT INTO log_queue VALUES ('line', 613, TRUE)`,
		}, nil, []string{"inserted: the line 613 ", "dropped: the line 613 "}},
		{"inserted before all", []string{
			`INSERT INTO audit (seq, at_us, tenant, actor, action, detail) VALUES (-1, 5, 'acme', 'x', 'y', '{}'), (-9223372036854775808, 6, 'acme', 'x', 'y', '{}')`,
		}, nil, []string{"inserted: the line -1 ", "inserted: the line -9223372036854775808 "}},
		{"a seal before all", []string{`INSERT INTO log_records (id, kind, data) VALUES (-1, 'seal', '{}')`}, nil, []string{"inserted: the seal -1 "}},
		{"inserted, with a leaf before all", []string{insertLine, `INSERT INTO log_leaves (n, ref, kind) VALUES (-1, 613, 'line')`}, nil, []string{"inserted: the line 613 "}},
		{"inserted, with a leaf behind all", []string{insertLine, `INSERT INTO log_leaves (n, ref, kind) VALUES (9999, 613, 'line')`}, nil, []string{"inserted: the line 613 "}},
		{"inserted, with a leaf of another line", append(rebuilt("log_leaves", `INSERT INTO log_leaves (n, ref, kind) VALUES (6, 613, 'line')`), insertLine), nil, []string{"doubled: leaf "}},
		{"inserted twice under one number", rebuilt("audit", `INSERT INTO audit SELECT seq, at_us, tenant, 'x', action, detail, links FROM audit WHERE seq = 7`), nil, []string{"doubled: leaf 6 "}},
		{"a record of another kind", []string{`INSERT INTO log_records (kind, data) VALUES ('line', '{}')`}, nil, []string{"inserted: the line 2 "}},
		{"no tenant", rebuilt("audit", `UPDATE audit SET tenant = NULL WHERE seq = 1`), nil, []string{"dropped: the line 1 "}},
		{"links where there were none", []string{`UPDATE audit SET links = x'' WHERE seq = 7`, `INSERT INTO audit_links (sum, links) VALUES (x'', '[9]')`}, nil, []string{"links: the links that line 7 names are gone"}},
		{"a checkpoint more", []string{`INSERT INTO log_checkpoints SELECT 9, size + 1, root, note, at_us FROM log_checkpoints WHERE n = 3`}, nil, []string{"checkpoint: the catalog has checkpoint 9"}},
		{"queued, and taken from both", []string{`DELETE FROM log_queue WHERE ref = 612 AND kind = 'line'`}, nil, []string{"inserted: the line 612 "}},
		{"a hash", []string{`UPDATE log_tiles SET hashes = (SELECT hashes FROM log_tiles b WHERE b.level = 0 AND b.n = 1) WHERE level = 0 AND n = 0`}, nil, []string{"changed: the line 3 ", "tree: ", "checkpoint: "}},
		{"a line and its hash", nil, nil, []string{"tree: callvault/log/", "changed: the line 7 (leaf 6) was changed: the bucket has another hash", "checkpoint: the leaves from "}},
		{"a line and its hash, in no full tile", nil, nil, []string{"changed: the line 600 (leaf 599) was changed: the bucket has another hash", "checkpoint: the leaves from "}},
		{"a tile that is not of leaves", []string{`UPDATE log_tiles SET hashes = (SELECT hashes FROM log_tiles b WHERE b.level = 0 AND b.n = 0) WHERE level = 1`}, nil, []string{"tree: the catalog's hashes of level 8"}},
		{"a tile is gone", []string{`DELETE FROM log_tiles WHERE level = 0 AND n = 1`}, nil, []string{"tree: the catalog has no hash of leaf 256"}},
		{"checkpoints", []string{`DELETE FROM log_checkpoints WHERE n = 2`}, nil, []string{"checkpoint: the catalog lacks checkpoints between 1 and 3"}},
		{"the end is cut off", []string{`DELETE FROM log_checkpoints WHERE n = 3`, `UPDATE log_state SET checkpoint = 2`}, nil, []string{"checkpoint: the bucket has checkpoint 3, which the catalog lacks"}},
		{"a note", []string{`UPDATE log_checkpoints SET note = replace(note, 'callvault/', 'x/') WHERE n = 2`}, nil, []string{"checkpoint: checkpoint 2 in the catalog is not signed"}},
		{"links", []string{`UPDATE audit_links SET links = '[1]'`}, nil, []string{"links: the links "}},
		{"links are gone", []string{`DELETE FROM audit_links`}, nil, []string{"links: the links that line 611 names are gone"}},
		{"a checkpoint of the bucket is gone", nil, &over{key: "checkpoints/000000000003"}, []string{"checkpoint: the bucket lacks callvault/log/"}},
		{"a checkpoint of the bucket is another", nil, &over{key: "checkpoints/000000000003", data: []byte("x")}, []string{"checkpoint: callvault/log/"}},
		{"a tile of the bucket is gone", nil, &over{key: "tile/0/001"}, []string{"tree: the bucket lacks callvault/log/"}},
		{"a tile of the bucket is another", nil, &over{key: "tile/0/001", data: make([]byte, 8192)}, []string{"tree: callvault/log/", "changed: the line 257 (leaf 256)"}},
	} {
		url := "sqlite://" + t.TempDir() + "/c.db"
		if slices.Contains([]string{"changed", "dropped", "doubled", "swapped"}, c.name) { // triggers are taken away in another way there
			url = catalogtest.Postgres(t)
		}
		t.Run(c.name, func(t *testing.T) {
			f := open(t, url, bucket(t))
			f.ready()
			f.sound()
			if c.statements == nil && c.bucket == nil {
				seq := map[bool]int{true: 600, false: 7}[strings.HasSuffix(c.name, "full tile")]
				f.forge(seq)
			}
			f.exec(c.statements...)
			if c.bucket != nil {
				c.bucket.Bucket = f.bucket
				f.bucket = *c.bucket
			}
			said := findings(f.verify(""))
			for _, want := range c.want {
				if !strings.Contains(said, want) {
					t.Errorf("%q is not in:\n%s", want, said)
				}
			}
			if n := strings.Count(said, "\n"); n > len(c.want) && n < 50 && !strings.Contains(c.name, "hash") && !strings.Contains(c.name, "another") {
				t.Errorf("more is named than was changed:\n%s", said)
			}
		})
	}
}

// ready makes a log of three checkpoints with 611 lines and a seal; line 612 waits.
func (f *fixture) ready() {
	f.Helper()
	f.must(f.c.DB().Update(f.ctx, func(tx *db.Tx) error {
		var rows [][]any
		for i := range 609 {
			rows = append(rows, []any{1000 + i, "acme", "command", "test", fmt.Sprintf(`{"n":%d}`, i)})
		}
		return tx.Insert(f.ctx, "audit", []string{"at_us", "tenant", "actor", "action", "detail"}, rows)
	}))
	f.seal(evidence.Config{MaxLeaves: 400})
	f.addSeal(aSeal)
	_, err := f.c.DB().ExecContext(f.ctx, `INSERT INTO audit_links (sum, links) VALUES ($1, '[]')`, sum("[]"))
	f.must(err)
	_, err = f.c.DB().ExecContext(f.ctx, `INSERT INTO audit (at_us, tenant, actor, action, detail, links) VALUES (5000, 'acme', 'command', 'test', '{}', $1)`, sum("[]"))
	f.must(err)
	f.seal(evidence.Config{})
	f.line(0)
}

// Where all checkpoints were taken away, verifying asks the catalog for them once, not at each
// leaf.
func TestNoCheckpoints(t *testing.T) {
	f := open(t, "sqlite://"+t.TempDir()+"/c.db", bucket(t))
	f.lines(500)
	f.seal(evidence.Config{})
	f.exec(`DELETE FROM log_checkpoints`)
	var queries atomic.Int64
	f.c.DB().Observe(func(db.Observed) { queries.Add(1) })
	said := findings(f.verify(""))
	if n := queries.Load(); n > 50 || !strings.Contains(said, "checkpoint: ") {
		t.Errorf("%d queries find:\n%s", n, said)
	}
}

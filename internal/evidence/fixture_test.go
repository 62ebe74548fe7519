package evidence_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/evidence"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const prefix = "callvault"

// fixture is a log: a catalog with its keys, and a bucket.
type fixture struct {
	*testing.T
	ctx    context.Context
	url    string
	c      *catalog.Catalog
	bucket evidence.Bucket
}

// onBoth runs a test on both databases.
func onBoth(t *testing.T, test func(f *fixture)) {
	t.Helper()
	for name, url := range map[string]string{"postgres": catalogtest.Postgres(t), "sqlite": "sqlite://" + filepath.Join(t.TempDir(), "c.db")} {
		t.Run(name, func(t *testing.T) { test(open(t, url, bucket(t))) })
	}
}

// bucket gives a new bucket in MinIO.
func bucket(t *testing.T) *objstore.Bucket {
	t.Helper()
	s3 := testenv.MinIO(t)
	store, err := objstore.New(objstore.Config{
		Endpoint: s3.Endpoint, AccessKey: s3.AccessKey, SecretKey: s3.SecretKey,
		Recordings: s3.NewBucket(t, "rec"), Archives: s3.NewBucket(t, "log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store.Archives()
}

func open(t *testing.T, url string, b evidence.Bucket) *fixture {
	t.Helper()
	f := &fixture{T: t, ctx: t.Context(), url: url, c: catalogtest.Open(t, url), bucket: b}
	id, err := f.c.EnsureInstallation(f.ctx)
	f.must(err)
	_, err = auth.EnsureLogKeys(f.ctx, f.c, "", evidence.Origin(id), audit.Origin{Actor: "command"})
	f.must(err)
	return f
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) keys(ctx context.Context) (evidence.Keys, error) {
	id, err := f.c.Installation(ctx)
	if err != nil {
		return evidence.Keys{}, err
	}
	return auth.OpenLogKeys(ctx, f.c, "", evidence.Origin(id))
}

func (f *fixture) sealer(cfg evidence.Config) *evidence.Sealer {
	cfg.Prefix = prefix
	return evidence.NewSealer(cfg, f.c.Merkle(), f.bucket, f.keys, zap.NewNop())
}

// line appends a line to the audit log.
func (f *fixture) line(n int) {
	f.Helper()
	f.must(f.c.AppendAudit(f.ctx, audit.Origin{Actor: "command"}, "acme", "test", map[string]int{"n": n}))
}

func (f *fixture) lines(n int) {
	f.Helper()
	for i := range n {
		f.line(i)
	}
}

// seal runs a pass.
func (f *fixture) seal(cfg evidence.Config) {
	f.Helper()
	f.must(f.sealer(cfg).Pass(f.ctx))
}

func (f *fixture) verify(since string) evidence.Report {
	f.Helper()
	keys, err := f.keys(f.ctx)
	f.must(err)
	r, err := evidence.Verify(f.ctx, f.c.Merkle(), f.bucket, prefix, keys, evidence.VerifyOptions{Since: since})
	f.must(err)
	return r
}

// sound verifies the log, which must have nothing wrong.
func (f *fixture) sound() evidence.Report {
	f.Helper()
	r := f.verify("")
	if text := findings(r); text != "" {
		f.Fatalf("the log is not sound:\n%s", text)
	}
	return r
}

func findings(r evidence.Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s: %s\n", f.Kind, f.Text)
	}
	return b.String()
}

// count counts rows.
func (f *fixture) count(query string, args ...any) (n int64) {
	f.Helper()
	f.must(f.c.DB().QueryRowContext(f.ctx, query, args...).Scan(&n))
	return n
}

// exec changes the catalog as its owner can: with the triggers away.
func (f *fixture) exec(statements ...string) {
	f.Helper()
	f.must(f.c.DB().Update(f.ctx, func(tx *db.Tx) error {
		for _, s := range f.unguarded(statements) {
			if _, err := tx.ExecContext(f.ctx, s); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
		return nil
	}))
}

// unguarded surrounds statements with those that take the triggers away and give them back.
func (f *fixture) unguarded(statements []string) []string {
	f.Helper()
	if f.c.DB().Postgres() {
		return append(append([]string{"SET LOCAL session_replication_role = 'replica'"}, statements...), "SET LOCAL session_replication_role = 'origin'")
	}
	var drop, create []string
	f.must(db.Each(f.ctx, f.c.DB(), func(rows *sql.Rows) error {
		var name, text string
		err := rows.Scan(&name, &text)
		drop, create = append(drop, "DROP TRIGGER "+name), append(create, text)
		return err
	}, `SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'`))
	return append(append(drop, statements...), create...)
}

func sum(text string) []byte {
	s := sha256.Sum256([]byte(text))
	return s[:]
}

// forge changes a line together with its hash in the catalog, as who has the log's secret can.
func (f *fixture) forge(seq int) {
	f.Helper()
	f.exec(fmt.Sprintf(`UPDATE audit SET actor = 'nobody' WHERE seq = %d`, seq))
	keys, err := f.keys(f.ctx)
	f.must(err)
	leaves, err := f.c.Merkle().Leaves(f.ctx, int64(seq-1), int64(seq))
	f.must(err)
	hash := evidence.LeafHash(keys.Secret, leaves[0].Record)
	tile, err := f.c.Merkle().Tile(f.ctx, 0, int64(seq-1)/256)
	f.must(err)
	copy(tile[(seq-1)%256*32:], hash[:])
	_, err = f.c.DB().ExecContext(f.ctx, `UPDATE log_tiles SET hashes = $1 WHERE level = 0 AND n = $2`, tile, (seq-1)/256)
	f.must(err)
}

package catalog_test

import (
	"crypto/sha256"
	"database/sql"
	"testing"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// A build learns a recording's sum after a transaction has read the recording, and before it writes
// it. A line with another sum is refused all the same, and a correction of something else
// leaves the sum.
func TestLearningRaces(t *testing.T) {
	m := newRaceFixture(t)
	read, told := domain.SHA256(sha256.Sum256([]byte("read"))), domain.SHA256(sha256.Sum256([]byte("told")))
	lines := m.batch("first", m.day, 0)
	key := lines.Recordings[0].Value.ObjectKey
	size, session := int64(5), "s2"
	lines.Recordings[0].Value.Size, lines.Recordings[0].Value.SHA256 = &size, &told
	while := func(change func() error) error {
		t.Helper()
		tx, err := m.raw.BeginTx(t.Context(), nil)
		m.must(err)
		_, err = tx.ExecContext(t.Context(), `UPDATE recordings SET size = 5, sha256 = $2, sha256_origin = 'build', etag = 'e' WHERE object_key = $1`, key, read[:])
		m.must(err)
		done := make(chan error, 1)
		go func() { done <- change() }()
		if !m.blocked(1, done) {
			t.Fatal("it did not wait for the build")
		}
		m.must(tx.Commit())
		return <-done
	}
	known := func() (sum *domain.SHA256, etag sql.NullString) {
		m.must(m.raw.QueryRowContext(t.Context(), `SELECT sha256, etag FROM recordings WHERE object_key = $1`, key).Scan(&sum, &etag))
		return sum, etag
	}
	if err := while(func() error { return m.register(lines) }); domain.KindOf(err) != domain.KindConflict {
		t.Errorf("a line with another sum: %v", err)
	}
	if sum, etag := known(); sum == nil || *sum != read || etag.String != "e" {
		t.Errorf("after the line: %v of %v", sum, etag)
	}
	_, err := m.raw.ExecContext(t.Context(), `UPDATE recordings SET sha256 = NULL, sha256_origin = NULL, etag = NULL WHERE object_key = $1`, key)
	m.must(err)
	m.must(while(func() error {
		_, err := m.c.Correct(t.Context(), catalog.Correction{Tenant: "acme", ObjectKey: key, Reason: "r", SessionID: &session})
		return err
	}))
	if sum, etag := known(); sum == nil || *sum != read || etag.String != "e" {
		t.Errorf("after the correction: %v of %v", sum, etag)
	}
}

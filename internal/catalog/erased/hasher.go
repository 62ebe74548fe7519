package erased

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Purpose is the purpose of the hashes' key in the table of keys. The key is never replaced,
// because nobody could make the same hashes again.
const Purpose = "erasure"

// Kind is a kind of id.
type Kind string

// Kinds of ids.
const (
	Conversation Kind = "conversation"
	Object       Kind = "object" // a key of the recordings bucket
)

// Key is the hashes' key as it is stored.
type Key struct {
	ID        string
	Algorithm string
	Material  []byte
	Encrypted bool // by the master key
}

// Hasher finds and adds hashes. It is safe for concurrent use.
type Hasher struct {
	open func(Key) ([]byte, error)
	key  atomic.Pointer[[]byte] // decrypted; nil before the first use
}

// New makes a Hasher. open decrypts the key.
func New(open func(Key) ([]byte, error)) *Hasher { return &Hasher{open: open} }

// readKey reads the key. It uses the caller's transaction, because a second connection could be one
// that other transactions wait for too. Errors: KindUnavailable when the key was never made, and
// those of open.
func (h *Hasher) readKey(ctx context.Context, q db.Querier) ([]byte, error) {
	if key := h.key.Load(); key != nil {
		return *key, nil
	}
	var k Key
	err := q.QueryRowContext(ctx, `SELECT id, algorithm, material, encrypted FROM keys WHERE purpose = $1 AND retired_us IS NULL`, Purpose).
		Scan(&k.ID, &k.Algorithm, &k.Material, &k.Encrypted)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, domain.Errorf(domain.KindUnavailable, "the catalog holds no key for the hashes of erasures; run: callvault migrate up")
	}
	if err != nil {
		return nil, err
	}
	key, err := h.open(k)
	if err == nil {
		h.key.Store(&key)
	}
	return key, err
}

// sums gives the hash of each id, by the hash.
func (h *Hasher) sums(ctx context.Context, q db.Querier, tenant string, kind Kind, ids []string) (map[string]string, error) {
	key, err := h.readKey(ctx, q)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, key)
	out := make(map[string]string, len(ids))
	for _, id := range ids {
		mac.Reset()
		_, _ = fmt.Fprintf(mac, "%s\x00%s\x00%s", kind, tenant, id) // kinds and tenants have no zero byte
		out[string(mac.Sum(nil))] = id
	}
	return out, nil
}

// chunk is how many hashes one statement names.
const chunk = 500

// Which gives those of the ids that were erased.
func (h *Hasher) Which(ctx context.Context, q db.Querier, tenant string, kind Kind, ids []string) (map[string]bool, error) {
	found := map[string]bool{}
	if len(ids) == 0 {
		return found, nil
	}
	byID, err := h.sums(ctx, q, tenant, kind, ids)
	if err != nil {
		return nil, err
	}
	for some := range slices.Chunk(sorted(byID), chunk) {
		err := db.Each(ctx, q, func(rows *sql.Rows) error {
			var sum []byte
			err := rows.Scan(&sum)
			found[byID[string(sum)]] = true
			return err
		}, `SELECT sum FROM erased WHERE tenant = $1 AND sum IN (`+db.Parameters(2, len(some))+`)`, append([]any{tenant}, asBytes(some)...)...)
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// Add adds the hashes of ids, and gives the ids that it did not have yet, in no order.
func (h *Hasher) Add(ctx context.Context, tx *db.Tx, tenant string, kind Kind, ids []string) (fresh []string, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	byID, err := h.sums(ctx, tx, tenant, kind, ids)
	if err != nil {
		return nil, err
	}
	for some := range slices.Chunk(sorted(byID), chunk) {
		args := make([]any, 0, 2*len(some))
		for _, sum := range some {
			args = append(args, tenant, []byte(sum))
		}
		err := db.Each(ctx, tx, func(rows *sql.Rows) error {
			var sum []byte
			err := rows.Scan(&sum)
			fresh = append(fresh, byID[string(sum)])
			return err
		}, `INSERT INTO erased (tenant, sum) VALUES `+db.ParameterRows(len(some), 2)+` ON CONFLICT DO NOTHING RETURNING sum`, args...)
		if err != nil {
			return nil, err
		}
	}
	return fresh, nil
}

// sorted gives the hashes in one order, so that two transactions which add the same ones wait for
// each other instead of deadlocking.
func sorted(sums map[string]string) []string { return slices.Sorted(maps.Keys(sums)) }

func asBytes(sums []string) []any {
	out := make([]any, len(sums))
	for i, sum := range sums {
		out[i] = []byte(sum)
	}
	return out
}

package lifecycle

import (
	"context"
	"database/sql"
	"slices"
	"sync"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// sight is what was seen under an object key before its conversation ended.
type sight struct {
	conversation string
	day          string // of its recording; "" for a conversation's own recording
	there        bool   // there is an object
	info         objstore.Info
}

// look looks up the objects that conversations name, for at most e.cfg.Most recordings. It leaves
// out conversations with an object that the store refuses to tell about.
func (e *Ends) look(ctx context.Context, tenant string, ids []string, r *EndsReport) (map[string]sight, []string, error) {
	seen, err := e.named(ctx, tenant, ids)
	if err != nil {
		return nil, nil, err
	}
	var mu sync.Mutex
	blocked := map[string]error{} // by conversation
	keys := make([]string, 0, len(seen))
	for key := range seen {
		keys = append(keys, key)
	}
	err = forEach(ctx, e.cfg.Parallel, keys, func(ctx context.Context, key string) error {
		info, err := e.recordings.Stat(ctx, key)
		mu.Lock()
		defer mu.Unlock()
		s := seen[key]
		switch kind := domain.KindOf(err); {
		case err == nil:
			s.there, s.info = true, info
			seen[key] = s
		case kind == domain.KindNotFound, kind == domain.KindInvalid: // no object can have an invalid key
		case objstore.Refused(err), kind == domain.KindUnreadable:
			blocked[s.conversation] = err
		default:
			return err
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	for id, err := range blocked {
		if r.Blocked++; r.Blocked == 1 { // the others mostly stay for the same reason
			e.log.Error("a conversation can't end, because the object store does not let one of its objects be looked up",
				zap.String("conversation", id), zap.Error(err), zap.String("hint", objstore.Advice(err)))
		}
	}
	rest := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return blocked[id] != nil })
	for key, s := range seen {
		if blocked[s.conversation] != nil {
			delete(seen, key)
		}
	}
	return seen, rest, nil
}

// named gives the keys that conversations name.
func (e *Ends) named(ctx context.Context, tenant string, ids []string) (map[string]sight, error) {
	seen := map[string]sight{}
	args := append([]any{tenant}, db.Texts(ids)...)
	in := `(` + db.Parameters(2, len(ids)) + `)`
	note := func(rows *sql.Rows) error {
		var key string
		var s sight
		err := rows.Scan(&key, &s.conversation, &s.day)
		seen[key] = s
		return err
	}
	former, err := e.former.FormerKeys(ctx, tenant, ids)
	if err != nil {
		return nil, err
	}
	for key, id := range former {
		seen[key] = sight{conversation: id}
	}
	if err := db.Each(ctx, e.db, note, `SELECT recording_key, id, '' FROM conversations WHERE tenant = $1 AND id IN `+in+` AND recording_key IS NOT NULL`, args...); err != nil {
		return nil, err
	}
	// A key that is both is a recording's: that has its day.
	return seen, db.Each(ctx, e.db, note, recordingsOfSQL(len(ids)), append(args, e.cfg.Most)...)
}

// recordingsOfSQL gives the recordings of n conversations of tenant $1. The last parameter is the
// most that it gives.
func recordingsOfSQL(n int) string {
	return `SELECT object_key, conversation_id, day FROM recordings WHERE conversation_id IN (` + db.Parameters(2, n) + `) AND tenant = $1 LIMIT ` + db.Parameters(2+n, 1)
}

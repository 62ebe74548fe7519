package lifecycle

import (
	"context"
	"database/sql"
	"maps"
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
	refused      bool   // the store does not let it be looked up
	info         objstore.Info
}

// look looks up the objects that conversations name, for at most e.cfg.Most recordings. It leaves
// out conversations with an object that the store refuses to tell about.
func (e *Ends) look(ctx context.Context, tenant string, ids []string, r *EndsReport) (map[string]sight, []string, error) {
	seen, blocked, err := e.lookAll(ctx, tenant, ids)
	if err != nil {
		return nil, nil, err
	}
	for id, err := range blocked {
		e.blocked(r, zap.String("conversation", id), err)
	}
	rest := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return blocked[id] != nil })
	for key, s := range seen {
		if blocked[s.conversation] != nil {
			delete(seen, key)
		}
	}
	return seen, rest, nil
}

// lookAll is look with all conversations. It gives those with an object that the store refuses to
// tell about, each with a refusal.
func (e *Ends) lookAll(ctx context.Context, tenant string, ids []string) (seen map[string]sight, blocked map[string]error, err error) {
	seen, err = e.named(ctx, tenant, ids)
	if err != nil {
		return nil, nil, err
	}
	var mu sync.Mutex
	blocked = map[string]error{}
	err = forEach(ctx, e.cfg.Parallel, slices.Collect(maps.Keys(seen)), func(ctx context.Context, key string) error {
		info, there, refused, err := e.lookUp(ctx, key)
		mu.Lock()
		defer mu.Unlock()
		s := seen[key]
		s.there, s.info, s.refused = there, info, refused != nil
		seen[key] = s
		if refused != nil {
			blocked[s.conversation] = refused
		}
		return err
	})
	return seen, blocked, err
}

// lookUp looks an object up. refused says why the store does not let that be done.
func (e *Ends) lookUp(ctx context.Context, key string) (info objstore.Info, there bool, refused, err error) {
	info, err = e.recordings.Stat(ctx, key)
	switch kind := domain.KindOf(err); {
	case err == nil:
		return info, true, nil, nil
	case kind == domain.KindNotFound, kind == domain.KindInvalid: // no object can have an invalid key
		return info, false, nil, nil
	case objstore.Refused(err), kind == domain.KindUnreadable:
		return info, false, err, nil
	}
	return info, false, nil, err
}

// blocked counts a conversation or an upload that stays. It tells of the first one only, because
// the others mostly stay for the same reason.
func (e *Ends) blocked(r *EndsReport, what zap.Field, err error) {
	if r.Blocked++; r.Blocked == 1 {
		e.log.Error("source audio can't end, because the object store does not let an object be looked up", what, zap.Error(err), zap.String("hint", objstore.Advice(err)))
	}
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

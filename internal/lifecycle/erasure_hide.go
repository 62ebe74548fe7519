package lifecycle

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/catalog/deletions"
	"github.com/callvault/callvault/internal/catalog/erased"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// hide removes the rows of an erasure's conversations, one after the other. One that fails, or that
// a hold keeps, does not stop the others, but an outage does. The next state is "" while one is
// left.
func (e *Eraser) hide(ctx context.Context, x Erasure) (next string, err error) {
	left, err := db.Collect(ctx, e.db, db.Value[string], `SELECT conversation_id FROM erasure_targets WHERE erasure = $1 AND removed_us IS NULL ORDER BY conversation_id`, x.ID)
	if err != nil {
		return "", err
	}
	next = ErasureRebuilding
	held := false
	for _, conversation := range left {
		done, failure := e.hideOne(ctx, x, conversation)
		if outage(failure) {
			return "", failure
		}
		if err = cmp.Or(err, failure); !done {
			next, held = "", held || failure == nil
		}
	}
	if next == "" && !held { // a hold of a former try does not cover it any more
		_, failure := e.db.ExecContext(ctx, `UPDATE erasures SET blocked = NULL WHERE id = $1`, x.ID)
		err = cmp.Or(err, failure)
	}
	return next, err
}

// maxLooks is how often a conversation that changes meanwhile is looked up.
const maxLooks = 10

// errMore says that a conversation has got more since its objects were looked up.
var errMore = errors.New("the conversation has got more")

// hideOne removes a conversation. It is false when a hold keeps it.
func (e *Eraser) hideOne(ctx context.Context, x Erasure, conversation string) (done bool, err error) {
	for range maxLooks {
		updated, err := lineTime(ctx, e.db, x.Tenant, conversation)
		if err != nil {
			return false, err
		}
		seen, blocked, err := e.ends.lookAll(ctx, x.Tenant, []string{conversation})
		if err != nil {
			return false, err
		}
		if err := blocked[conversation]; err != nil { // its rows go nevertheless
			e.log.Error("the object store does not let an object of an erased conversation be looked up", zap.String("erasure", x.ID), zap.String("hint", objstore.Advice(err)))
		}
		h := hiding{eraser: e, order: x, conversation: conversation, updated: updated, seen: seen}
		err = e.db.Update(ctx, func(tx *db.Tx) error {
			done, err = h.run(ctx, tx)
			return err
		})
		if !errors.Is(err, errMore) {
			return done && err == nil, err
		}
	}
	return false, domain.Errorf(domain.KindConflict, "a conversation that is to be erased keeps growing")
}

// hiding is the removal of one conversation in one transaction.
type hiding struct {
	eraser       *Eraser
	order        Erasure
	conversation string
	updated      int64 // the time of its last line when its objects were looked up
	seen         map[string]sight
}

// lineTime gives the time of the last line that changed a conversation; 0 when it has no row.
func lineTime(ctx context.Context, q db.Querier, tenant, conversation string) (at int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT coalesce((SELECT updated_us FROM conversations WHERE tenant = $1 AND id = $2), 0)`, tenant, conversation).Scan(&at)
	return at, err
}

// run takes the tenant's exclusive lock, so that no line is taken in and no hold created meanwhile.
func (h *hiding) run(ctx context.Context, tx *db.Tx) (done bool, err error) {
	x := h.order
	if err := holds.ExcludeAll(ctx, tx, x.Tenant); err != nil {
		return false, err
	}
	var removed bool
	if err := tx.QueryRowContext(ctx, `SELECT removed_us IS NOT NULL FROM erasure_targets WHERE erasure = $1 AND conversation_id = $2`, x.ID, h.conversation).Scan(&removed); err != nil || removed {
		return removed, err
	}
	if updated, err := lineTime(ctx, tx, x.Tenant, h.conversation); err != nil || updated != h.updated { // its own recording may be another one now
		return false, cmp.Or(err, errMore)
	}
	hours, err := catalog.HoursWith(ctx, tx, x.Tenant, h.conversation)
	if err != nil {
		return false, err
	}
	hold, prefix, err := h.hold(ctx, tx, hours)
	if err != nil {
		return false, err
	}
	if hold != "" {
		_, err := tx.ExecContext(ctx, `UPDATE erasures SET blocked = $2 WHERE id = $1`, x.ID, hold)
		return false, err
	}
	at, err := clock.Now(ctx, tx)
	if err != nil {
		return false, err
	}
	r := &removal{tx: tx, tenant: x.Tenant, ids: []string{h.conversation}, seen: h.seen, most: 1 << 30, cause: deletions.CauseErasure, order: x.ID, sums: map[string][]byte{}, hours: map[domain.HourKey]int64{}}
	if err := r.drop(ctx, prefix, at); err != nil {
		return false, err
	}
	if rest, err := r.unfinished(ctx); err != nil || len(rest) > 0 {
		return false, errors.Join(err, errMore)
	}
	for _, from := range []string{`endings`, `corrected_recordings`} { // the latter were given to others
		if err := r.dropNamed(ctx, from+` WHERE tenant = $1 AND conversation_id`, r.ids, nil); err != nil {
			return false, err
		}
	}
	if err := h.remember(ctx, tx, r); err != nil {
		return false, err
	}
	hidden, err := catalog.HideHours(ctx, tx, hours)
	if err != nil {
		return false, err
	}
	return true, h.note(ctx, tx, r, hours, hidden, at)
}

// hold gives the name of a hold that keeps the conversation, or an archive of its hours; "" for
// none. It also gives the tenant's key prefix. An order that is repeated was granted when no hold
// covered it. So it waits only for a hold that the restored catalog has and that was not released.
func (h *hiding) hold(ctx context.Context, tx *db.Tx, hours []domain.HourKey) (hold, prefix string, err error) {
	repeated, name := h.order.State == ErasureRepeating, holds.ConversationNameSQL
	if repeated {
		name = holds.UnreleasedConversationNameSQL
	}
	err = tx.QueryRowContext(ctx, `SELECT `+name("CAST($1 AS TEXT)", "CAST($2 AS TEXT)")+`, (SELECT key_prefix FROM tenants WHERE id = $1)`,
		h.order.Tenant, h.conversation).Scan(db.OrZero(&hold), db.OrZero(&prefix))
	if err == nil && hold == "" {
		hold, err = catalog.ProtectingHold(ctx, tx, hours, !repeated)
	}
	return hold, prefix, err
}

// remember adds the hashes of the conversation and of its object keys, so that they are not stored
// again.
func (h *hiding) remember(ctx context.Context, tx *db.Tx, r *removal) error {
	sums := h.eraser.catalog.Erased()
	if _, err := sums.Add(ctx, tx, r.tenant, erased.Conversation, []string{h.conversation}); err != nil {
		return err
	}
	if _, err := sums.Add(ctx, tx, r.tenant, erased.Object, r.free); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE tenants SET erased = erased + 1 WHERE id = $1`, r.tenant); err != nil {
		return err
	}
	return catalog.CountErased(ctx, tx, r.hours)
}

type hideDetail struct {
	Erasure      string `json:"erasure"`
	Conversation string `json:"conversation"`
	Recordings   int    `json:"recordings"`
	Messages     int    `json:"messages"`
	FormerValues int64  `json:"formerValues"`
	Bytes        int64  `json:"bytes"`
	Archives     int    `json:"archives"`       // that had something of it
	Left         int    `json:"left,omitempty"` // objects that callvault did not write, and leaves to the platform
}

// note writes down what was removed, and which objects have to go.
func (h *hiding) note(ctx context.Context, tx *db.Tx, r *removal, hours []domain.HourKey, hidden []catalog.HiddenArchive, at int64) error {
	x := h.order
	for _, d := range r.queue {
		var sum any
		if d.SHA256 != nil {
			sum = d.SHA256
		}
		if err := insertErased(ctx, tx, x.ID, false, d.Key, d.Size, sum, nil); err != nil {
			return err
		}
	}
	for _, key := range r.left {
		if err := insertErased(ctx, tx, x.ID, false, key, nil, nil, at); err != nil {
			return err
		}
	}
	for _, a := range hidden {
		var sum any
		if manifest, err := hex.DecodeString(a.ManifestSHA256); err == nil && len(manifest) > 0 {
			sum = manifest
		}
		if err := insertErased(ctx, tx, x.ID, true, a.ObjectKey, &a.Size, sum, nil); err != nil {
			return err
		}
	}
	if err := noteHours(ctx, tx, x.ID, hours); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE erasure_targets SET removed_us = $3 WHERE erasure = $1 AND conversation_id = $2`, x.ID, h.conversation, at); err != nil {
		return err
	}
	if err := h.addCounts(ctx, tx, r, len(hidden)); err != nil {
		return err
	}
	return audit.Origin{Actor: "erasures"}.Append(ctx, tx, at, x.Tenant, ActionErasureHide, hideDetail{x.ID, h.conversation, r.recordings, r.messages, r.former, r.bytes, len(hidden), len(r.left)})
}

func insertErased(ctx context.Context, tx *db.Tx, id string, archive bool, key string, size *int64, sum, left any) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO erasure_objects (erasure, archive, key, size, sha256, left_us) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		id, archive, key, size, sum, left)
	return err
}

// addCounts adds to what the erasure has removed. The tenant's lock keeps others from doing so.
func (h *hiding) addCounts(ctx context.Context, tx *db.Tx, r *removal, archives int) error {
	var text string
	var n ErasureCounts
	if err := tx.QueryRowContext(ctx, `SELECT counts FROM erasures WHERE id = $1`, h.order.ID).Scan(&text); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		return err
	}
	if r.conversations > 0 {
		n.Conversations++
	}
	n.Recordings, n.Messages, n.FormerValues, n.Bytes, n.Archives = n.Recordings+r.recordings, n.Messages+r.messages, n.FormerValues+r.former, n.Bytes+r.bytes, n.Archives+archives
	if err := tx.QueryRowContext(ctx, `SELECT count(DISTINCT day) FROM erasure_hours WHERE erasure = $1`, h.order.ID).Scan(&n.Days); err != nil {
		return err
	}
	out, err := json.Marshal(n)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE erasures SET counts = $2 WHERE id = $1`, h.order.ID, string(out))
	return err
}

// scanHours scans days and hours of a tenant.
func scanHours(tenant string) func(rows *sql.Rows) (domain.HourKey, error) {
	return func(rows *sql.Rows) (domain.HourKey, error) {
		k := domain.HourKey{Tenant: tenant}
		err := rows.Scan(&k.Day, &k.Hour)
		return k, err
	}
}

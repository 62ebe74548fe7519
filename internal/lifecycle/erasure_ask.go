package lifecycle

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/catalog/erased"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// ErasureRequest asks to erase conversations of a tenant.
type ErasureRequest struct {
	Tenant        string
	Conversations []string
	Reason        string
	Origin        audit.Origin
}

// check sorts the conversations. Error: KindInvalid.
func (r *ErasureRequest) check() error {
	if strings.TrimSpace(r.Reason) == "" || len(r.Reason) > 4000 {
		return domain.Errorf(domain.KindInvalid, "the reason is missing or longer than 4,000 bytes; give one, the audit log keeps it")
	}
	if err := r.checkConversations(); err != nil {
		return err
	}
	if n := len(r.Conversations); n > MaxErased {
		return domain.Errorf(domain.KindInvalid, "%d conversations are more than the %d that one order erases; name them in several orders", n, MaxErased)
	}
	return nil
}

func (r *ErasureRequest) checkConversations() error {
	r.Conversations = slices.Compact(slices.Sorted(slices.Values(r.Conversations)))
	if len(r.Conversations) == 0 {
		return domain.Errorf(domain.KindInvalid, "no conversation is named; nothing is erased")
	}
	for _, id := range r.Conversations {
		if id == "" || len(id) > domain.MaxIDBytes || strings.ContainsRune(id, 0) {
			return domain.Errorf(domain.KindInvalid, "a conversation's id is empty, longer than %d bytes or has a NUL", domain.MaxIDBytes)
		}
	}
	return nil
}

// Preview says what an erasure of these conversations would remove, also if they take several
// orders. It changes nothing. Errors: as of Ask.
func (e *Eraser) Preview(ctx context.Context, r ErasureRequest) (n ErasureCounts, err error) {
	if err := r.checkConversations(); err != nil {
		return n, err
	}
	err = e.db.View(ctx, func(tx *db.Tx) error {
		if err := e.refuse(ctx, tx, r); err != nil {
			return err
		}
		n, err = countErased(ctx, tx, r)
		return err
	})
	return n, err
}

// countErased counts what conversations have.
func countErased(ctx context.Context, tx *db.Tx, r ErasureRequest) (n ErasureCounts, err error) {
	n.Conversations = len(r.Conversations)
	hours, days := map[domain.HourKey]bool{}, map[domain.Day]bool{}
	for ids := range slices.Chunk(r.Conversations, idChunk) {
		args := append([]any{r.Tenant}, db.Texts(ids)...)
		in := `(` + db.Parameters(2, len(ids)) + `)`
		var recordings, messages, former int
		var bytes int64
		for _, q := range []struct {
			query string
			into  []any
		}{
			{`SELECT count(*), coalesce(sum(size), 0) FROM recordings WHERE conversation_id IN ` + in + ` AND tenant = $1`, []any{&recordings, &bytes}},
			{`SELECT count(*) FROM messages WHERE tenant = $1 AND conversation_id IN ` + in, []any{&messages}},
			{`SELECT count(*) FROM history WHERE tenant = $1 AND kind = 'conversation' AND id IN ` + in, []any{&former}},
		} {
			if err := tx.QueryRowContext(ctx, q.query, args...).Scan(q.into...); err != nil {
				return n, err
			}
		}
		n.Recordings, n.Messages, n.Bytes, n.FormerValues = n.Recordings+recordings, n.Messages+messages, n.Bytes+bytes, n.FormerValues+int64(former)
		err := db.Each(ctx, tx, func(rows *sql.Rows) error {
			k := domain.HourKey{Tenant: r.Tenant}
			var archived bool
			err := rows.Scan(&k.Day, &k.Hour, &archived)
			days[k.Day] = true
			if archived {
				hours[k] = true
			}
			return err
		}, `SELECT DISTINCT r.day, r.hour, EXISTS (SELECT 1 FROM archives a WHERE a.tenant = r.tenant AND a.day = r.day AND a.hour = r.hour
				AND a.state IN ('published', 'retained', 'hidden')) FROM recordings r WHERE r.conversation_id IN `+in+` AND r.tenant = $1`, args...)
		if err != nil {
			return n, err
		}
	}
	n.Archives, n.Days = len(hours), len(days)
	return n, nil
}

// refuse refuses an erasure of what is unknown, of what an open order names, and of what a hold
// covers in part. A hold on another conversation counts too, if it protects an archive that would
// be deleted.
func (e *Eraser) refuse(ctx context.Context, tx *db.Tx, r ErasureRequest) error {
	if _, err := e.catalog.Tenant(ctx, r.Tenant); err != nil {
		return err
	}
	for ids := range slices.Chunk(r.Conversations, idChunk) {
		args := append([]any{r.Tenant}, db.Texts(ids)...)
		in := `(` + db.Parameters(2, len(ids)) + `)`
		known, err := db.Collect(ctx, tx, db.Value[string], `SELECT id FROM conversations WHERE tenant = $1 AND id IN `+in, args...)
		if err != nil {
			return err
		}
		if len(known) < len(ids) {
			return e.unknown(ctx, tx, r.Tenant, slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return slices.Contains(known, id) }))
		}
		if err := refuseOrdered(ctx, tx, in, args); err != nil {
			return err
		}
		var hold string
		err = tx.QueryRowContext(ctx, `SELECT min(`+holds.ConversationNameSQL("c.tenant", "c.id")+`) FROM conversations c WHERE c.tenant = $1 AND c.id IN `+in, args...).Scan(db.OrZero(&hold))
		if err != nil {
			return err
		}
		for i := 0; i < len(ids) && hold == ""; i++ {
			hours, err := catalog.HoursWith(ctx, tx, r.Tenant, ids[i])
			if err != nil {
				return err
			}
			if hold, err = catalog.ProtectingHold(ctx, tx, hours, true); err != nil {
				return err
			}
		}
		if hold != "" {
			return domain.Errorf(domain.KindConflict, "the hold %s covers a part of this; nothing is erased. A hold that was released covers for one more day", hold)
		}
	}
	return nil
}

// refuseOrdered refuses conversations that an open order names: a second one would find nothing,
// and its proof would say so while the first one's copies are there.
func refuseOrdered(ctx context.Context, tx *db.Tx, in string, args []any) error {
	var other, conversation string
	err := tx.QueryRowContext(ctx, `SELECT e.id, t.conversation_id FROM erasures e JOIN erasure_targets t ON t.erasure = e.id
		WHERE e.tenant = $1 AND e.proven_us IS NULL AND t.conversation_id IN `+in+` ORDER BY e.id LIMIT 1`, args...).Scan(&other, &conversation)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return domain.Errorf(domain.KindConflict, "the erasure %s names conversation %.100q already, and is carried out; nothing else is erased. Wait for it, or name other conversations", other, conversation)
}

// unknown gives the refusal of conversations that the catalog does not know.
func (e *Eraser) unknown(ctx context.Context, tx *db.Tx, tenant string, ids []string) error {
	gone, err := e.catalog.Erased().Which(ctx, tx, tenant, erased.Conversation, ids[:1])
	if err != nil {
		return err
	}
	more := ""
	if len(ids) > 1 {
		more = fmt.Sprintf("; %d more of those named do not exist either", len(ids)-1)
	}
	if gone[ids[0]] {
		return domain.Errorf(domain.KindNotFound, "conversation %.100q was erased already%s; nothing is changed", ids[0], more)
	}
	return domain.Errorf(domain.KindNotFound, "tenant %s has no conversation %.100q%s; nothing is erased", tenant, ids[0], more)
}

type erasureDetail struct {
	Erasure       string   `json:"erasure"`
	Reason        string   `json:"reason,omitempty"`
	Conversations []string `json:"conversations"`
	audit.Origin
}

// Ask orders an erasure. When it returns without an error, the order stands in the archives bucket,
// and nothing stops it any more. It also begins to hide what is erased; a worker does the rest.
// Errors: KindInvalid, KindNotFound (tenant, conversation), KindConflict (a hold covers a part,
// or an open order names one), KindUnavailable.
func (e *Eraser) Ask(ctx context.Context, r ErasureRequest) (Erasure, error) {
	if err := r.check(); err != nil {
		return Erasure{}, err
	}
	var id string
	err := e.db.Update(ctx, func(tx *db.Tx) error {
		if err := holds.Exclude(ctx, tx, r.Tenant); err != nil {
			return err
		}
		if err := e.refuse(ctx, tx, r); err != nil {
			return err
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		id = newErasureID(at)
		if err := insertErasure(ctx, tx, Erasure{ID: id, Tenant: r.Tenant, State: ErasureAsked, Reason: r.Reason, AskedBy: r.Origin.Actor,
			Asked: db.FromMicros(at), Conversations: r.Conversations}); err != nil {
			return err
		}
		for _, conversation := range r.Conversations {
			hours, err := catalog.HoursWith(ctx, tx, r.Tenant, conversation)
			if err == nil {
				err = noteHours(ctx, tx, id, hours)
			}
			if err != nil {
				return err
			}
		}
		return r.Origin.Append(ctx, tx, at, r.Tenant, ActionErasureAsk, erasureDetail{id, r.Reason, r.Conversations, r.Origin})
	})
	if err != nil {
		return Erasure{}, err
	}
	x, err := e.read(ctx, id)
	if err == nil {
		err = e.storeOrder(ctx, x)
	}
	if err != nil {
		return x, domain.Wrap(domain.KindUnavailable, err, "the order %s is in the catalog, but not in the archives bucket yet; a worker puts it there and carries it out. See: callvault erase status --tenant %s %s", id, r.Tenant, id)
	}
	if err := e.advance(ctx, id); err != nil {
		e.log.Warn("an erasure is not hidden yet; a worker goes on with it", zap.String("erasure", id), zap.Error(err))
	}
	return e.read(context.WithoutCancel(ctx), id)
}

// AskAll is Ask for any number of conversations: it makes orders of at most MaxErased each. With an
// error it gives the orders that were made before. It asks nothing if a part can't be erased now.
func (e *Eraser) AskAll(ctx context.Context, r ErasureRequest) (orders []Erasure, err error) {
	if err := r.checkConversations(); err != nil {
		return nil, err
	}
	if len(r.Conversations) > MaxErased {
		if _, err := e.Preview(ctx, r); err != nil {
			return nil, err
		}
	}
	for some := range slices.Chunk(r.Conversations, MaxErased) {
		r.Conversations = some
		x, err := e.Ask(ctx, r)
		if x.ID != "" {
			orders = append(orders, x)
		}
		if err != nil {
			return orders, err
		}
	}
	return orders, nil
}

// newErasureID makes an id that is greater than those of before.
func newErasureID(at int64) string {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	return fmt.Sprintf("er_%016x_%s", at, hex.EncodeToString(random[:]))
}

func insertErasure(ctx context.Context, tx *db.Tx, x Erasure) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO erasures (id, tenant, state, reason, asked_by, asked_us) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		x.ID, x.Tenant, x.State, x.Reason, x.AskedBy, db.Micros(x.Asked)); err != nil {
		return err
	}
	for some := range slices.Chunk(x.Conversations, idChunk) {
		var args []any
		for _, id := range some {
			args = append(args, x.ID, id)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO erasure_targets (erasure, conversation_id) VALUES `+db.ParameterRows(len(some), 2)+` ON CONFLICT DO NOTHING`, args...); err != nil {
			return err
		}
	}
	return nil
}

// noteHours notes hours that had something of an erasure.
func noteHours(ctx context.Context, tx *db.Tx, id string, hours []domain.HourKey) error {
	for _, h := range hours {
		if _, err := tx.ExecContext(ctx, `INSERT INTO erasure_hours (erasure, day, hour) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, id, h.Day, h.Hour); err != nil {
			return err
		}
	}
	return nil
}

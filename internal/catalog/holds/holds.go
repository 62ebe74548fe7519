package holds

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Actions of the audit log.
const (
	ActionCreate  = "hold.create"
	ActionRelease = "hold.release"
)

// Scope says what a hold covers.
type Scope string

// The scopes of holds.
const (
	ScopeAll           Scope = "all"           // all that the tenant has, and what comes
	ScopeDays          Scope = "days"          // from one day to another
	ScopeConversations Scope = "conversations" // those that it lists
)

const (
	maxName          = 100  // characters
	maxReason        = 1000 // characters
	maxConversations = 1000 // of one hold
)

// Holds are the legal holds of tenants.
type Holds struct{ db *db.DB }

// New gives the holds of a database.
func New(d *db.DB) *Holds { return &Holds{d} }

// Order is what a hold is created of. All, the days or the conversations are given, and only one of
// them.
type Order struct {
	Tenant        string     `json:"-"`
	Name          string     `json:"name"` // unique among the tenant's active holds
	Reason        string     `json:"reason"`
	All           bool       `json:"all"`
	From          domain.Day `json:"fromDay"`
	To            domain.Day `json:"toDay"` // the last day that is held
	Conversations []string   `json:"conversations"`
}

// Hold is a legal hold. Its times are in whole seconds.
type Hold struct {
	ID            string      `json:"id"`
	Tenant        string      `json:"tenant"`
	Name          string      `json:"name"`
	Reason        string      `json:"reason"`
	Scope         Scope       `json:"scope"`
	From          *domain.Day `json:"fromDay"`
	To            *domain.Day `json:"toDay"`
	Conversations int         `json:"conversationCount"`
	Created       time.Time   `json:"createdAt"`
	CreatedBy     string      `json:"createdBy"` // the actor, as in the audit log
	Released      *time.Time  `json:"releasedAt"`
	ReleasedBy    string      `json:"releasedBy,omitempty"`
	ReleaseReason string      `json:"releaseReason,omitempty"`
	CoversUntil   *time.Time  `json:"coversUntil"` // a day after its release
}

// Check checks an order and sorts its conversations. Its error is KindInvalid.
func (o *Order) Check() error {
	if !printable(o.Name, maxName) {
		return domain.Errorf(domain.KindInvalid, "the hold's name is empty, longer than %d characters, or has characters that cannot be printed; name the case, for example matter-2025-17", maxName)
	}
	if err := checkReason(o.Reason); err != nil {
		return err
	}
	days := o.From != "" || o.To != ""
	if given := slices.DeleteFunc([]bool{o.All, days, len(o.Conversations) > 0}, func(b bool) bool { return !b }); len(given) != 1 {
		return domain.Errorf(domain.KindInvalid, "a hold covers days, conversations or all; give one of the three")
	}
	if days {
		return checkDays(o.From, o.To)
	}
	o.Conversations = slices.Compact(slices.Sorted(slices.Values(o.Conversations)))
	if len(o.Conversations) > maxConversations {
		return domain.Errorf(domain.KindInvalid, "the hold lists %d conversations; one takes %d, so create several", len(o.Conversations), maxConversations)
	}
	for _, id := range o.Conversations {
		if id == "" || len(id) > domain.MaxIDBytes || !utf8.ValidString(id) || strings.ContainsRune(id, 0) {
			return domain.Errorf(domain.KindInvalid, "%.70q is not a conversation's id", id)
		}
	}
	return nil
}

func printable(s string, most int) bool {
	return strings.TrimSpace(s) == s && s != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, unicode.IsControl)
}

func checkReason(reason string) error {
	if strings.TrimSpace(reason) == "" {
		return domain.Errorf(domain.KindInvalid, "the reason is missing; give one, the hold and the audit log keep it")
	}
	if !utf8.ValidString(reason) || strings.ContainsRune(reason, 0) || utf8.RuneCountInString(reason) > maxReason {
		return domain.Errorf(domain.KindInvalid, "the reason is no text, or longer than %d characters", maxReason)
	}
	return nil
}

func checkDays(from, to domain.Day) error {
	if from == "" || to == "" {
		return domain.Errorf(domain.KindInvalid, "a hold over days needs the first and the last day")
	}
	for _, day := range []domain.Day{from, to} {
		if _, err := domain.ParseDay(string(day)); err != nil {
			return err
		}
	}
	if to < from {
		return domain.Errorf(domain.KindInvalid, "the days are the wrong way round: %s is before %s", to, from)
	}
	return nil
}

func (o *Order) scope() Scope {
	switch {
	case o.All:
		return ScopeAll
	case o.From != "":
		return ScopeDays
	}
	return ScopeConversations
}

type detail struct {
	ID            string     `json:"id"`
	Name          string     `json:"name"`
	Reason        string     `json:"reason"`
	Scope         Scope      `json:"scope"`
	From          domain.Day `json:"fromDay,omitempty"`
	To            domain.Day `json:"toDay,omitempty"`
	Conversations []string   `json:"conversations,omitempty"`
	audit.Origin
}

// Create inserts a hold with its line in the audit log. The transaction has called [Exclude]
// before, and spares what is about to be deleted afterwards. unknown lists the conversations of
// which nothing is known yet: the hold covers them as soon as something is. Errors: KindInvalid,
// KindConflict for a name that an active hold has.
func Create(ctx context.Context, tx *db.Tx, o Order, by audit.Origin) (h Hold, unknown []string, err error) {
	if err := o.Check(); err != nil {
		return h, nil, err
	}
	at, err := clock.Now(ctx, tx)
	if err != nil {
		return h, nil, err
	}
	h = Hold{ID: "hold_" + domain.NewToken(), Tenant: o.Tenant, Name: o.Name, Reason: o.Reason, Scope: o.scope(),
		Conversations: len(o.Conversations), Created: db.FromMicros(at).Truncate(time.Second), CreatedBy: by.Actor}
	var fromDay, toDay, from, to any
	if h.Scope == ScopeDays {
		h.From, h.To = &o.From, &o.To
		fromDay, toDay, from, to = o.From, o.To, db.Micros(o.From.Start()), db.Micros(o.To.End())
	}
	done, err := db.Affected(tx.ExecContext(ctx, `INSERT INTO holds (id, tenant, name, reason, scope, from_day, to_day, from_us, to_us, created_us, created_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`,
		h.ID, h.Tenant, h.Name, h.Reason, string(h.Scope), fromDay, toDay, from, to, at, h.CreatedBy))
	if err != nil {
		return h, nil, err
	}
	if !done {
		return h, nil, domain.Errorf(domain.KindConflict, "tenant %s has an active hold %q already; choose another name, or release it first", o.Tenant, o.Name)
	}
	rows := make([][]any, 0, len(o.Conversations))
	for _, id := range o.Conversations {
		rows = append(rows, []any{h.ID, h.Tenant, id})
	}
	if err := tx.Insert(ctx, "hold_conversations", []string{"hold", "tenant", "conversation_id"}, rows); err != nil {
		return h, nil, err
	}
	unknown, err = db.Collect(ctx, tx, db.Value[string], `SELECT l.conversation_id FROM hold_conversations l WHERE l.hold = $1 AND NOT EXISTS (
		SELECT 1 FROM conversations c WHERE c.tenant = l.tenant AND c.id = l.conversation_id) ORDER BY 1`, h.ID)
	if err != nil {
		return h, nil, err
	}
	return h, unknown, by.Append(ctx, tx, at, o.Tenant, ActionCreate, detail{ID: h.ID, Name: h.Name, Reason: h.Reason, Scope: h.Scope,
		From: o.From, To: o.To, Conversations: o.Conversations, Origin: by})
}

// Release ends an active hold, with its line in the audit log. The hold still protects what it
// covers until the given time, in microseconds. The transaction has called [Exclude]. Errors:
// KindInvalid without a reason, KindNotFound.
func Release(ctx context.Context, tx *db.Tx, tenant, name, reason string, by audit.Origin) (h Hold, until int64, err error) {
	if err := checkReason(reason); err != nil {
		return h, 0, err
	}
	at, err := clock.Now(ctx, tx)
	if err != nil {
		return h, 0, err
	}
	h, err = scan(tx.QueryRowContext(ctx, `UPDATE holds SET released_us = $3, released_by = $4, release_reason = $5
		WHERE tenant = $1 AND name = $2 AND released_us IS NULL RETURNING `+columns, tenant, name, at, by.Actor, reason))
	if err != nil {
		return h, 0, db.NotFound(err, "tenant %s has no active hold %.100q; see: callvault hold list --tenant %s", tenant, name, tenant)
	}
	return h, at + safety.Microseconds(), by.Append(ctx, tx, at, tenant, ActionRelease, detail{ID: h.ID, Name: h.Name, Reason: reason, Scope: h.Scope, Origin: by})
}

const columns = `id, tenant, name, reason, scope, from_day, to_day, created_us, created_by, released_us, released_by, release_reason,
	(SELECT count(*) FROM hold_conversations l WHERE l.hold = holds.id)`

func scan(row interface{ Scan(...any) error }) (h Hold, err error) {
	var released time.Time
	err = row.Scan(&h.ID, &h.Tenant, &h.Name, &h.Reason, &h.Scope, &h.From, &h.To, db.Time(&h.Created), &h.CreatedBy,
		db.Time(&released), db.OrZero(&h.ReleasedBy), db.OrZero(&h.ReleaseReason), &h.Conversations)
	if !released.IsZero() {
		until := released.Add(safety).Truncate(time.Second)
		released = released.Truncate(time.Second)
		h.Released, h.CoversUntil = &released, &until
	}
	h.Created = h.Created.Truncate(time.Second)
	return h, err
}

// HoldsOf lists a tenant's holds, released ones too, oldest first.
func (s *Holds) HoldsOf(ctx context.Context, tenant string) ([]Hold, error) {
	return db.Collect(ctx, s.db, func(rows *sql.Rows) (Hold, error) { return scan(rows) },
		`SELECT `+columns+` FROM holds WHERE tenant = $1 ORDER BY created_us, id`, tenant)
}

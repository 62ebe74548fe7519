package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// farAhead is more than a sender's wrong clock or time zone explains.
const farAhead = 24 * time.Hour

// MaxBatch is how many lines one Register takes at most.
const MaxBatch = 5000

// Line is one line, with its number in its stream (from 1).
type Line[T any] struct {
	Number int
	Value  T
}

// Batch is the lines that one transaction takes in. Lines of one kind are in the order of their
// numbers. Lines with the same id are applied in this order.
type Batch struct {
	Origin        audit.Origin // who sent it
	Agents        []Line[domain.Agent]
	Conversations []Line[domain.Conversation]
	Messages      []Line[domain.Message]
	Recordings    []Line[domain.Recording]
}

// Kinds of lines, as former values and the audit log name them.
const (
	kindAgent        = "agent"
	kindConversation = "conversation"
	kindMessage      = "message"
	KindRecording    = "recording" // the id is the object key
)

// ValidKind says whether lines of this kind leave former values.
func ValidKind(kind string) bool {
	return slices.Contains([]string{kindAgent, kindConversation, kindMessage, KindRecording}, kind)
}

// Len is the number of lines.
func (b *Batch) Len() int {
	return len(b.Agents) + len(b.Conversations) + len(b.Messages) + len(b.Recordings)
}

// Counts says what was taken in. The ingest API and the import command answer with this JSON.
type Counts struct {
	Agents        int `json:"agents"` // lines of this kind
	Conversations int `json:"conversations"`
	Messages      int `json:"messages"`
	Recordings    int `json:"recordings"`
	Changed       int `json:"changed"` // rows that are new or changed; a repeated line counts none
	// TooLate counts new recordings of days that are past retention or end before a build can
	// finish.
	TooLate int `json:"tooLate"`
	// Ahead counts recordings more than a day ahead of the catalog's clock: probably it is wrong.
	Ahead int `json:"ahead,omitempty"`
}

// KindCount is how many lines are of a kind.
type KindCount struct {
	Kind  string
	Lines int
}

// Kinds gives the counts of lines by kind.
func (n *Counts) Kinds() []KindCount {
	return []KindCount{{kindAgent, n.Agents}, {kindConversation, n.Conversations}, {kindMessage, n.Messages}, {KindRecording, n.Recordings}}
}

// Add adds o to n.
func (n *Counts) Add(o Counts) {
	n.Agents += o.Agents
	n.Conversations += o.Conversations
	n.Messages += o.Messages
	n.Recordings += o.Recordings
	n.Changed += o.Changed
	n.TooLate += o.TooLate
	n.Ahead += o.Ahead
}

// LineError is the refusal of one line. Err is a domain error whose message is safe to show.
type LineError struct {
	Line int
	Err  error
}

// Error gives the line's number and the reason.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap gives the reason.
func (e *LineError) Unwrap() error { return e.Err }

func refuse(line int, kind domain.Kind, format string, args ...any) error {
	return &LineError{Line: line, Err: domain.Errorf(kind, format, args...)}
}

// registration is the state of one call of Register.
type registration struct {
	c            *Catalog
	tx           *db.Tx
	stages       stager
	tenant       string
	at           int64 // the catalog's time in microseconds, for created_us and updated_us
	n            Counts
	origin       audit.Origin
	fields       [valueCount]conversationField
	formerCounts map[string]*formerCount // number of former values by kind
	fresh        []domain.HourKey        // one for each new recording
	touched      []domain.HourKey        // hours whose recordings changed
}

// Register takes a batch in, in one transaction. Each line is a patch: its fields replace the
// existing ones, and absent fields stay as they are. A repeated line changes nothing. Replaced and
// cleared values are kept as former values, and the audit log has their number. The wanted counter
// of every hour with a new or changed recording is raised.
//
// Errors: KindNotFound for an unknown tenant, KindUnavailable, and for one bad line a *LineError:
// KindConflict for a recording that contradicts what is known of its object, KindInvalid for an
// object key that is not the tenant's, and for a new conversation without its agent or start.
func (c *Catalog) Register(ctx context.Context, tenant string, b Batch) (Counts, error) {
	if b.Len() > MaxBatch {
		return Counts{}, domain.Errorf(domain.KindTooLarge, "a batch has at most %d lines", MaxBatch)
	}
	var n Counts
	err := c.db.Update(ctx, func(tx *db.Tx) error {
		r := &registration{c: c, tx: tx, tenant: tenant, origin: b.Origin, fields: conversationFields(), formerCounts: map[string]*formerCount{},
			stages: stager{tx: tx, filled: map[string]bool{}}}
		if err := r.run(ctx, &b); err != nil {
			return err
		}
		n = r.n
		return nil
	})
	return n, err
}

// run takes the kinds in, in a fixed order, and each kind in the order of its keys, so that two
// batches wait for each other instead of deadlocking.
func (r *registration) run(ctx context.Context, b *Batch) (err error) {
	if r.c.db.Postgres() {
		// A cached plan of the time when the tables were small would read whole tables for every
		// line.
		if _, err := r.tx.ExecContext(ctx, `SET LOCAL plan_cache_mode = force_custom_plan`); err != nil {
			return err
		}
	}
	if err := requireTenant(ctx, r.tx, r.tenant); err != nil {
		return err
	}
	if r.at, err = clock.Now(ctx, r.tx); err != nil {
		return err
	}
	r.n = Counts{Agents: len(b.Agents), Conversations: len(b.Conversations), Messages: len(b.Messages), Recordings: len(b.Recordings)}
	for _, l := range b.Recordings {
		if l.Value.Timestamp.Sub(db.FromMicros(r.at)) > farAhead {
			r.n.Ahead++
		}
	}
	for _, step := range []func() error{
		func() error { return mergeBodies(ctx, r, agentBodies(), b.Agents) },
		func() error { return r.conversations(ctx, b) },
		func() error { return mergeBodies(ctx, r, messageBodies(), b.Messages) },
		func() error { return r.recordings(ctx, b.Recordings, b.Conversations) },
		func() error { return r.auditReplaced(ctx) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	r.n.TooLate, err = r.c.bumpHours(ctx, r.tx, r.fresh, r.touched)
	return err
}

func requireTenant(ctx context.Context, tx *db.Tx, tenant string) error {
	var one int
	err := tx.QueryRowContext(ctx, `SELECT 1 FROM tenants WHERE id = $1`, tenant).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return domain.Errorf(domain.KindNotFound, "tenant %.70q does not exist", tenant)
	}
	return err
}

// exec runs a statement and counts the rows that it changed.
func (r *registration) exec(ctx context.Context, query string, args ...any) error {
	res, err := r.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	r.n.Changed += int(n)
	return err
}

package catalog

import (
	"context"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// ActionReplaced is the audit log's action of a batch that replaced or cleared values.
const ActionReplaced = "records.replaced"

// registration is the state of one call of Register.
type registration struct {
	c            *Catalog
	tx           *db.Tx
	stages       stager
	tenant       string
	at           int64 // the catalog's time in microseconds, for created_us and updated_us
	n            Counts
	erased       int64 // how many of the tenant's conversations were erased
	origin       audit.Origin
	fields       [valueCount]conversationField
	formerCounts map[string]*formerCount // number of former values by kind
	fresh        []domain.HourKey        // one for each new recording
	touched      []domain.HourKey        // hours whose recordings changed
	counted      []domain.Day            // days with a new total, or with more recordings that were erased
}

// formerCount counts former values of one kind.
type formerCount struct {
	Replaced int `json:"replaced"`
	Cleared  int `json:"cleared"`
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

// insert runs an upsert that changes no existing row, and counts the inserted rows. With named it
// also gives their ids. The statement's arguments are the tenant and the time.
func (r *registration) insert(ctx context.Context, query string, named bool) (inserted map[string]bool, count int, err error) {
	before := r.n.Changed
	if !named {
		err := r.exec(ctx, query, r.tenant, r.at)
		return nil, r.n.Changed - before, err
	}
	ids, err := db.Collect(ctx, r.tx, db.Value[string], query+" RETURNING id", r.tenant, r.at)
	inserted = make(map[string]bool, len(ids))
	for _, id := range ids {
		inserted[id] = true
	}
	r.n.Changed += len(ids)
	return inserted, len(ids), err
}

// saveFormer writes former values in the order in which they were replaced. It must run before the
// update.
func (r *registration) saveFormer(ctx context.Context, kind string, formers []former) error {
	if len(formers) == 0 {
		return nil
	}
	n := r.formerCounts[kind]
	if n == nil {
		n = &formerCount{}
		r.formerCounts[kind] = n
	}
	rows := make([][]any, 0, len(formers))
	for i := range formers {
		f := &formers[i]
		var value any
		if !f.copied {
			value = f.value
		}
		rows = append(rows, []any{int64(i), f.id, f.field, int64(f.head), value, int64(f.tail)})
		if f.cleared {
			n.Cleared++
		} else {
			n.Replaced++
		}
	}
	if err := r.stages.fill(ctx, historyStage(), rows); err != nil {
		return err
	}
	value := "s.value"
	if kind == kindConversation {
		value = formerValueSQL()
	}
	_, err := r.tx.ExecContext(ctx, `INSERT INTO history (tenant, kind, id, field, at_us, origin, head, value, tail)
		SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), s.id, s.field, CAST($3 AS BIGINT), CAST($4 AS TEXT), s.head, `+value+`, s.tail
		FROM stage_history s ORDER BY s.seq`, r.tenant, kind, r.at, r.origin.Actor)
	return err
}

// formerValueSQL selects a staged former value, or the conversation's present value where that is
// copied.
func formerValueSQL() string {
	sql := "CASE WHEN s.value IS NOT NULL THEN s.value"
	for at, f := range conversationFields() {
		switch {
		case at == atRaw:
			sql += " WHEN s.field = '" + f.name + "' THEN (SELECT t.raw FROM transcripts t WHERE t.tenant = $1 AND t.conversation_id = s.id)"
		case f.long:
			sql += " WHEN s.field = '" + f.name + "' THEN (SELECT c." + f.column + " FROM conversations c WHERE c.tenant = $1 AND c.id = s.id)"
		}
	}
	return sql + " END"
}

// auditReplaced writes a line into the audit log that says how many values were replaced and
// cleared.
func (r *registration) auditReplaced(ctx context.Context) error {
	if len(r.formerCounts) == 0 {
		return nil
	}
	detail := map[string]any{}
	for kind, n := range r.formerCounts {
		detail[kind+"s"] = n
	}
	if r.origin.Remote != "" {
		detail["remote"] = r.origin.Remote
	}
	if r.origin.Request != "" {
		detail["request"] = r.origin.Request
	}
	return r.origin.Append(ctx, r.tx, r.at, r.tenant, ActionReplaced, detail)
}

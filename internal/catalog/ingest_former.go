package catalog

import (
	"context"
	"errors"
)

// ActionReplaced is the audit log's action of a batch that replaced or cleared values.
const ActionReplaced = "records.replaced"

// shortValue is the length in bytes up to which a former value is stored whole.
const shortValue = 128

// former is a value that a line replaced or cleared. It is stored as its difference from the value
// that replaced it. Otherwise the former values of a transcript that is sent again with each turn
// would grow with the square of the number of turns.
type former struct {
	id, field  string
	head, tail int    // bytes in common with the beginning and the end of the value after it; or head is isPatch
	value      string // the bytes in between, or the patch
	copied     bool   // the database copies the value from the row before the row is updated
	cleared    bool   // there is no value after it
}

// formerOf gives a former value as its difference from the value after it, which is a string, or
// nil for none.
func formerOf(id, field, value string, after any) former {
	next, replaced := after.(string)
	f := former{id: id, field: field, value: value, cleared: after == nil}
	if !replaced || len(value) <= shortValue {
		return f
	}
	head, tail := shared(value, next)
	between := value[head : len(value)-tail]
	if len(between) > shortValue && max(len(value), len(next)) <= patchMost {
		p, err := patch(value, next)
		if err == nil && 2*len(p) < len(between) {
			return former{id: id, field: field, head: isPatch, value: p}
		}
	}
	if 2*(head+tail) >= len(value) {
		f.head, f.tail, f.value = head, tail, between
	}
	return f
}

// before restores the former value from the value after it. An error means that it is damaged.
func (f former) before(after string) (string, error) {
	switch {
	case f.head == isPatch:
		return patched(f.value, after)
	case f.head+f.tail > len(after):
		return "", errors.New("it shares more with the value after it than that has")
	}
	return after[:f.head] + f.value + after[len(after)-f.tail:], nil
}

// formerCount counts former values of one kind.
type formerCount struct {
	Replaced int `json:"replaced"`
	Cleared  int `json:"cleared"`
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

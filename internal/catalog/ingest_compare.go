package catalog

import (
	"context"
	"database/sql"
	"strings"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// existingConversation is a conversation that its patch may change. row has the existing values,
// and for long ones their length in bytes.
type existingConversation struct {
	*conversationPatch
	row     []any
	changed bool
}

// existing reads the existing rows of the patched conversations. A row with the patch's hash is
// left out, because the same lines changed it last. The rows are locked.
func (r *registration) existing(ctx context.Context, patches []conversationPatch) ([]existingConversation, error) {
	byID := make(map[string]*conversationPatch, len(patches))
	for i := range patches {
		byID[patches[i].id] = &patches[i]
	}
	return db.Collect(ctx, r.tx, func(rows *sql.Rows) (existingConversation, error) {
		row := make([]any, valueCount)
		into := []any{&row[atID]}
		for at, f := range r.fields {
			if f.name != "" {
				into = append(into, &row[at])
			}
		}
		err := rows.Scan(into...)
		id, _ := row[atID].(string)
		return existingConversation{conversationPatch: byID[id], row: row}, err
	}, existingSQL(), r.tenant)
}

// existingSQL joins from the few staged rows.
func existingSQL() string {
	columns := []string{"c.id"}
	for at, f := range conversationFields() {
		column := "c." + f.column
		if at == atRaw {
			column = "t." + f.column
		}
		if f.long {
			column = "CAST(octet_length(" + column + ") AS BIGINT)"
		}
		if f.name != "" {
			columns = append(columns, column)
		}
	}
	return `SELECT ` + strings.Join(columns, ", ") + ` FROM stage_conversations s
		CROSS JOIN conversations c LEFT JOIN transcripts t ON t.tenant = c.tenant AND t.conversation_id = c.id
		WHERE c.tenant = $1 AND c.id = s.id AND s.line_hash IS NOT NULL AND c.line_hash IS DISTINCT FROM s.line_hash`
}

// refuseIncomplete refuses the first line of a new conversation that lacks a required field.
func refuseIncomplete(existing []existingConversation) error {
	var first *conversationPatch
	for _, s := range existing {
		if s.missing != "" && s.row[atStart] == nil && (first == nil || s.line < first.line) {
			first = s.conversationPatch
		}
	}
	if first == nil {
		return nil
	}
	return refuse(first.line, domain.KindInvalid, "%q is missing; the first line of a conversation needs it", first.missing)
}

// compare marks the conversations that change, and gives the replaced and cleared values.
func (r *registration) compare(ctx context.Context, existing []existingConversation) ([]former, error) {
	var formers []former
	var long [valueCount][]longValue
	for i := range existing {
		s := &existing[i]
		s.changed = len(s.replaced) > 0
		for at, f := range r.fields {
			before, after := s.row[at], s.first[at]
			switch {
			case f.name == "" || s.present>>at&1 == 0:
			case before == nil || f.long && !worthReading(before, after):
				s.changed = s.changed || before != s.last[at]
				if before != nil {
					formers = append(formers, former{id: s.id, field: f.name, copied: true, cleared: after == nil})
				}
			case f.long:
				long[at] = append(long[at], longValue{s, before.(int64)}) //nolint:forcetypeassert // existingSQL selects its length
			default:
				s.changed = s.changed || before != s.last[at]
				if before != after {
					formers = append(formers, formerOf(s.id, f.name, textOf(before), after))
				}
			}
		}
	}
	for at := range long {
		more, err := r.compareLong(ctx, at, long[at])
		if err != nil {
			return nil, err
		}
		formers = append(formers, more...)
	}
	for i := range existing {
		formers = append(formers, existing[i].replaced...)
	}
	return formers, nil
}

// worthReading says whether an existing long value is read to compare it with the new one. A value
// that is much longer differs anyway, and has too little in common with the new one to be stored as
// a difference. Then the database copies it, so that the program's memory is bounded by the size of
// its lines.
func worthReading(before, after any) bool {
	length, _ := before.(int64)
	text, set := after.(string)
	return set && int64(len(text)) >= length/2
}

// longValue is an existing value that must be read.
type longValue struct {
	of     *existingConversation
	length int64
}

// readBytes is how many bytes of existing values are read at a time; a larger value is read alone.
const readBytes = 4 << 20

// compareLong compares one field of some conversations, reading a few values at a time.
func (r *registration) compareLong(ctx context.Context, at int, list []longValue) (formers []former, err error) {
	table, id := "conversations", "id"
	if at == atRaw {
		table, id = "transcripts", "conversation_id"
	}
	byID := make(map[string]*existingConversation, len(list))
	rows := make([]sizedRow, 0, len(list))
	for _, v := range list {
		byID[v.of.id] = v.of
		rows = append(rows, sizedRow{v.of.id, v.length})
	}
	err = inSizedChunks(rows, func(ids []string) error {
		found, err := db.Collect(ctx, r.tx, func(rows *sql.Rows) (v former, err error) {
			err = rows.Scan(&v.id, &v.value)
			return v, err
		}, `SELECT `+id+`, `+r.fields[at].column+` FROM `+table+` WHERE tenant = $1 AND `+id+` IN (`+db.Parameters(2, len(ids))+`)`, append([]any{r.tenant}, db.Texts(ids)...)...)
		for _, v := range found {
			s := byID[v.id]
			s.changed = s.changed || s.last[at] != v.value
			if s.first[at] == v.value {
				continue
			}
			f := formerOf(v.id, r.fields[at].name, v.value, s.first[at])
			if len(f.value) == len(v.value) && len(f.value) > shortValue { // they have too little in common
				f.value, f.copied = "", true
			}
			formers = append(formers, f)
		}
		return err
	})
	return formers, err
}
